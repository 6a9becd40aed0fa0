"""CKD (Lu et al., ACM MM 2024): two ViT students and one fused head; in training also two teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_rgbt.engine.base import TensorSpec
from edge_rgbt.manifest import raw_pixel_inputs
from training.models.branches import Stream, interleave, run_branches
from training.models.configuration import build_config
from training.models.elimination import Cut, EliminationConfig
from training.models.head import CenterHead, HeadOutput
from training.models.vit import Vit, VitConfig

PIXEL_MEAN = (0.485, 0.456, 0.406)  # of pixels in 0..1, RGB order; the same numbers for thermal
PIXEL_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class CkdConfig:
    """Everything that shapes the network and its crops; the defaults are the published tracker.

    head_channels: width of the head's first layer, halved at each of the next three.
    shared_students: one branch for both modalities (keys `student_branch.`) instead of two.
    template_factor, search_factor: side of the crop over the square root of the box area.
    student_norm: instance-normalise the students' final tokens, which leaves only content (an ablation).
    """

    vit: VitConfig = field(default_factory=VitConfig)
    head_channels: int = 256
    shared_students: bool = False
    elimination: EliminationConfig = field(default_factory=EliminationConfig)
    template_factor: float = 2.0
    search_factor: float = 4.0
    student_norm: bool = False

    def __post_init__(self) -> None:
        if self.head_channels < 8 or self.head_channels % 8:
            raise ValueError(f"head_channels {self.head_channels} must be a multiple of 8")
        if self.elimination.mode != "none" and max(self.elimination.layers, default=0) >= self.vit.depth:
            raise ValueError(f"elimination layers {self.elimination.layers} exceed depth {self.vit.depth}")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary for checkpoints, manifests and TOML recipes."""
        values = asdict(self)
        values["elimination"]["layers"] = list(self.elimination.layers)
        values["elimination"]["ratios"] = list(self.elimination.ratios)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CkdConfig:
        """Inverse of `to_dict`; left-out keys take defaults. Raises ValueError naming an unknown key."""
        parts = dict(values)
        if "vit" in parts:
            parts["vit"] = build_config(VitConfig, parts["vit"], "vit.")
        if "elimination" in parts:
            parts["elimination"] = build_config(EliminationConfig, parts["elimination"], "elimination.")
        return build_config(cls, parts)


class Taps(NamedTuple):
    """Block outputs `[B, N, C]` of each branch, first to last, before the final LayerNorm."""

    rgb_branch: tuple[Tensor, ...]
    tir_branch: tuple[Tensor, ...]
    teacher_rgb: tuple[Tensor, ...]
    teacher_tir: tuple[Tensor, ...]


class TrainingOutput(NamedTuple):
    """What one training step needs; `taps` is None when they were not asked for."""

    student: HeadOutput
    teacher_rgb: HeadOutput
    teacher_tir: HeadOutput
    taps: Taps | None
    cuts: dict[int, tuple[Cut, ...]]


def normalise(crops: Tensor) -> Tensor:
    """uint8 crops `[B, H, W, 3]` to the network's input, float32 `[B, 3, H, W]`."""
    mean = torch.tensor(PIXEL_MEAN, device=crops.device)
    std = torch.tensor(PIXEL_STD, device=crops.device)
    return ((crops.float() / 255.0 - mean) / std).permute(0, 3, 1, 2).contiguous()


