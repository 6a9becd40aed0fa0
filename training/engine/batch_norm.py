"""BatchNorm whose statistics are those of the whole batch, over all processes.

PyTorch's SyncBatchNorm does this on GPUs only; here is the same for CPUs, so that the tests can show that a
run does not depend on the number of processes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.engine.processes import Team


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; each of them depends on it, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def total_over_processes(value: Tensor) -> Tensor:
    """Sum over all processes, differentiable; every process must call it."""
    return _Total.apply(value)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """In training, mean and variance over the samples of all processes, which must have equally many."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        size = dist.get_world_size()
        x = input.float()
        mean = total_over_processes(x.mean((0, 2, 3))) / size
        centred = x - mean[:, None, None]
        variance = total_over_processes(centred.square().mean((0, 2, 3))) / size
        with torch.no_grad():
            count = size * x.numel() / x.shape[1]
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        scale = self.weight / torch.sqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)


def share_batch_norm(model: nn.Module, team: Team) -> None:
    """Turns every BatchNorm2d into one over all processes, in place; parameters and keys stay."""
    if team.size == 1:
        return
    kind = nn.SyncBatchNorm if team.device.type == "cuda" else SharedBatchNorm2d
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                shared = kind(child.num_features, child.eps, child.momentum or 0.1)
                for key, tensor in (*child.named_parameters(), *child.named_buffers()):
                    setattr(shared, key, tensor)
                shared.train(child.training)
                setattr(parent, name, shared)
