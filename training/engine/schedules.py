"""Rates over a run: pure functions of the step, so there is nothing to store or restore."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW and how long and how fast.

    steps, or epochs of `epoch_samples` samples each: one of the two. batch: samples per step over all
    processes.
    schedule: `cosine` down to `final_rate` of the rate, `step` times `drop_factor` once `drop_at` of the run
    is over, or `constant`; each after a linear warm-up of `warmup` steps.
    decay: weight decay on matrices and kernels only, or on `all` that is trained.
    clip_norm: of all gradients together; 0 for none. average: decay of the weights' moving average, or 0.
    """

    steps: int = 0
    epochs: int = 0
    epoch_samples: int = 60_000
    batch: int = 32
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    final_rate: float = 0.02
    drop_at: float = 0.8
    drop_factor: float = 0.1
    warmup: int = 300
    weight_decay: float = 0.02
    decay: Literal["matrices", "all"] = "matrices"
    clip_norm: float = 1.0
    average: float = 0.999

    def __post_init__(self) -> None:
        if (self.steps > 0) == (self.epochs > 0) or min(self.steps, self.epochs) < 0:
            raise ValueError(f"steps is {self.steps} and epochs {self.epochs}; one of them above 0, not both")
        if self.batch < 1 or self.epoch_samples < self.batch:
            raise ValueError(f"batch is {self.batch}; at least 1 and at most epoch_samples")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}; from 0 to below 1")

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch; a last incomplete batch is left out."""
        return self.epoch_samples // self.batch

    @property
    def total_steps(self) -> int:
        return self.steps or self.epochs * self.epoch_steps

    def epoch_at(self, step: int) -> int:
        """The epoch that a step lies in; the first is 1."""
        return step // self.epoch_steps + 1


def rate_at(step: int, settings: OptimiserSettings) -> float:
    """The learning rate of a step, counted from 0."""
    warm = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    done = min(1.0, step / settings.total_steps)
    factor = 1.0
    if settings.schedule == "cosine":
        factor = settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * done))
    elif settings.schedule == "step" and done >= settings.drop_at:
        factor = settings.drop_factor
    return settings.learning_rate * warm * factor


def make_optimiser(
    model: nn.Module,
    settings: OptimiserSettings,
    factors: dict[str, float] | None = None,
    unweighted: Collection[str] = (),
) -> torch.optim.AdamW:
    """AdamW over what is trained, in groups of equal rate and decay.

    factors: part of a parameter's name -> factor on the rate; the first that occurs in a name counts.
    unweighted: names of parameters that take no weight decay, whatever the settings say.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for wanted in (True, False):
        for name, parameter in named:
            decayed = settings.decay == "all" or (parameter.ndim > 1 and parameter.shape[0] != 1)
            decayed = decayed and name not in unweighted
            if decayed is wanted:
                factor = next((f for part, f in (factors or {}).items() if part in name), 1.0)
                groups.setdefault((decayed, factor), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "weight_decay": settings.weight_decay if decayed else 0.0, "factor": factor}
            for (decayed, factor), members in groups.items()
        ],
        lr=settings.learning_rate,
        fused=True,
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Gives every group its rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
