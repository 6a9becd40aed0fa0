"""The TransCMD student: a small ViT for both modalities, their sum, a centre head (transcmd.md section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from edge_rgbt.engine.base import TensorSpec
from edge_rgbt.manifest import raw_pixel_inputs
from training.models.branches import interleave
from training.models.ckd import normalise
from training.models.configuration import build_config
from training.models.head import CenterHead, HeadOutput
from training.models.vit import Vit, VitConfig

TINY_VIT = VitConfig(embed_dim=192, heads=3, unused_tables=False)

Pictures = tuple[Tensor, Tensor]  # RGB and thermal, normalised, float [B, 3, H, W] each


@dataclass(frozen=True)
class TransCmdConfig:
    """Everything that shapes the student and its crops; the defaults have 6 504 325 parameters.

    mode: `joint` runs one sequence of both modalities, `pair` one sequence each, which meet only in the sum.
    Both load the same weights, but weights trained for one are not weights for the other.
    head_channels: width of the head's first layer, halved at each of the next three.
    """

    vit: VitConfig = TINY_VIT
    head_channels: int = 128
    mode: Literal["joint", "pair"] = "joint"
    template_factor: float = 2.0
    search_factor: float = 4.0

    def __post_init__(self) -> None:
        if self.mode not in ("joint", "pair"):
            raise ValueError(f"mode is {self.mode!r}, expected 'joint' or 'pair'")
        # They belong to the published layout of another system and would only be carried along.
        object.__setattr__(self, "vit", replace(self.vit, unused_tables=False))
        if self.head_channels < 8 or self.head_channels % 8:
            raise ValueError(f"head_channels {self.head_channels} must be a multiple of 8")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary for checkpoints, manifests and TOML recipes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransCmdConfig:
        """Inverse of `to_dict`; left-out keys take defaults. Raises ValueError naming an unknown key."""
        parts = dict(values)
        if "vit" in parts:
            parts["vit"] = build_config(VitConfig, {**asdict(TINY_VIT), **parts["vit"]}, "vit.")
        return build_config(cls, parts)


class StudentFeatures(NamedTuple):
    """What distillation reads beside the output, search tokens `[B, Nx, C]` only.

    rgb, tir: after every block, first to last, before the final LayerNorm. fused: what the head is given.
    """

    rgb: tuple[Tensor, ...]
    tir: tuple[Tensor, ...]
    fused: Tensor
    output: HeadOutput


class TransCmdStudent(nn.Module):
    """The network at test time; distillation and masked training read its tokens through the same methods."""

    def __init__(self, config: TransCmdConfig | None = None) -> None:
        super().__init__()
        self.config = config or TransCmdConfig()
        vit = self.config.vit
        self.encoder = Vit(vit)
        # Tells the shared weights which sensor a token is from: RGB first.
        self.modality_codes = nn.Parameter(torch.empty(1, 2, 1, vit.embed_dim))
        nn.init.trunc_normal_(self.modality_codes, std=0.02)
        self.box_head = CenterHead(vit.embed_dim, self.config.head_channels)

    def forward(
        self, template_rgb: Tensor, template_tir: Tensor, search_rgb: Tensor, search_tir: Tensor
    ) -> HeadOutput:
        """Normalised pictures, float `[B, 3, H, W]` each."""
        tokens = self.embed((template_rgb, template_tir), (search_rgb, search_tir))
        for block in self.encoder.blocks:
            tokens = block(tokens)
        return self.box_head(self.search_map(self.fuse(tokens)))

    def input_specs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the deployed graph: raw crops."""
        return raw_pixel_inputs(self.config.vit.template_size, self.config.vit.search_size)

    def from_pixels(self, *crops: Tensor) -> HeadOutput:
        """The answer to uint8 crops `[B, H, W, 3]` in the order of `input_specs`."""
        return self(*map(normalise, crops))

    def features(self, templates: Pictures, searches: Pictures) -> StudentFeatures:
        """The same pass with the search tokens of every block kept."""
        tokens = self.embed(templates, searches)
        layers: list[Pictures] = []
        for block in self.encoder.blocks:
            tokens = block(tokens)
            layers.append(self.search_tokens(tokens))
        fused = self.fuse(tokens)
        rgb, tir = zip(*layers, strict=True)
        return StudentFeatures(rgb, tir, fused, self.box_head(self.search_map(fused)))

    def embed(self, templates: Pictures, searches: Pictures) -> Tensor:
        """`joint`: `[B, 2 Nz + 2 Nx, C]`, both templates first; `pair`: `[2 B, Nz + Nx, C]`."""
        vit = self.config.vit
        tokens = self.encoder.embed(interleave(templates), interleave(searches))  # [2 B, Nz + Nx, C]
        tokens = tokens.view(-1, 2, *tokens.shape[1:]) + self.modality_codes
        if self.config.mode == "pair":
            return tokens.flatten(0, 1)
        z, x = tokens[:, :, : vit.template_tokens], tokens[:, :, vit.template_tokens :]
        return torch.cat((z.flatten(1, 2), x.flatten(1, 2)), dim=1)

    def search_tokens(self, tokens: Tensor) -> Pictures:
        """The search part of what `embed` laid out, (RGB, thermal) of `[B, Nx, C]`."""
        vit = self.config.vit
        templates = vit.template_tokens * (2 if self.config.mode == "joint" else 1)
        x = tokens[:, templates:].reshape(-1, 2, vit.search_tokens, vit.embed_dim)
        return x[:, 0], x[:, 1]

    def fuse(self, tokens: Tensor) -> Tensor:
        """Sum of both modalities' search tokens after the final LayerNorm, `[B, Nx, C]`."""
        rgb, tir = self.search_tokens(self.encoder.norm(tokens))
        return rgb + tir

    def search_map(self, tokens: Tensor) -> Tensor:
        """Search tokens `[B, Nx, C]` to a feature map `[B, C, S, S]`."""
        side = self.config.vit.search_side
        return tokens.transpose(1, 2).reshape(-1, tokens.shape[-1], side, side)
