"""The one-stream tracker behind the adapter (tpf.md section 5), and the whole of TPF at test time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edge_rgbt.adapter.layout import VARIANTS
from edge_rgbt.engine.base import TensorSpec
from edge_rgbt.manifest import fused_inputs
from training.models.ckd import PIXEL_MEAN, PIXEL_STD
from training.models.configuration import build_config
from training.models.head import CenterHead, HeadOutput
from training.models.tpf.adapter import FusionAdapter
from training.models.vit import Vit, VitConfig


@dataclass(frozen=True)
class TpfConfig:
    """Everything that shapes the network and its crops; the defaults are the published tracker.

    adapter: full, s2, tied or add. head_channels: width of the head's first layer.
    template_factor, search_factor: side of the crop over the square root of the box area.
    dynamic_interval, dynamic_threshold: frames between renewals of the dynamic template (15 for GTOT), and
    the score that a frame must exceed to become one.
    """

    vit: VitConfig = field(default_factory=lambda: VitConfig(unused_tables=False))
    adapter: str = "full"
    head_channels: int = 256
    template_factor: float = 2.0
    search_factor: float = 4.0
    dynamic_interval: int = 50
    dynamic_threshold: float = 0.65

    def __post_init__(self) -> None:
        if self.adapter not in VARIANTS:
            raise ValueError(f"adapter {self.adapter!r} is none of {', '.join(VARIANTS)}")
        if self.head_channels < 8 or self.head_channels % 8:
            raise ValueError(f"head_channels {self.head_channels} must be a multiple of 8")
        if self.dynamic_interval < 1 or not 0 <= self.dynamic_threshold <= 1:
            raise ValueError("dynamic_interval must be at least 1 and dynamic_threshold within 0..1")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary for checkpoints, manifests and TOML recipes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TpfConfig:
        """Inverse of `to_dict`; left-out keys take defaults. Raises ValueError naming an unknown key."""
        parts = dict(values)
        if "vit" in parts:
            parts["vit"] = build_config(VitConfig, {"unused_tables": False, **parts["vit"]}, "vit.")
        return build_config(cls, parts)


class CropPair(NamedTuple):
    """The same cut of both modalities, float `[B, 3, H, W]` in 0..1 each."""

    rgb: Tensor
    tir: Tensor


class TpfOutput(NamedTuple):
    """Maps of the head, final tokens `[B, 2 Nz + Nx, C]`, fused template and search `[B, 3, H, W]`."""

    head: HeadOutput
    tokens: Tensor
    fused_template: Tensor
    fused_search: Tensor


def unit_pixels(crops: Tensor) -> Tensor:
    """uint8 crops `[B, H, W, 3]` to float `[B, 3, H, W]` in 0..1."""
    return crops.permute(0, 3, 1, 2).float() / 255.0


def normalise_unit(pictures: Tensor) -> Tensor:
    """`[B, 3, H, W]` in 0..1 to what the encoder expects."""
    mean = torch.tensor(PIXEL_MEAN, device=pictures.device).view(3, 1, 1)
    std = torch.tensor(PIXEL_STD, device=pictures.device).view(3, 1, 1)
    return (pictures - mean) / std


class TpfTracker(nn.Module):
    """A ViT over template, dynamic template and search tokens, and the centre head; keys as in OSTrack."""

    def __init__(self, config: TpfConfig | None = None) -> None:
        super().__init__()
        self.config = config or TpfConfig()
        self.backbone = Vit(self.config.vit)
        self.box_head = CenterHead(self.config.vit.embed_dim, self.config.head_channels)

    def forward(self, template: Tensor, dynamic: Tensor, search: Tensor) -> HeadOutput:
        """Normalised fused pictures, float `[B, 3, H, W]` each."""
        return self.locate(self.encode(template, dynamic, search))

    def encode(self, template: Tensor, dynamic: Tensor, search: Tensor) -> Tensor:
        """Final tokens `[B, 2 Nz + Nx, C]`: template, dynamic template, search."""
        vit = self.backbone
        parts = ((template, vit.pos_embed_z), (dynamic, vit.pos_embed_z), (search, vit.pos_embed_x))
        embedded = [vit.patch_embed(p).flatten(2).transpose(1, 2) + table for p, table in parts]
        return run_blocks(vit, torch.cat(embedded, dim=1))

    def locate(self, tokens: Tensor) -> HeadOutput:
        """The head's answer to the final tokens."""
        vit = self.config.vit
        search = tokens[:, 2 * vit.template_tokens :].transpose(1, 2)
        return self.box_head(search.reshape(-1, vit.embed_dim, vit.search_side, vit.search_side))

    def input_specs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the deployed graph: fused images."""
        return fused_inputs(self.config.vit.template_size, self.config.vit.search_size)

    def from_pixels(self, *images: Tensor) -> HeadOutput:
        """The answer to fused images, float `[B, H, W, 3]` in 0..1, in the order of `input_specs`."""
        return self(*(normalise_unit(image.permute(0, 3, 1, 2)) for image in images))


class TpfNetwork(TpfTracker):
    """The tracker with its adapter: what flies, in one differentiable piece."""

    def __init__(self, config: TpfConfig | None = None) -> None:
        super().__init__(config)
        self.adapter = FusionAdapter(self.config.adapter)

    def forward(  # type: ignore[override]
        self, template: CropPair, dynamic: CropPair | None, search: CropPair
    ) -> TpfOutput:
        """dynamic: None repeats the template, as before the first renewal."""
        fused_template = self.adapter(*template)
        fused_search = self.adapter(*search)
        z, x = normalise_unit(fused_template), normalise_unit(fused_search)
        d = z if dynamic is None else normalise_unit(self.adapter(*dynamic))
        tokens = self.encode(z, d, x)
        return TpfOutput(self.locate(tokens), tokens, fused_template, fused_search)

    def tracker(self) -> TpfTracker:
        """The part behind the adapter, in the same mode; it shares its weights with this network."""
        with torch.device("meta"):
            tracker = TpfTracker(self.config)
        tracker.backbone, tracker.box_head = self.backbone, self.box_head
        return tracker.train(self.training)

    def common_tokens(self, tokens: Tensor) -> Tensor:
        """Those of the initial template and the search crop `[B, Nz + Nx, C]`, which every branch has."""
        count = self.config.vit.template_tokens
        return torch.cat((tokens[:, :count], tokens[:, 2 * count :]), dim=1)


def run_blocks(vit: Vit, tokens: Tensor) -> Tensor:
    """Embedded tokens through all blocks and the last LayerNorm."""
    for block in vit.blocks:
        tokens = block(tokens)
    return vit.norm(tokens)
