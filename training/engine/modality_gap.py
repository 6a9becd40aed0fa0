"""How far apart two modalities lie in feature space: the maximum mean discrepancy of both papers' figures."""

from __future__ import annotations

import torch
from torch import Tensor


def modality_gap(a: Tensor, b: Tensor, bandwidth: float | None = None) -> float:
    """Squared MMD of two sets of features, `[n, C]` and `[m, C]`: 0 for equal sets, at most 2.

    Kernel exp(-|x - y|^2 / (2 s^2)); s is `bandwidth`, or the median distance between different features of
    both sets together. The biased estimate, which is never negative and about 2 / n too large.
    """
    joined = torch.cat((a.detach(), b.detach())).double()
    squared = torch.cdist(joined, joined, compute_mode="donot_use_mm_for_euclid_dist").square()
    if bandwidth is None:
        rows, columns = torch.triu_indices(len(joined), len(joined), offset=1, device=joined.device)
        width = squared[rows, columns].median()
    else:
        width = torch.tensor(bandwidth**2, dtype=squared.dtype, device=squared.device)
    kernel = torch.exp(-squared / (2 * width.clamp(min=torch.finfo(squared.dtype).tiny)))
    n = len(a)
    gap = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
    return max(0.0, float(gap))
