"""One optimiser step: forward and backward over parts of a batch, in one precision, over all processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edge_rgbt.errors import UsageError
from training.engine.batch_norm import share_batch_norm
from training.engine.processes import Team, choose_precision
from training.engine.settings import EngineSettings
from training.engine.sharding import shard, whole

Arrays = dict[str, Tensor]


class Stepper:
    """Holds a model as the team computes it.

    `forward` is what a recipe calls in training; `model` is the bare module, whose keys checkpoints have.
    Make the optimiser after this: sharding replaces the model's parameters.
    """

    def __init__(self, model: nn.Module, team: Team, settings: EngineSettings) -> None:
        self.team, self.settings = team, settings
        self.dtype = choose_precision(settings.precision, team.device)
        self.scaler = torch.amp.GradScaler(team.device.type, enabled=self.dtype is torch.float16)
        self.model = model.to(team.device)
        if settings.batch_norm == "together":
            share_batch_norm(model, team)
        if settings.compile:
            model.compile()
        self.forward: nn.Module = model
        if team.size > 1 and settings.shard:
            shard(model, team)
        elif team.size > 1:
            gpu = [team.device.index] if team.device.type == "cuda" else None
            self.forward = DistributedDataParallel(model, device_ids=gpu, gradient_as_bucket_view=True)

    def autocast(self) -> AbstractContextManager:
        """The run's precision, for forward passes."""
        return torch.autocast(self.team.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def parts_of(self, samples: int) -> int:
        """Into how many equal parts a process divides its share of a batch; UsageError if it cannot."""
        size = self.settings.micro_batch or samples
        if samples % size:
            raise UsageError(
                f"engine.micro_batch {size} does not divide the {samples} samples that each of "
                f"{self.team.size} processes has of a batch"
            )
        return samples // size

    def gradients(self, arrays: Arrays, losses: Callable[[Arrays], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Fills the gradients of the mean of `total` over the whole batch; returns the mean parts, detached.

        arrays: this process's share of the batch, first axis the samples. losses: of one part of it, on the
        device; `total` is differentiated. The means are of this process; `Team.mean` has all of them.
        """
        count = self.parts_of(len(next(iter(arrays.values()))))
        sums: dict[str, Tensor] = {}
        for number, part in enumerate(divided(arrays, count)):
            with self._last_part(number == count - 1):
                on_device = {
                    key: value.to(self.team.device, non_blocking=True) for key, value in part.items()
                }
                terms = losses(on_device)
                self.scaler.scale(terms["total"] / count).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach() / count
        return sums

    def update(self, optimiser: torch.optim.Optimizer, clip_norm: float) -> Tensor:
        """Clips, steps and clears the gradients; returns their norm before clipping."""
        self.scaler.unscale_(optimiser)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip_norm or float("inf"))
        self.scaler.step(optimiser)
        self.scaler.update()
        optimiser.zero_grad(set_to_none=True)
        return whole(norm)

    def _last_part(self, last: bool) -> AbstractContextManager:
        """Gradients travel between processes once per step, with the last part.

        Sharded ones travel with every part: to wait would hold all of them whole.
        """
        if isinstance(self.forward, DistributedDataParallel) and not last:
            return self.forward.no_sync()
        return nullcontext()


def divided(arrays: Mapping[str, Tensor], count: int) -> Iterator[Arrays]:
    """Equal parts along the first axis, in order."""
    for parts in zip(*(value.chunk(count) for value in arrays.values()), strict=True):
        yield dict(zip(arrays, parts, strict=True))


class MovingAverage:
    """An exponential moving average of a module's weights; running statistics and counters are copied."""

    def __init__(self, averaged: nn.Module, decay: float) -> None:
        """averaged: a module of the same keys as the part that is followed; it is put in evaluation mode."""
        self.module = averaged.eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after `step` steps, 0 copies them; early on the average forgets faster."""
        decay = min(self.decay, (1 + step) / (10 + step)) if step else 0.0
        current = model.state_dict()
        for key, value in self.module.state_dict().items():
            if decay and value.is_floating_point() and "running_" not in key:
                value.lerp_(whole(current[key]), 1 - decay)
            else:
                value.copy_(whole(current[key]))
