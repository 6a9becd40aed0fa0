"""The TransCMD teacher: two encoders, cross-attention, a gate, one head (transcmd.md section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.configuration import build_config
from training.models.head import CenterHead, HeadOutput
from training.models.transcmd.student import Pictures
from training.models.vit import LAYER_NORM_EPS, Mlp, Vit, VitConfig, initialise_layer

BASE_VIT = VitConfig(unused_tables=False)
PATHS: tuple[str, ...] = ("rgb", "tir", "fused")


@dataclass(frozen=True)
class TransCmdTeacherConfig:
    """Sizes of the teacher; the defaults have 207.80 M parameters, `small_teacher()` 54.64 M."""

    vit: VitConfig = BASE_VIT
    fusion_layers: int = 2
    head_channels: int = 256
    template_factor: float = 2.0
    search_factor: float = 4.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "vit", replace(self.vit, unused_tables=False))
        if self.fusion_layers < 1:
            raise ValueError(f"fusion_layers {self.fusion_layers} must be at least 1")
        if self.head_channels < 8 or self.head_channels % 8:
            raise ValueError(f"head_channels {self.head_channels} must be a multiple of 8")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary for checkpoints and TOML recipes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransCmdTeacherConfig:
        """Inverse of `to_dict`; left-out keys take defaults. Raises ValueError naming an unknown key."""
        parts = dict(values)
        if "vit" in parts:
            parts["vit"] = build_config(VitConfig, parts["vit"], "vit.")
        return build_config(cls, parts)


def small_teacher() -> TransCmdTeacherConfig:
    """Width 384: the teacher where a ViT-B pair does not fit."""
    return TransCmdTeacherConfig(VitConfig(embed_dim=384, heads=6, unused_tables=False))


class CrossBlock(nn.Module):
    """Search tokens of one modality query all tokens of the other; pre-norm, then an MLP."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.heads = config.heads
        self.norm_query = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.norm_context = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm_mlp = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))

    def forward(self, search: Tensor, context: Tensor) -> Tensor:
        """search `[B, Nx, C]`, context `[B, Nz + Nx, C]` of the other modality."""
        q = self._split(self.query(self.norm_query(search)))
        k, v = map(self._split, self.key_value(self.norm_context(context)).chunk(2, dim=-1))
        update = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        search = search + self.proj(update)
        return search + self.mlp(self.norm_mlp(search))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, N, C / heads]


class FusionLayer(nn.Module):
    """Both directions at once, each with its own weights."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.rgb_from_tir = CrossBlock(config)
        self.tir_from_rgb = CrossBlock(config)

    def forward(self, rgb: Tensor, tir: Tensor, template_tokens: int) -> Pictures:
        """All tokens of both modalities `[B, Nz + Nx, C]`; only the search part changes."""
        (z_rgb, x_rgb), (z_tir, x_tir) = (
            (tokens[:, :template_tokens], tokens[:, template_tokens:]) for tokens in (rgb, tir)
        )
        new_rgb, new_tir = self.rgb_from_tir(x_rgb, tir), self.tir_from_rgb(x_tir, rgb)
        return torch.cat((z_rgb, new_rgb), dim=1), torch.cat((z_tir, new_tir), dim=1)


class TeacherOutput(NamedTuple):
    """paths: search tokens `[B, Nx, C]` by PATHS. outputs: the head's maps on each path, by PATHS.

    rgb, tir: search tokens after every block of the encoders, first to last, before the final LayerNorm.
    """

    paths: dict[str, Tensor]
    outputs: dict[str, HeadOutput]
    rgb: tuple[Tensor, ...]
    tir: tuple[Tensor, ...]


class TransCmdTeacher(nn.Module):
    """Trained first with the task loss on the fused path and, with a smaller weight, on the other two."""

    def __init__(self, config: TransCmdTeacherConfig | None = None) -> None:
        super().__init__()
        self.config = config or TransCmdTeacherConfig()
        vit = self.config.vit
        self.rgb_encoder = Vit(vit)
        self.tir_encoder = Vit(vit)
        self.fusion = nn.ModuleList(FusionLayer(vit) for _ in range(self.config.fusion_layers))
        self.gate = nn.Linear(2 * vit.embed_dim, vit.embed_dim)
        for part in (self.fusion, self.gate):
            part.apply(initialise_layer)
        self.box_head = CenterHead(vit.embed_dim, self.config.head_channels)

    def forward(self, templates: Pictures, searches: Pictures) -> TeacherOutput:
        """templates, searches: (RGB, thermal), normalised float `[B, 3, H, W]`."""
        n = self.config.vit.template_tokens
        (rgb, rgb_layers), (tir, tir_layers) = (
            _encode(encoder, z, x)
            for encoder, z, x in zip((self.rgb_encoder, self.tir_encoder), templates, searches, strict=True)
        )
        for layer in self.fusion:
            rgb, tir = layer(rgb, tir, n)
        m_rgb, m_tir = rgb[:, n:], tir[:, n:]
        g = torch.sigmoid(self.gate(torch.cat((m_rgb, m_tir), dim=-1)))
        paths = dict(zip(PATHS, (m_rgb, m_tir, g * m_rgb + (1 - g) * m_tir), strict=True))
        return TeacherOutput(paths, self._judge(paths), rgb_layers, tir_layers)

    def _judge(self, paths: dict[str, Tensor]) -> dict[str, HeadOutput]:
        # One pass for all paths: BatchNorm then trains on the mixture that its running statistics describe.
        side = self.config.vit.search_side
        together = torch.cat([tokens.transpose(1, 2).unflatten(2, (side, side)) for tokens in paths.values()])
        parts = [maps.chunk(len(paths)) for maps in self.box_head(together)]
        return {name: HeadOutput(*maps) for name, maps in zip(paths, zip(*parts, strict=True), strict=True)}


def _encode(encoder: Vit, template: Tensor, search: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    tokens = encoder.embed(template, search)
    layers = []
    for block in encoder.blocks:
        tokens = block(tokens)
        layers.append(tokens[:, encoder.config.template_tokens :])
    return encoder.norm(tokens), tuple(layers)
