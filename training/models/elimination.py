"""Which search tokens to drop on the way through the branches (ckd.md section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

TemplateMask = Literal["ctr_point", "ctr_rec", "all"]


@dataclass(frozen=True)
class EliminationConfig:
    """Where and how much is dropped.

    mode: `none`; `ce` each branch ranks by its own attention; `mce` one ranking from both modalities.
    layers, ratios: after the attention of these blocks this share of the search tokens is kept.
    template_mask: the template tokens whose attention counts: the central one, the central 2x2, or all.
    """

    mode: Literal["none", "ce", "mce"] = "none"
    layers: tuple[int, ...] = (3, 6, 9)
    ratios: tuple[float, ...] = (0.7, 0.7, 0.7)
    template_mask: TemplateMask = "ctr_point"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "ratios", tuple(self.ratios))
        if self.mode not in ("none", "ce", "mce"):
            raise ValueError(f"elimination mode is {self.mode!r}, expected none, ce or mce")
        if self.template_mask not in ("ctr_point", "ctr_rec", "all"):
            raise ValueError(f"template_mask is {self.template_mask!r}, expected ctr_point, ctr_rec or all")
        if len(self.layers) != len(self.ratios):
            raise ValueError(f"{len(self.layers)} elimination layers but {len(self.ratios)} ratios")
        if any(not 0 < ratio <= 1 for ratio in self.ratios):
            raise ValueError(f"elimination ratios {self.ratios} must be greater than 0 and at most 1")

    def ratio_at(self, layer: int) -> float:
        """Share kept at this block; 1.0 where nothing is dropped."""
        if self.mode == "none" or layer not in self.layers:
            return 1.0
        return self.ratios[self.layers.index(layer)]


@dataclass(frozen=True, eq=False)
class Cut:
    """One decision: scores of the tokens present and the original indices before and after, `[B, n]`."""

    layer: int
    before: Tensor
    scores: Tensor
    kept: Tensor


def keep_count(tokens: int, ratio: float) -> int:
    """Tokens that stay: the ceiling in double precision, so 0.7 of 180 is 126."""
    return math.ceil(ratio * tokens)


def template_queries(side: int, mask: TemplateMask = "ctr_point") -> tuple[int, ...]:
    """Indices of the template tokens that vote, on a grid of side x side."""
    if mask == "all":
        return tuple(range(side * side))
    low, high = (side - 1) // 2, side // 2
    if mask == "ctr_point":
        high = low
    return tuple(row * side + column for row in range(low, high + 1) for column in range(low, high + 1))


def keep_rate(epoch: int, start: int, warm_up: int, base: float = 0.7) -> float:
    """Share kept at an epoch (the first is 1): 1 before `start`, then a cosine to `base`."""
    if epoch < start:
        return 1.0
    if epoch >= start + warm_up:
        return base
    return base + (1.0 - base) * 0.5 * (1.0 + math.cos(math.pi * (epoch - start) / warm_up))


def search_scores(rows: Tensor, template_tokens: int) -> Tensor:
    """Attention of the voting queries `[B, H, Q, N]` to scores of the search tokens `[B, n]`."""
    return rows[..., template_tokens:].float().mean(dim=2).mean(dim=1)


def mutual_rows(rows: Sequence[Tensor]) -> Tensor:
    """Joins the votes of several branches: the larger weight, element by element, before any mean."""
    joined = rows[0]
    for other in rows[1:]:
        joined = torch.maximum(joined, other)
    return joined


def keep_tokens(tokens: Tensor, positions: Tensor, template_tokens: int) -> Tensor:
    """Keeps all template tokens and the search tokens at `positions` `[B, n']`."""
    template, search = tokens[:, :template_tokens], tokens[:, template_tokens:]
    index = positions.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
    return torch.cat((template, search.gather(1, index)), dim=1)


def restore_search(search: Tensor, index: Tensor, total: int) -> Tensor:
    """Puts the surviving search tokens `[B, n, C]` back at their original places; the others become 0.

    A product with zeros and ones: exact, and unlike a scatter no plugin for TensorRT 10.3.
    """
    places = torch.arange(total, device=index.device).view(1, total, 1)
    return torch.matmul((index.unsqueeze(1) == places).to(search.dtype), search)
