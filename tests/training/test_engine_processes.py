"""Several processes do what one does: real processes under torchrun, with gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import losses_of, make_pairs, write_recipe

from training.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = """
family = "ckd"
[variants.together]
text = "BatchNorm over the whole batch"
set = ["engine.batch_norm=together"]
[variants.each]
text = "BatchNorm in each process"
[variants.sharded]
text = "weights and optimiser spread over the processes"
set = ["engine.shard=true"]
"""

pytestmark = pytest.mark.slow


def in_two_processes(*call: str) -> str:
    """Starts two processes under torchrun; returns what they printed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, *call],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The same recipe in two processes, in three ways, and in one process, in the two to compare with."""
    folder = tmp_path_factory.mktemp("processes")
    pairs = make_pairs(folder)
    (folder / "variants.toml").write_text(VARIANTS)
    recipe = write_recipe(folder, pairs)
    call = ["ablate", "ckd", "--recipe", str(recipe), "--out", str(folder)]
    in_two_processes("-m", "training", *call, "--list", str(folder / "variants.toml"))
    for name, setting in (("whole", "engine.micro_batch=0"), ("accumulated", "engine.micro_batch=2")):
        assert main(["ckd", "--recipe", str(write_recipe(folder, pairs, name)), "--set", setting]) == 0
    return folder


def test_two_processes_with_common_batch_norm_lose_what_one_loses(runs):
    assert losses_of(runs / "together") == pytest.approx(losses_of(runs / "whole"), rel=1e-4)


def test_two_processes_lose_what_one_that_accumulates_loses(runs):
    assert losses_of(runs / "each") == pytest.approx(losses_of(runs / "accumulated"), rel=1e-4)


def test_batch_norm_in_each_process_is_not_that_of_the_whole_batch(runs):
    assert losses_of(runs / "each") != pytest.approx(losses_of(runs / "whole"), rel=1e-4)


def test_sharded_processes_lose_the_same(runs):
    assert losses_of(runs / "sharded") == pytest.approx(losses_of(runs / "accumulated"), rel=1e-4)


def test_a_sharded_run_goes_on_in_one_process(runs):
    recipe = (runs / "run.toml").read_text().replace(str(runs / "run"), str(runs / "sharded"))
    (runs / "go_on.toml").write_text(recipe)
    settings = ["--set", "optimiser.steps=5", "--set", "engine.micro_batch=2"]
    assert main(["ckd", "--recipe", str(runs / "go_on.toml"), "--resume", *settings]) == 0
    assert max(losses_of(runs / "sharded")) == 5


def test_a_sharded_model_is_held_in_halves_and_gathered_part_by_part():
    found = json.loads(in_two_processes(str(Path(__file__).with_name("sharded_step.py"))))
    assert found["held"] == pytest.approx(found["numbers"] / 2, rel=0.02)
    assert found["most_whole"] < found["numbers"] / 4  # as one unit, all of them would be
    assert found["gradient_error"] < 1e-5
