"""What follows every step: the moving average, the log, validation, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_rgbt.machine import describe_machine
from training.engine.processes import Team
from training.engine.run_settings import RunSettings
from training.engine.run_state import save_run
from training.engine.stepping import MovingAverage, Stepper
from training.engine.watch import Watch

Verdict = tuple[dict[str, float], "np.ndarray | None"]  # scores by name, a picture of some samples


class Keeper:
    """Bookkeeping of one run; every process has one.

    average: of the weights that validate and are exported. judge: validates them; every process calls it.
    skipped: the frames that this process gave up since it was last called.
    better: the score that the best checkpoint has most of. family, config: what the checkpoint says it is.
    """

    def __init__(
        self,
        settings: RunSettings,
        team: Team,
        average: MovingAverage,
        judge: Callable[[Stepper], Verdict],
        skipped: Callable[[], list[str]] = list,
        *,
        family: str,
        config: Mapping[str, Any],
        first: int = 0,
        best: float = -math.inf,
        better: str = "iou",
    ) -> None:
        """first: steps already done; best: the best score of them."""
        self.settings, self.average, self.judge = settings, average, judge
        self.out, self.best, self.better = Path(settings.out), best, better
        self.stored = {"family": family, "config": config, "recipe": asdict(settings)}
        optimiser = settings.optimiser
        self.watch = Watch(
            self.out, team, settings.engine, first, optimiser.total_steps, optimiser.batch, skipped
        )

    def after(
        self,
        step: int,
        stepper: Stepper,
        optimiser: torch.optim.Optimizer,
        parts: Mapping[str, Tensor],
        gradient_norm: Tensor,
        followed: nn.Module | None = None,
    ) -> None:
        """After the update that made it `step` steps. followed: the part of the model that is averaged."""
        settings = self.settings
        last = step == settings.optimiser.total_steps
        validating = step % settings.validate_every == 0 or last
        saving = step % settings.save_every == 0 or last
        if settings.optimiser.average or validating or saving:
            self.average.follow(stepper.model if followed is None else followed, step)
        self.watch.step(step, parts, gradient_norm=gradient_norm, rate=optimiser.param_groups[0]["lr"])
        is_best = False
        if validating:
            scores, picture = self.judge(stepper)
            is_best = scores[self.better] > self.best
            self.best = max(self.best, scores[self.better])
            self.watch.validation(step, scores, picture)
        if saving or is_best:
            save_run(
                self.out, step, stepper, optimiser, self.average.module.state_dict(),
                keep_last=settings.engine.keep_last, is_best=is_best, best=self.best,
                machine=describe_machine(), **self.stored,
            )  # fmt: skip

    def finish(self) -> None:
        """Writes summary and page, and says how it came out."""
        summary = self.watch.finish(self.stored["recipe"])
        if summary and summary["validation"]:
            steps = self.settings.optimiser.total_steps
            print(f"{self.out / 'last.pt'}: {steps} steps, validation {summary['validation'][-1]}")
