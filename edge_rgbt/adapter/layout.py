"""Which tensors a pixel-fusion adapter consists of: names and shapes of every variant (tpf.md, 2 and 14)."""

from __future__ import annotations

from dataclasses import dataclass

STATES = 16  # N: state elements per channel of a selective scan
TAPS = 4  # K: width of the causal convolution in a ViM block
HALF, WHOLE = 8, 16  # channels of one modality, and of both side by side

# name -> channels, in the order in which they run
BLOCKS = {"vim_rgb": HALF, "vim_tir": HALF, "vim_token": HALF, "vim_channel": WHOLE}
DIRECTIONS = ("fwd", "bwd")


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of the adapter.

    stride: crop pixels per token along each axis; kernel: side of the convolutions at both ends.
    tied_decay: the 16 decays of a channel are powers of one. network: False for the plain mean.
    """

    stride: int = 1
    kernel: int = 5
    tied_decay: bool = False
    network: bool = True


VARIANTS = {
    "full": Variant(),
    "s2": Variant(stride=2, kernel=3),
    "tied": Variant(tied_decay=True),
    "add": Variant(network=False),
}


def tensor_shapes(variant: Variant) -> dict[str, tuple[int, ...]]:
    """Every tensor of the variant; empty for the plain mean."""
    if not variant.network:
        return {}
    k, out = variant.kernel, 3 * variant.stride**2
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ("low_rgb", "low_tir"):
        shapes |= {f"{name}.weight": (HALF, 3, k, k), f"{name}.bias": (HALF,)}
    for name, channels in BLOCKS.items():
        shapes |= {f"{name}.{part}": s for part, s in block_shapes(channels, variant.tied_decay).items()}
    return shapes | {"decoder.weight": (out, WHOLE, k, k), "decoder.bias": (out,)}


def block_shapes(channels: int, tied_decay: bool = False) -> dict[str, tuple[int, ...]]:
    """Every tensor of one ViM block, without the block's name."""
    inner, rank = 2 * channels, -(-channels // 16)
    shapes: dict[str, tuple[int, ...]] = {
        "norm.weight": (channels,),
        "in_proj.weight": (2 * inner, channels),
        "out_proj.weight": (channels, inner),
    }
    for direction in DIRECTIONS:
        shapes |= {
            f"{direction}.conv1d.weight": (inner, 1, TAPS),
            f"{direction}.conv1d.bias": (inner,),
            f"{direction}.x_proj.weight": (rank + 2 * STATES, inner),
            f"{direction}.dt_proj.weight": (inner, rank),
            f"{direction}.dt_proj.bias": (inner,),
            f"{direction}.A_log": (inner,) if tied_decay else (inner, STATES),
            f"{direction}.D": (inner,),
        }
    return shapes
