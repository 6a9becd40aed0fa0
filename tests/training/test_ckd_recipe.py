"""The CKD recipe end to end on tiny pictures: it learns, couples, resumes, and refuses mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.checkpoints import load_tracker, read_checkpoint

RECIPE = """
out = "{out}"
seed = 1
save_every = {save_every}
validate_every = 20

[model]
head_channels = 16
shared_students = true

[model.vit]
embed_dim = 32
depth = 2
heads = 2
patch_size = 8
stem = "conv"
template_size = 32
search_size = 64
drop_path = 0.0
unused_tables = false

[data]
pairs = ["{pairs}"]
held_out = 4
workers = 0

[optimiser]
steps = {steps}
batch = 4
learning_rate = 2e-3
warmup = 5

[distillation]
start = {start}
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for kind in ("visible", "infrared"):
        (folder / kind).mkdir()
        for i in range(8):
            coarse = rng.integers(0, 255, (16, 20, 3), np.uint8)
            image = cv2.resize(coarse, (200, 160), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / kind / f"{i}.png"), image)
    return folder


@pytest.fixture
def recipe(tmp_path, pairs):
    def write(steps: int, start: int, save_every: int = 10, out: str = "run") -> Path:
        path = tmp_path / f"{out}-{steps}.toml"
        path.write_text(
            RECIPE.format(out=tmp_path / out, pairs=pairs, steps=steps, start=start, save_every=save_every)
        )
        return path

    return write


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_loss_falls_before_and_after_coupling(recipe, tmp_path):
    assert main(["ckd", "--recipe", str(recipe(steps=160, start=110))]) == 0
    losses = [entry["total"] for entry in log_of(tmp_path / "run") if "total" in entry]
    alone, coupled = losses[:2], losses[2:]
    assert alone[1] < 0.8 * alone[0]
    assert all(np.isfinite(coupled))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["validation"][-1]["step"] == 160
    assert 0 < summary["validation"][-1]["iou"] <= 1


def test_the_checkpoint_is_a_tracker(recipe, tmp_path):
    assert main(["ckd", "--recipe", str(recipe(steps=4, start=2))]) == 0
    tracker, checkpoint = load_tracker(tmp_path / "run" / "last.pt")
    assert tracker.config.shared_students
    assert checkpoint.extras["step"] == 4


@pytest.mark.parametrize("start", [2, 9])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(recipe, tmp_path, start):
    assert main(["ckd", "--recipe", str(recipe(steps=6, start=start, out="whole"))]) == 0
    stopped = recipe(steps=6, start=start, save_every=3, out="parts")
    with pytest.raises(KeyboardInterrupt):
        stop_after(4, ["ckd", "--recipe", str(stopped)])
    assert read_checkpoint(tmp_path / "parts" / "last.pt").extras["step"] == 3
    assert main(["ckd", "--recipe", str(stopped), "--resume"]) == 0
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt").state for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def stop_after(steps: int, arguments: list[str]) -> None:
    """Runs a command and interrupts it in the backward pass of the step after `steps`."""
    backward, calls = torch.Tensor.backward, [0]

    def interrupting(self, *args, **kwargs):
        calls[0] += 1
        if calls[0] > steps:
            raise KeyboardInterrupt
        return backward(self, *args, **kwargs)

    torch.Tensor.backward = interrupting
    try:
        from training.recipes.ckd import run

        run(arguments[2], False, [])
    finally:
        torch.Tensor.backward = backward


def test_starting_over_an_existing_run_is_refused(recipe, tmp_path, capsys):
    path = recipe(steps=2, start=9)
    assert main(["ckd", "--recipe", str(path)]) == 0
    capsys.readouterr()
    assert main(["ckd", "--recipe", str(path)]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_run_starts_from_a_finished_one(recipe, tmp_path):
    assert main(["ckd", "--recipe", str(recipe(steps=2, start=9, out="first"))]) == 0
    second = recipe(steps=1, start=0, out="second")
    assert (
        main(["ckd", "--recipe", str(second), "--set", f"start_from={tmp_path / 'first' / 'last.pt'}"]) == 0
    )


def test_a_folder_without_pairs_is_named(recipe, tmp_path, capsys):
    path = recipe(steps=2, start=9)
    assert main(["ckd", "--recipe", str(path), "--set", f"data.pairs=['{tmp_path}']"]) == 2
    assert str(tmp_path) in capsys.readouterr().err
