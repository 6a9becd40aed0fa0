"""Coupled knowledge distillation (CKD, ACM MM 2024): style between students, content from teachers.

Formulas and constants follow the released code where it and the paper differ; sums over layers are sums, not
means.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def style_loss(rgb_taps: Sequence[Tensor], tir_taps: Sequence[Tensor]) -> Tensor:
    """`[layers]`: distance of first and second moments between the two students; both receive gradients.

    Taps are `[B, N, C]`; moments run over the tokens, the deviation with divisor N-1.
    """
    return torch.stack([_style_of_layer(x, y) for x, y in zip(rgb_taps, tir_taps, strict=True)])


def _style_of_layer(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.float(), y.float()
    mean_gap = x.mean(dim=1) - y.mean(dim=1)
    deviation_gap = x.std(dim=1) - y.std(dim=1)
    return (mean_gap**2 + deviation_gap**2).mean()


def content_loss(teacher_taps: Sequence[Tensor], student_taps: Sequence[Tensor]) -> Tensor:
    """`[layers]`: mean squared distance of instance-normalised tokens; the teacher side is a constant."""
    losses = [
        ((instance_norm(t.detach()) - instance_norm(s)) ** 2).mean()
        for t, s in zip(teacher_taps, student_taps, strict=True)
    ]
    return torch.stack(losses)


def feature_loss(rgb_taps: Sequence[Tensor], tir_taps: Sequence[Tensor]) -> Tensor:
    """`[layers]`: mean squared distance of the two students' tokens, style and content alike.

    What CKD is compared with when it is asked what decoupling gives; both sides receive gradients.
    """
    pairs = zip(rgb_taps, tir_taps, strict=True)
    return torch.stack([((x.float() - y.float()) ** 2).mean() for x, y in pairs])


def instance_norm(tokens: Tensor) -> Tensor:
    """`[B, N, C]` normalised over the tokens of each sample and channel (divisor N, epsilon 1e-5)."""
    tokens = tokens.float()
    mean = tokens.mean(dim=1, keepdim=True)
    variance = tokens.var(dim=1, keepdim=True, unbiased=False)
    return (tokens - mean) / torch.sqrt(variance + 1e-5)
