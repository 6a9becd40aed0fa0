"""Distillation of TransCMD, from any teacher: specific-common features, multi-path selection, score maps.

Formulas: transcmd.md sections 5 to 7. Tokens are `[B, N, C]`; the teacher's side is always a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.losses.task import corners_from_cxcywh, corners_from_xywh, overlap_terms
from training.models.distillation import ProjectedStudent, Projectors, TeacherView, plain_norm

TARGET_GAIN = 4.0  # how much more a token at the target's centre counts than background
TEMPERATURE = 0.1  # an overlap lead of this much is worth a factor e


@dataclass(frozen=True)
class DistillationWeights:
    """Weight of each part; 0 switches it off. hard_paths: only the teacher's best path of each sample."""

    features: float = 1.0
    paths: float = 1.0
    response: float = 0.0
    hard_paths: bool = False

    def __post_init__(self) -> None:
        for name in ("features", "paths", "response"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} must not be negative")


def token_weights(heatmap: Tensor) -> Tensor:
    """Weights `[B, N]` that sum to 1 from target score maps `[B, 1, S, S]` of peak 1."""
    weights = 1 + TARGET_GAIN * heatmap.flatten(1)
    return weights / weights.sum(dim=1, keepdim=True)


def token_distance(a: Tensor, b: Tensor) -> Tensor:
    """`[B, N]`, 0..4: mean squared distance of the normalised tokens, 2 (1 - correlation) up to epsilon."""
    return (plain_norm(a) - plain_norm(b)).square().mean(dim=-1)


def weighted_distance(student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """`[B]`: token distances summed with `weights` `[B, N]`; the teacher's side is detached."""
    return (weights * token_distance(student, teacher.detach())).sum(dim=1)


def feature_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], weights: Tensor) -> Tensor:
    """`[layers]`: one part (common or specific), projected student against teacher, mean over the batch."""
    return torch.stack(
        [weighted_distance(s, t, weights).mean() for s, t in zip(student, teacher, strict=True)]
    )


def path_overlaps(boxes: Sequence[Tensor], target_xywh: Tensor) -> Tensor:
    """Overlap `[B, P]` of each path's boxes (`[B, 4]` cxcywh) with the truth, in fractions of the crop."""
    truth = corners_from_xywh(target_xywh).clamp(0, 1)
    return torch.stack([overlap_terms(corners_from_cxcywh(b.detach()), truth)[0] for b in boxes], dim=1)


def path_selection(overlaps: Tensor, *, hard: bool = False) -> Tensor:
    """Shares `[B, P]` that sum to 1: a soft choice by overlap, or all of it on the best (first of equals)."""
    if hard:
        return torch.zeros_like(overlaps).scatter(1, overlaps.argmax(dim=1, keepdim=True), 1.0)
    return torch.softmax(overlaps / TEMPERATURE, dim=1)


def path_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], selection: Tensor, weights: Tensor
) -> Tensor:
    """Mean over the batch: the student's fused feature, projected per path, against the paths chosen."""
    distances = [weighted_distance(s, t, weights) for s, t in zip(student, teacher, strict=True)]
    return (selection.detach() * torch.stack(distances, dim=1)).sum(dim=1).mean()


def response_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of score maps `[B, 1, S, S]` inside 0..1, each cell weighted by |teacher - student|.

    Summed over cells like the task's focal loss, mean over the batch.
    """
    teacher = teacher.detach()
    entropy = -(teacher * torch.log(student) + (1 - teacher) * torch.log(1 - student))
    return ((teacher - student).abs() * entropy).flatten(1).sum(dim=1).mean()


def distillation_losses(
    student: ProjectedStudent,
    teacher: TeacherView,
    projectors: Projectors,
    target_xywh: Tensor,
    heatmap: Tensor,
    settings: DistillationWeights,
) -> dict[str, Tensor]:
    """Every part that is switched on, by name, unweighted but for `distillation`, the weighted sum."""
    weights = token_weights(heatmap)
    losses = {"distillation": heatmap.new_zeros(())}
    if settings.features:
        common, specific = projectors.targets(teacher)
        losses["common"] = feature_loss(student.common, common, weights).mean()
        losses["distillation"] = losses["distillation"] + settings.features * losses["common"]
        if specific:
            losses["specific"] = feature_loss(student.specific, specific, weights).mean()
            losses["distillation"] = losses["distillation"] + settings.features * losses["specific"]
    if settings.paths:
        valid = [name for name in student.paths if teacher.paths[name].valid]
        overlaps = path_overlaps([teacher.paths[name].boxes for name in valid], target_xywh)
        selection = path_selection(overlaps, hard=settings.hard_paths)
        losses["paths"] = path_loss(
            [student.paths[name] for name in valid],
            [teacher.paths[name].tokens for name in valid],
            selection,
            weights,
        )
        losses["distillation"] = losses["distillation"] + settings.paths * losses["paths"]
    if settings.response:
        losses["response"] = response_loss(student.output.score, teacher.score)
        losses["distillation"] = losses["distillation"] + settings.response * losses["response"]
    return losses
