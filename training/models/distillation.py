"""Between any teacher and any compact student: what each shows, how layers and widths are matched.

Teachers are in `models.teachers`, students in `models.students`, the losses in `losses.transcmd`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from edge_rgbt.errors import UsageError
from training.models.head import HeadOutput
from training.models.transcmd.masked import CmaeMask, MaskDecoder, reconstruction_loss, require_joint
from training.models.transcmd.student import Pictures, StudentFeatures

DISTILLED_DEPTHS = (1 / 3, 2 / 3, 1.0)  # after blocks 4, 8 and 12 of 12
NORM_EPS = 1e-6


@dataclass(frozen=True)
class Geometry:
    """What crops a tracker takes and what grid it puts over the search crop."""

    template_size: int
    search_size: int
    search_side: int
    template_factor: float
    search_factor: float


@dataclass(frozen=True)
class StudentSpec:
    """Sizes that the projectors need."""

    depth: int
    token_width: int
    fused_width: int
    geometry: Geometry


@dataclass(frozen=True)
class TeacherSpec:
    """Sizes that the projectors need.

    specific: its tokens differ by modality; False where the images are fused before the first block.
    path_widths: path -> width of its feature, for the paths that can be valid.
    """

    depth: int
    token_width: int
    path_widths: Mapping[str, int]
    specific: bool
    geometry: Geometry


class PathFeature(NamedTuple):
    """One way through a teacher's fusion.

    tokens `[B, Nx, C]`; boxes `[B, 4]` cxcywh in fractions of the crop, what the teacher's head reads there.
    valid: False where no head of the teacher has learned to read this path; its boxes then mean nothing.
    """

    tokens: Tensor
    boxes: Tensor
    valid: bool = True


class TeacherView(NamedTuple):
    """What any teacher shows of one batch.

    rgb, tir: search tokens after every block, first to last, `[B, Nx, C]`; the same tensors where a teacher
    fuses the images. paths: by name. score: its map `[B, 1, S, S]`.
    """

    rgb: tuple[Tensor, ...]
    tir: tuple[Tensor, ...]
    paths: dict[str, PathFeature]
    score: Tensor


class DistillableStudent(Protocol):
    """What a student must offer; `models.students` has one for each compact tracker."""

    spec: StudentSpec
    network: Any  # what is deployed

    def __call__(self, templates: Pictures, searches: Pictures) -> StudentFeatures:
        """Crops at the student's or the teacher's size."""
        ...


def fit_pictures(pictures: Pictures, size: int) -> Pictures:
    """Both pictures at the side a network takes; crops have the same factors, so only the scale differs."""
    if pictures[0].shape[-1] == size:
        return pictures
    rgb, tir = (
        F.interpolate(p, (size, size), mode="bilinear", align_corners=False, antialias=True) for p in pictures
    )
    return rgb, tir


def masked_samples(searches: Pictures, size: int) -> Pictures:
    """Every second sample, for masked training beside distillation, at the side the student takes.

    Every second, so that they are the same however many processes share a batch.
    """
    return fit_pictures((searches[0][::2], searches[1][::2]), size)


def layer_pairs(student_depth: int, teacher_depth: int) -> tuple[tuple[int, int], ...]:
    """Which block outputs are compared, (student, teacher) counted from 0: equal relative depths."""
    pairs = ((_block_at(depth, student_depth), _block_at(depth, teacher_depth)) for depth in DISTILLED_DEPTHS)
    return tuple(dict.fromkeys(pairs))


def _block_at(relative: float, depth: int) -> int:
    return max(1, int(relative * depth + 0.5)) - 1


def require_fit(student: StudentSpec, teacher: TeacherSpec, where: str) -> None:
    """Raises UsageError, one line, if tokens of the two do not stand for the same places.

    Widths and depths may differ; crops of another size are scaled. `where` names the teacher.
    """
    ours, theirs = student.geometry, teacher.geometry
    faults = [
        f"{text} {getattr(theirs, name):g}, the student {getattr(ours, name):g}"
        for name, text in (
            ("search_side", "search tokens per side"),
            ("template_factor", "template factor"),
            ("search_factor", "search factor"),
        )
        if getattr(ours, name) != getattr(theirs, name)
    ]
    if faults:
        raise UsageError(f"{where} cannot teach this student: it has {'; '.join(faults)}")


def plain_norm(tokens: Tensor) -> Tensor:
    """LayerNorm over channels without weights, in float32."""
    return F.layer_norm(tokens.float(), tokens.shape[-1:], eps=NORM_EPS)


def common_and_specific(rgb: Tensor, tir: Tensor) -> Pictures:
    """Half sum and half difference of both modalities' normalised tokens `[B, N, C]`."""
    rgb, tir = plain_norm(rgb), plain_norm(tir)
    return (rgb + tir) / 2, (rgb - tir) / 2


