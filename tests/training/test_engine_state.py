"""What the engine keeps on disk: whole checkpoints, the last few and the best, random states, the log."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_rgbt.errors import EdgeRgbtError
from training.checkpoints import CheckpointError, save_checkpoint
from training.engine.processes import Team
from training.engine.random_states import batch_generator, random_states, restore_random_states
from training.engine.run_log import append_log, read_log, rewind_log
from training.engine.run_state import differing_values, prepare_folder, read_run, restore_run, save_run
from training.engine.settings import EngineSettings
from training.engine.stepping import Stepper

ALONE = Team(0, 1, torch.device("cpu"))


def make_run(width: int = 3) -> tuple[Stepper, torch.optim.Optimizer]:
    torch.manual_seed(0)
    stepper = Stepper(nn.Linear(width, 2), ALONE, EngineSettings(device="cpu", precision="float32"))
    optimiser = torch.optim.AdamW(stepper.model.parameters(), lr=0.1)
    stepper.model(torch.ones(1, width)).sum().backward()
    optimiser.step()
    return stepper, optimiser


def save(out: Path, step: int, is_best: bool = False, keep_last: int = 2) -> None:
    stepper, optimiser = make_run()
    net = stepper.model.state_dict()
    config = {"width": 3}
    save_run(
        out, step, stepper, optimiser, net, keep_last=keep_last, is_best=is_best, family="ckd", config=config
    )


def test_the_last_few_and_the_best_are_kept(tmp_path):
    for step, is_best in ((1, False), (2, True), (3, False), (4, False)):
        save(tmp_path, step, is_best)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best.pt", "last.pt", "step-0000003.pt", "step-0000004.pt"]
    assert torch.load(tmp_path / "best.pt", weights_only=True)["step"] == 2
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 4


def test_weights_optimiser_and_random_states_come_back(tmp_path):
    save(tmp_path, 5)
    drawn = (random.random(), np.random.random(), torch.rand(1).item())  # noqa: NPY002
    stepper, optimiser = make_run()
    with torch.no_grad():
        stepper.model.weight.zero_()
    optimiser.state.clear()
    state = read_run(tmp_path / "last.pt", "ckd", {"width": 3})
    restore_run(state, stepper, optimiser, "last.pt")
    again = (random.random(), np.random.random(), torch.rand(1).item())  # noqa: NPY002
    assert again == drawn
    assert torch.equal(stepper.model.weight, state["model"]["weight"])
    assert optimiser.state_dict()["state"][0]["step"] == 1


@pytest.mark.parametrize(
    ("family", "config", "named"),
    [
        ("tpf", {"width": 3}, "family 'ckd', the recipe's is 'tpf'"),
        ("ckd", {"width": 4}, "width is 3, the recipe says 4"),
    ],
)
def test_another_family_or_size_is_named(tmp_path, family, config, named):
    save(tmp_path, 1)
    with pytest.raises(CheckpointError, match=named):
        read_run(tmp_path / "last.pt", family, config)


def test_a_torn_checkpoint_is_named(tmp_path):
    save(tmp_path, 1)
    torn = tmp_path / "torn.pt"
    torn.write_bytes((tmp_path / "last.pt").read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"torn\.pt is not a whole checkpoint"):
        read_run(torn, "ckd", {})


def test_weights_alone_are_no_run(tmp_path):
    save_checkpoint(tmp_path / "weights.pt", {"a": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="start_from"):
        read_run(tmp_path / "weights.pt", "ckd", {})


def test_a_folder_with_a_run_is_not_started_over(tmp_path):
    assert prepare_folder(tmp_path, resume=True) is None
    save(tmp_path, 1)
    assert prepare_folder(tmp_path, resume=True) == tmp_path / "last.pt"
    with pytest.raises(CheckpointError, match="--resume"):
        prepare_folder(tmp_path, resume=False)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path):
    save_checkpoint(tmp_path / "last.pt", {"a": torch.zeros(1)})
    before = (tmp_path / "last.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(EdgeRgbtError, match=r"cannot write .*last\.pt: .*; free space") as fault:
            save_checkpoint(tmp_path / "last.pt", {"a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(fault.value)
    assert (tmp_path / "last.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_differing_values_are_found_below_tables():
    stored = {"a": 1, "b": {"c": (1, 2), "d": 3}, "only": 1}
    assert differing_values(stored, {"a": 1, "b": {"c": [1, 2], "d": 4}, "new": 2}) == [("b.d", 3, 4)]


def test_random_states_of_all_libraries_come_back():
    states = random_states()
    first = (random.random(), np.random.normal(), torch.randn(2).tolist())  # noqa: NPY002
    restore_random_states(states)
    assert (random.random(), np.random.normal(), torch.randn(2).tolist()) == first  # noqa: NPY002


def test_a_batch_generator_depends_on_seed_and_step_only():
    draws = [torch.rand(4, generator=batch_generator(seed, step)).tolist() for seed, step in ((1, 2), (1, 3))]
    assert draws[0] != draws[1]
    assert torch.rand(4, generator=batch_generator(1, 2)).tolist() == draws[0]


def test_the_log_goes_back_to_the_checkpoint(tmp_path):
    for step in (1, 2, 3):
        append_log(tmp_path, {"step": step})
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "tor')
    rewind_log(tmp_path, 2)
    append_log(tmp_path, {"step": 3})
    assert [entry["step"] for entry in read_log(tmp_path)] == [1, 2, 3]
