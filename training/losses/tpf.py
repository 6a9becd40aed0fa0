"""TPF: distillation from experts by merit (tpf.md section 6), repulsion and reconstruction (section 7)."""

from __future__ import annotations

import torch
from torch import Tensor

TEMPERATURE = 0.1
MARGIN = 0.2  # the paper does not give it
COSINE_EPS = 1e-8  # least product of two norms


def expert_weights(overlaps: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """`[b, K]` from the overlaps of the judge's boxes with the true box; each row sums to 1."""
    return torch.softmax(overlaps / temperature, dim=1)


def distillation_target(experts: Tensor, weights: Tensor) -> Tensor:
    """Weighted expert picture `[b, 3, H, W]`; its squared error has the gradient of `distillation_loss`.

    experts: `[b, K, 3, H, W]`.
    """
    return (weights[:, :, None, None, None] * experts).sum(1)


def distillation_loss(fused: Tensor, experts: Tensor, weights: Tensor) -> Tensor:
    """Mean over samples of the weighted squared errors against `[b, K, 3, H, W]`; experts are constants."""
    errors = ((fused.unsqueeze(1) - experts.detach()) ** 2).mean(dim=(2, 3, 4))  # [b, K]
    return (weights.detach() * errors).sum(1).mean()


def token_cosines(tokens: Tensor, fused: Tensor) -> Tensor:
    """`[b, T]`: cosine of each token `[b, T, d]` with the fused one of the same place."""
    tokens, fused = tokens.float(), fused.float()
    norms = tokens.norm(dim=-1) * fused.norm(dim=-1)
    return (tokens * fused).sum(-1) / norms.clamp(min=COSINE_EPS)


def repulsion_loss(tokens: Tensor, fused: Tensor, margin: float = MARGIN) -> Tensor:
    """Mean hinge of the cosines above the margin, for one modality; both sides receive gradients."""
    return (token_cosines(tokens, fused) - margin).clamp(min=0).mean()


def reconstruction_loss(rebuilt: Tensor, patches: Tensor) -> Tensor:
    """Mean squared error of rebuilt patches, for one modality."""
    return ((rebuilt.float() - patches.detach()) ** 2).mean()
