"""TPF in its second stage: two auxiliary branches learn what the tracker does not need (tpf.md section 7)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.models.tpf.tracker import CropPair, TpfConfig, TpfNetwork, TpfOutput, normalise_unit, run_blocks
from training.models.vit import LAYER_NORM_EPS, Block, Vit, VitConfig, sincos_table

TRAINING_ONLY = ("aux_rgb.", "aux_tir.")
DECODER_WIDTH = 512
DECODER_DEPTH = 4
DECODER_HEADS = 8


class Decoder(nn.Module):
    """Tokens of template and search back to their patches of pixels."""

    def __init__(
        self,
        vit: VitConfig,
        width: int = DECODER_WIDTH,
        depth: int = DECODER_DEPTH,
        heads: int = DECODER_HEADS,
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(vit.embed_dim, width)
        tables = (sincos_table(vit.template_side, width), sincos_table(vit.search_side, width))
        self.register_buffer("places", torch.cat(tables, dim=1))
        blocks = VitConfig(embed_dim=width, depth=depth, heads=heads, drop_path=0.0)
        self.blocks = nn.ModuleList(Block(blocks, 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.leave = nn.Linear(width, 3 * vit.patch_size**2)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, Nz + Nx, C]` to `[B, Nz + Nx, 3 patch^2]`, in the order of `patches`."""
        tokens = self.enter(tokens) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        return self.leave(self.norm(tokens))


class AuxiliaryBranch(nn.Module):
    """An encoder for one modality, of the tracker's architecture, and its decoder."""

    def __init__(self, vit: VitConfig, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = Vit(vit)
        self.decoder = decoder

    def encode(self, template: Tensor, search: Tensor) -> Tensor:
        """Final tokens `[B, Nz + Nx, C]` of normalised pictures of this modality."""
        return run_blocks(self.encoder, self.encoder.embed(template, search))


class Auxiliary(NamedTuple):
    """One modality. tokens, fused: `[B, Nz + Nx, C]`, place by place; rebuilt, target: `[B, Nz + Nx, P]`."""

    tokens: Tensor
    fused: Tensor
    rebuilt: Tensor
    target: Tensor


class TpfTrainingOutput(NamedTuple):
    """What one step of the second stage needs."""

    tracker: TpfOutput
    rgb: Auxiliary
    tir: Auxiliary


class TpfTrainingModel(TpfNetwork):
    """The network in the second stage: 290.2 M parameters at the published sizes."""

    def __init__(
        self,
        config: TpfConfig | None = None,
        *,
        decoder_width: int = DECODER_WIDTH,
        decoder_depth: int = DECODER_DEPTH,
        decoder_heads: int = DECODER_HEADS,
    ) -> None:
        super().__init__(config)
        vit = self.config.vit
        self.aux_rgb = AuxiliaryBranch(vit, Decoder(vit, decoder_width, decoder_depth, decoder_heads))
        self.aux_tir = AuxiliaryBranch(vit, Decoder(vit, decoder_width, decoder_depth, decoder_heads))

    def forward(  # type: ignore[override]
        self, template: CropPair, dynamic: CropPair | None, search: CropPair
    ) -> TpfTrainingOutput:
        """Crops as `TpfNetwork` takes them."""
        tracked = super().forward(template, dynamic, search)
        fused = self.common_tokens(tracked.tokens)
        parts = [
            _auxiliary(branch, fused, normalise_unit(z), normalise_unit(x))
            for branch, z, x in zip((self.aux_rgb, self.aux_tir), template, search, strict=True)
        ]
        return TpfTrainingOutput(tracked, *parts)

    def tracker_state(self) -> dict[str, Tensor]:
        """The part of the state dict that a `TpfNetwork` of the same configuration loads."""
        return {key: value for key, value in self.state_dict().items() if not key.startswith(TRAINING_ONLY)}


def _auxiliary(branch: AuxiliaryBranch, fused: Tensor, template: Tensor, search: Tensor) -> Auxiliary:
    tokens = branch.encode(template, search)
    size = branch.encoder.config.patch_size
    target = torch.cat((patches(template, size), patches(search, size)), dim=1)
    return Auxiliary(tokens, fused, branch.decoder(tokens + fused), target)


def patches(pictures: Tensor, size: int) -> Tensor:
    """`[B, 3, H, W]` to `[B, N, 3 size^2]` in raster order; within a patch channel, row, column."""
    return nn.functional.unfold(pictures, size, stride=size).transpose(1, 2)