class CkdTracker(nn.Module):
    """The network at test time: two students (or one shared), fusion along channels, one head."""

    def __init__(self, config: CkdConfig | None = None) -> None:
        super().__init__()
        self.config = config or CkdConfig()
        vit = self.config.vit
        if self.config.shared_students:
            self.student_branch = Vit(vit)
        else:
            self.rgb_branch = Vit(vit)
            self.tir_branch = Vit(vit)
        self.box_head = CenterHead(2 * vit.embed_dim, self.config.head_channels)

    def forward(
        self, template_rgb: Tensor, template_tir: Tensor, search_rgb: Tensor, search_tir: Tensor
    ) -> HeadOutput:
        """Normalised pictures, float `[B, 3, H, W]` each."""
        streams = self.student_streams((template_rgb, template_tir), (search_rgb, search_tir))
        run_branches(streams, self.config.elimination)
        return self.box_head(self.search_map(self.fuse(streams)))

    def input_specs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the deployed graph: raw crops."""
        return raw_pixel_inputs(self.config.vit.template_size, self.config.vit.search_size)

    def from_pixels(self, *crops: Tensor) -> HeadOutput:
        """The answer to uint8 crops `[B, H, W, 3]` in the order of `input_specs`."""
        return self(*map(normalise, crops))

    def student_streams(
        self,
        templates: tuple[Tensor, Tensor],
        searches: tuple[Tensor, Tensor],
        mask_keep: Tensor | None = None,
    ) -> list[Stream]:
        """The students with their embedded tokens: two streams, or one that carries both modalities."""
        if not self.config.shared_students:
            branches = (self.rgb_branch, self.tir_branch)
            parts = zip(branches, templates, searches, strict=True)
            return [Stream(branch, branch.embed(z, x, mask_keep)) for branch, z, x in parts]
        mask = None if mask_keep is None else interleave((mask_keep, mask_keep))
        tokens = self.student_branch.embed(interleave(templates), interleave(searches), mask)
        return [Stream(self.student_branch, tokens, modalities=2)]

    def fuse(self, streams: list[Stream]) -> Tensor:
        """What the head reads: `fuse_students`, normalised over the tokens if the configuration says so."""
        tokens = fuse_students(streams)
        if self.config.student_norm:
            tokens = F.instance_norm(tokens.transpose(1, 2)).transpose(1, 2)
        return tokens

    def search_map(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, Nz + Nx, C]` to the feature map of the search crop `[B, C, S, S]`."""
        vit = self.config.vit
        search = tokens[:, vit.template_tokens :].transpose(1, 2)
        return search.reshape(-1, tokens.shape[-1], vit.search_side, vit.search_side)


class CkdTrainingModel(CkdTracker):
    """The network in training: the students and, beside them, two teachers that see one modality each."""

    def __init__(self, config: CkdConfig | None = None) -> None:
        super().__init__(config)
        vit = self.config.vit
        self.teacher_rgb = Vit(vit)
        self.teacher_tir = Vit(vit)
        self.box_head_v = CenterHead(vit.embed_dim, self.config.head_channels)
        self.box_head_i = CenterHead(vit.embed_dim, self.config.head_channels)

    def forward(  # type: ignore[override]
        self,
        templates: tuple[Tensor, Tensor],
        searches: tuple[Tensor, Tensor],
        mask_keep: Tensor | None = None,
        *,
        return_taps: bool = True,
        keep_ratio: float | None = None,
    ) -> TrainingOutput:
        """templates, searches: (RGB, thermal), normalised float `[B, 3, H, W]`.

        mask_keep: bool `[B, Nx]`, False hides a search token from both students (never from the teachers).
        keep_ratio: replaces the configured elimination ratios.
        """
        students = self.student_streams(templates, searches, mask_keep)
        teachers = [
            Stream(branch, branch.embed(z, x), votes=False)
            for branch, z, x in zip((self.teacher_rgb, self.teacher_tir), templates, searches, strict=True)
        ]
        streams = [*students, *teachers]
        if return_taps:
            for stream in streams:
                stream.taps = []
        cuts = run_branches(streams, self.config.elimination, keep_ratio)
        return TrainingOutput(
            student=self.box_head(self.search_map(self.fuse(students))),
            teacher_rgb=self.box_head_v(self.search_map(teachers[0].finish())),
            teacher_tir=self.box_head_i(self.search_map(teachers[1].finish())),
            taps=_collect_taps(students, teachers) if return_taps else None,
            cuts=cuts,
        )

    def tracker_state(self) -> dict[str, Tensor]:
        """The part of the state dict that a `CkdTracker` of the same configuration loads."""
        training_only = ("teacher_rgb.", "teacher_tir.", "box_head_v.", "box_head_i.")
        return {key: value for key, value in self.state_dict().items() if not key.startswith(training_only)}


def fuse_students(streams: list[Stream]) -> Tensor:
    """Final tokens of both modalities side by side along channels, RGB first: `[B, Nz + Nx, 2C]`."""
    return torch.cat([part for stream in streams for part in stream.per_modality(stream.finish())], dim=-1)


def _collect_taps(students: list[Stream], teachers: list[Stream]) -> Taps:
    by_branch: list[tuple[Tensor, ...]] = []
    for stream in (*students, *teachers):
        by_branch += zip(*(stream.per_modality(tap) for tap in stream.taps or ()), strict=True)
    return Taps(*by_branch)
