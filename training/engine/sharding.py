"""Weights, gradients and optimiser state spread over the processes of a run (FSDP)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from training.engine.processes import Team


def shard(model: nn.Module, team: Team) -> None:
    """Spreads the model over the team, in place; a part's weights are whole only while it computes."""
    mesh = init_device_mesh(team.device.type, (team.size,))
    for part in shard_parts(model):
        fully_shard(part, mesh=mesh)
    fully_shard(model, mesh=mesh)  # the rest: stems, norms, tables, heads


def shard_parts(model: nn.Module) -> Iterator[nn.Module]:
    """What is gathered by itself: the composite parts of every layer in a ModuleList, inner lists first.

    Of a transformer block these are attention and perceptron, not the block: FSDP gathers in `forward`, and
    networks also call a block's halves one by one. A layer without composite parts is taken whole.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    for layer in (layer for layers in reversed(lists) for layer in layers):
        composite = [part for part in layer.children() if any(True for _ in part.children())]
        for part in composite or [layer]:
            if not isinstance(part, nn.ModuleList) and any(True for _ in part.parameters()):
                yield part


def whole(value: Tensor) -> Tensor:
    """A tensor that may be spread over processes, in one piece; every process must call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value