class ProjectedStudent(NamedTuple):
    """The student's output, and its features at the teacher's widths; empty where a part is switched off.

    masked: the reconstruction loss, if a mask was given.
    """

    output: HeadOutput
    common: tuple[Tensor, ...]
    specific: tuple[Tensor, ...]
    paths: dict[str, Tensor]
    masked: Tensor | None = None


class Projectors(nn.Module):
    """Linear maps from the student's widths to the teacher's; they live in training only.

    One pair per distilled layer, one map per path. features, paths: which parts are distilled at all.
    teacher: None for a student that learns alone; then there are no maps.
    """

    def __init__(
        self, student: StudentSpec, teacher: TeacherSpec | None, *, features: bool = True, paths: bool = True
    ) -> None:
        super().__init__()
        teacher = teacher or TeacherSpec(0, 0, {}, False, student.geometry)
        self.pairs = layer_pairs(student.depth, teacher.depth) if features and teacher.depth else ()
        specific = self.pairs if teacher.specific else ()
        self.common = nn.ModuleList(nn.Linear(student.token_width, teacher.token_width) for _ in self.pairs)
        self.specific = nn.ModuleList(nn.Linear(student.token_width, teacher.token_width) for _ in specific)
        widths = teacher.path_widths if paths else {}
        self.paths = nn.ModuleDict({name: nn.Linear(student.fused_width, w) for name, w in widths.items()})

    def forward(self, features: StudentFeatures) -> ProjectedStudent:
        parts = [common_and_specific(features.rgb[i], features.tir[i]) for i, _ in self.pairs]
        return ProjectedStudent(
            features.output,
            tuple(project(common) for project, (common, _) in zip(self.common, parts, strict=True)),
            tuple(project(specific) for project, (_, specific) in zip(self.specific, parts, strict=False)),
            {name: project(features.fused) for name, project in self.paths.items()},
        )

    def targets(self, teacher: TeacherView) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The teacher's common and specific parts at the same layers; specific is empty if it has none."""
        parts = [common_and_specific(teacher.rgb[j], teacher.tir[j]) for _, j in self.pairs]
        return [common for common, _ in parts], [part for _, part in parts[: len(self.specific)]]


class DistilledStudent(nn.Module):
    """Student and what lives in training only, in one forward pass: what wraps a module for many processes
    must see all of it.

    student: one of `models.students`. mask_decoder: for masked training beside distillation (a TransCMD
    student in mode `joint` only).
    """

    def __init__(
        self, student: DistillableStudent, projectors: Projectors, mask_decoder: MaskDecoder | None = None
    ) -> None:
        super().__init__()
        if mask_decoder is not None:
            require_joint(student.network)
        self.student = student
        self.projectors = projectors
        self.mask_decoder = mask_decoder

    def forward(
        self, templates: Pictures, searches: Pictures, mask: CmaeMask | None = None
    ) -> ProjectedStudent:
        """(RGB, thermal) normalised. mask: for the samples of `masked_samples`."""
        projected = self.projectors(self.student(templates, searches))
        if mask is None or self.mask_decoder is None:
            return projected
        network = self.student.network
        seen = masked_samples(searches, network.config.vit.search_size)
        return projected._replace(masked=reconstruction_loss(network, self.mask_decoder, seen, mask))
