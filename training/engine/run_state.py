"""The state of a run on disk: written whole, the last few and the best kept, resumed where it stopped.

`last.pt` is the newest, `best.pt` the one that validated best, `step-*.pt` the last few; equal ones share
their space on disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from edge_rgbt.files import atomic_path
from training.checkpoints import CheckpointError, load_strictly, save_checkpoint
from training.engine.processes import Team
from training.engine.random_states import random_states, restore_random_states
from training.engine.sharding import whole
from training.engine.stepping import Stepper

LAST, BEST = "last.pt", "best.pt"


def save_run(
    out: Path,
    step: int,
    stepper: Stepper,
    optimiser: torch.optim.Optimizer,
    net: Mapping[str, torch.Tensor],
    *,
    keep_last: int,
    is_best: bool,
    **extras: Any,
) -> None:
    """Writes the whole state after `step` steps; every process must call it, the leader writes.

    net: the weights that are exported. extras: family, config, recipe and the like, plain values.
    Raises EdgeRgbtError, one line, when the disk is full; the checkpoints before stay.
    """
    team = stepper.team
    states = team.gather(random_states())
    model = {key: whole(value) for key, value in stepper.model.state_dict().items()}
    optimiser_state = _mapped(optimiser.state_dict(), whole)
    if not team.leads:
        return
    numbered = out / f"step-{step:07d}.pt"
    save_checkpoint(
        numbered,
        net,
        step=step,
        model=model,
        optimiser=optimiser_state,
        scaler=stepper.scaler.state_dict(),
        random=states,
        **extras,
    )
    _same_file(numbered, out / LAST)
    if is_best:
        _same_file(numbered, out / BEST)
    for old in sorted(out.glob("step-*.pt"))[:-keep_last]:
        if old != numbered:
            old.unlink()


def read_run(path: Path, family: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The stored state. Raises CheckpointError, one line: a damaged file, another family or other sizes."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(
            f"{path} is not a whole checkpoint ({reason}); put an older step-*.pt in its place"
        ) from None
    if not isinstance(state, dict) or not {"step", "model", "optimiser", "net"} <= state.keys():
        raise CheckpointError(f"{path} holds weights but no run to resume; name it as start_from instead")
    if state.get("family", family) != family:
        raise CheckpointError(f"{path} is a run of family {state['family']!r}, the recipe's is {family!r}")
    different = differing_values(state.get("config", {}), config)
    if different:
        key, stored, wanted = different[0]
        raise CheckpointError(
            f"{path} is of another size: {key} is {stored!r}, the recipe says {wanted!r}; choose another out"
        )
    return state


def restore_run(
    state: Mapping[str, Any], stepper: Stepper, optimiser: torch.optim.Optimizer, where: str
) -> None:
    """Puts weights, optimiser, scaler and random states back; the caller restores its own average."""
    model = stepper.model
    wanted = model.state_dict()
    load_strictly(model, _like(state["model"], wanted), where)
    try:
        optimiser.load_state_dict(_with_factors(_sharded(state["optimiser"], optimiser), optimiser))
    except ValueError as error:
        raise CheckpointError(
            f"{where}: its optimiser trained other parts of the network ({error})"
        ) from None
    if state.get("scaler"):
        stepper.scaler.load_state_dict(state["scaler"])
    _restore_random(state, stepper.team)


def differing_values(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    """Keys that both have with other values: (dotted key, stored, wanted)."""
    found: list[tuple[str, Any, Any]] = []
    for key in wanted:
        if key not in stored:
            continue
        a, b = stored[key], wanted[key]
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differing_values(a, b, f"{prefix}{key}.")
        elif (list(a) if isinstance(a, tuple) else a) != (list(b) if isinstance(b, tuple) else b):
            found.append((prefix + key, a, b))
    return found


def _restore_random(state: Mapping[str, Any], team: Team) -> None:
    states = state.get("random")
    if states is None and "rng" in state:  # written before other random states were kept
        torch.set_rng_state(state["rng"])
    elif states is not None and len(states) == team.size:
        restore_random_states(states[team.rank])


def _same_file(source: Path, target: Path) -> None:
    """A second name for a checkpoint, put in place at once; a copy where the disk knows no links."""
    with atomic_path(target) as part:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)


def _mapped(tree: Any, change: Any) -> Any:
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: _mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_mapped(value, change) for value in tree)
    return tree


def _like(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Whole tensors spread over the processes wherever the module's own are."""
    return {key: _spread(value, wanted.get(key)) for key, value in state.items()}


def _spread(value: torch.Tensor, example: torch.Tensor | None) -> torch.Tensor:
    if not isinstance(example, DTensor) or value.shape != example.shape:
        return value
    return distribute_tensor(value.to(example.device), example.device_mesh, example.placements)


def _sharded(state: Mapping[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    moments = {
        index: {
            name: _spread(value, parameters[index]) if isinstance(value, torch.Tensor) else value
            for name, value in values.items()
        }
        for index, values in state["state"].items()
        if index < len(parameters)
    }
    return {"state": moments, "param_groups": state["param_groups"]}


def _with_factors(state: dict[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Rates and decay are the recipe's, also where a resumed run's recipe has changed them."""
    groups = [
        {**stored, **{key: own[key] for key in ("weight_decay", "factor") if key in own}}
        for stored, own in zip(state["param_groups"], optimiser.param_groups, strict=False)
    ]
    return {**state, "param_groups": groups + state["param_groups"][len(groups) :]}


def prepare_folder(out: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from, if there is one. Raises UsageError if a run would be overwritten."""
    newest = out / LAST
    if not newest.exists():
        return None
    if not resume:
        raise CheckpointError(f"{newest} exists; continue it with --resume or choose another out=")
    return newest
