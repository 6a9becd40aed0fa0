"""The CKD recipe end to end on tiny pictures: it learns, couples, resumes, and refuses mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import write_sequence
from tiny_runs import assert_equal_states, log_of, losses_of, stop_in_step, write_recipe

from training.__main__ import main
from training.checkpoints import load_tracker
from training.engine.run_log import read_log, skipped_frames
from training.models.ckd import CkdTrainingModel
from training.recipes.ckd import draw_masks, keep_ratio_at
from training.recipes.ckd_settings import DistillationSettings, Recipe
from training.recipes.ckd_start import start_model
from training.recipes.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def train(tmp_path, pairs):
    """Runs the tiny recipe into a folder of its own; returns exit status and folder."""

    def call(out: str = "run", *settings: str, resume: bool = False) -> tuple[int, Path]:
        recipe = write_recipe(tmp_path, pairs, out)
        extra = ["--resume"] if resume else []
        for setting in settings:
            extra += ["--set", setting]
        return main(["ckd", "--recipe", str(recipe), *extra]), tmp_path / out

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pairs) -> Path:
    """The folder of a finished run, coupled for its last two steps, with pictures."""
    folder = tmp_path_factory.mktemp("finished")
    arguments = ["--recipe", str(write_recipe(folder, pairs))]
    for setting in ("engine.pictures=2", "engine.tensorboard=true", "engine.page=true"):
        arguments += ["--set", setting]
    assert main(["ckd", *arguments]) == 0
    return folder / "run"


@pytest.mark.slow
def test_the_loss_falls_before_and_after_coupling(train):
    status, out = train(
        "run", "optimiser.steps=220", "distillation.start=110", "optimiser.learning_rate=4e-3",
        "validate_every=110", "save_every=110", "optimiser.batch=8", "validation_samples=32",
    )  # fmt: skip
    assert status == 0
    totals = list(losses_of(out).values())
    assert np.mean(totals[90:110]) < 0.8 * np.mean(totals[:10])
    assert np.mean(totals[-30:]) < 0.97 * np.mean(totals[110:130])
    summary = json.loads((out / "summary.json").read_text())
    assert summary["validation"][-1]["step"] == 220


def test_the_checkpoint_is_a_tracker(finished):
    tracker, checkpoint = load_tracker(finished / "last.pt")
    assert tracker.config.shared_students
    assert checkpoint.extras["step"] == 4


def test_every_part_of_the_loss_is_logged(finished):
    alone, coupled = log_of(finished)[0], log_of(finished)[2]
    assert {"total", "giou", "l1", "focal", "iou", "rate", "gradient_norm", "samples_per_s"} <= alone.keys()
    assert {"style", "content_rgb", "content_tir", "task_teacher_rgb", "task_teacher_tir"} <= coupled.keys()


def test_a_run_leaves_pictures_page_and_summary(finished):
    assert (finished / "pictures" / "step-0000004.jpg").stat().st_size > 500
    page = (finished / "index.html").read_text()
    assert "data:image/jpeg" in page
    assert page.count("<svg") > 5
    last = json.loads((finished / "summary.json").read_text())["validation"][-1]
    assert 0 <= last["iou"] <= 1
    assert 0 <= last["modality_gap"] <= 2


@pytest.mark.parametrize("start", [2, 9])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(train, start):
    settings = ("optimiser.steps=6", f"distillation.start={start}", "model.vit.drop_path=0.2")
    _, whole = train("whole", *settings)
    assert stop_in_step(4, lambda: train("parts", *settings)[0]) == 128 + signal.SIGINT
    status, parts = train("parts", *settings, resume=True)
    assert status == 0
    assert_equal_states(whole / "last.pt", parts / "last.pt")
    assert losses_of(parts) == losses_of(whole)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_where_an_undisturbed_one_does(train, tmp_path, pairs):
    steps = 60
    settings = (f"optimiser.steps={steps}", "distillation.start=6", "model.vit.drop_path=0.2", "save_every=3")
    call = [sys.executable, "-m", "training", "ckd", "--recipe", str(write_recipe(tmp_path, pairs, "killed"))]
    for setting in settings:
        call += ["--set", setting]
    out = tmp_path / "killed"
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as here: sums depend on it
    process = subprocess.Popen(call, cwd=ROOT, env=one_thread, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "step-0000009.pt").exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert torch.load(out / "last.pt", weights_only=True)["step"] < steps
    assert train("killed", *settings, resume=True)[0] == 0
    _, whole = train("whole", *settings)
    assert_equal_states(whole / "last.pt", out / "last.pt")
    assert losses_of(out) == losses_of(whole)


def test_starting_over_an_existing_run_is_refused(finished, capsys):
    assert main(["ckd", "--recipe", str(finished.parent / "run.toml")]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_run_of_another_size_is_not_resumed(finished, capsys):
    call = ["ckd", "--recipe", str(finished.parent / "run.toml"), "--resume", "--set", "model.vit.depth=3"]
    assert main(call) == 2
    error = capsys.readouterr().err
    assert "vit.depth is 2, the recipe says 3" in error
    assert error.count("\n") == 1


def test_a_run_starts_from_a_finished_one_with_its_teachers(finished):
    recipe = write_recipe_of(finished, "distillation.start=0", f"start_from={finished / 'last.pt'}")
    model, stored = start_model(recipe), torch.load(finished / "last.pt", weights_only=True)
    assert isinstance(model, CkdTrainingModel)
    for key, value in model.state_dict().items():
        assert torch.equal(value, stored["net"].get(key, stored["model"][key])), key


def write_recipe_of(finished: Path, *settings: str) -> Recipe:
    return load_settings(Recipe, finished.parent / "run.toml", settings)


def test_every_branch_starts_from_a_published_tracker(finished, tmp_path):
    recipe = write_recipe_of(finished, "distillation.start=0", "model.shared_students=false")
    source = start_model(recipe)
    published = {
        key.replace("teacher_rgb", "backbone").replace("box_head_v", "box_head"): value
        for key, value in source.state_dict().items()
        if key.startswith(("teacher_rgb", "box_head_v"))
    }
    torch.save({"net": published}, tmp_path / "ostrack.pth.tar")
    settings = (
        *("distillation.start=0", "model.shared_students=false"),
        f"start_from={tmp_path}/ostrack.pth.tar",
    )
    state = start_model(write_recipe_of(finished, *settings)).state_dict()
    for branch in ("rgb_branch", "tir_branch", "teacher_rgb", "teacher_tir"):
        for key, value in published.items():
            if key.startswith("backbone."):
                assert torch.equal(state[key.replace("backbone", branch)], value), key
    wide = state["box_head.conv1_ctr.0.weight"]
    assert torch.equal(wide, published["box_head.conv1_ctr.0.weight"].repeat(1, 2, 1, 1))


def test_a_start_of_another_family_is_named(finished, tmp_path, train, capsys):
    torch.save({"net": {"a": torch.zeros(1)}, "family": "tpf"}, tmp_path / "other.pt")
    assert train("run", f"start_from={tmp_path}/other.pt")[0] == 2
    assert "family 'tpf', not ckd" in capsys.readouterr().err


def test_the_second_phase_trains_the_heads_alone_under_elimination(train, finished):
    settings = (
        "trained=heads", f"start_from={finished / 'last.pt'}", "distillation.start=0",
        "distillation.masked_share=0", "model.elimination.mode=mce", "model.elimination.layers=[0]",
        "model.elimination.ratios=[0.7]", "optimiser.steps=2", "optimiser.average=0",
    )  # fmt: skip
    status, out = train("second", *settings)
    assert status == 0
    before = torch.load(finished / "last.pt", weights_only=True)
    before = {**before["model"], **before["net"]}
    after = torch.load(out / "last.pt", weights_only=True)["model"]
    changed = {key.split(".")[0] for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {"box_head", "box_head_v", "box_head_i"}
    assert load_tracker(out / "last.pt")[0].config.elimination.mode == "mce"


def test_the_second_phase_needs_teachers(train, finished, tmp_path, capsys):
    torch.save(torch.load(finished / "last.pt", weights_only=True)["net"], tmp_path / "bare.pt")
    settings = ("trained=heads", f"start_from={tmp_path}/bare.pt", "distillation.start=0")
    assert train("second", *settings)[0] == 2
    assert "holds no teachers" in capsys.readouterr().err


def test_a_folder_without_pairs_is_named(train, tmp_path, capsys):
    assert train("run", f"data.pairs=['{tmp_path}']")[0] == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_frames_that_workers_skip_stand_in_log_and_summary(train, tmp_path):
    for name in ("a", "b"):
        write_sequence(tmp_path, "lasher", name, 21, "trainingset")
    broken = sorted((tmp_path / "trainingset" / "b" / "visible").iterdir())[:10]
    for picture in broken:
        picture.write_bytes(b"no image")
    source = (f"data.sources.lasher.path={tmp_path}", "data.pairs=[]", "data.workers=1")
    status, out = train("run", *source, "optimiser.steps=2")
    assert status == 0
    named = skipped_frames(read_log(out))
    assert named
    assert all(any(f"b: {picture}: " in frame for picture in broken) for frame in named)
    assert len(set(named)) == len(named)
    assert json.loads((out / "summary.json").read_text())["skipped"]["frames"] == len(named)


def test_nan_stops_the_run_and_keeps_the_batch(train, capsys):
    status, out = train("run", "optimiser.learning_rate=1e30")
    assert status == 1
    assert "batch kept in" in capsys.readouterr().err
    assert np.load(out / "bad_batch.npz")["search_rgb"].shape == (4, 32, 32, 3)


def test_ablations_run_the_recipe_with_other_values(tmp_path, pairs, capsys):
    variants = tmp_path / "variants.toml"
    variants.write_text(
        'family = "ckd"\n[variants.plain]\ntext = "as is"\n'
        '[variants.norm]\ntext = "normalised"\nset = ["model.student_norm=true"]\n'
        '[[tables]]\ntitle = "Norm"\nrows = ["plain", "norm"]\n'
    )
    call = ["ablate", "ckd", "--recipe", str(write_recipe(tmp_path, pairs)), "--out", str(tmp_path / "all")]
    assert (
        main([*call, "--list", str(variants), "--set", "optimiser.steps=1", "--set", "distillation.start=0"])
        == 0
    )
    assert "| normalised |" in capsys.readouterr().out
    assert load_tracker(tmp_path / "all" / "norm" / "last.pt")[0].config.student_norm


def test_masks_follow_the_settings():
    dice = torch.Generator().manual_seed(0)
    exact = draw_masks(DistillationSettings(masking="exact"), 8, 64, dice)
    assert (exact.sum(1) == 48).all()
    independent = draw_masks(DistillationSettings(), 64, 256, dice)
    assert independent.float().mean() == pytest.approx(0.75, abs=0.02)
    assert len(set(independent.sum(1).tolist())) > 5
    some = draw_masks(DistillationSettings(masked_samples=0.5), 64, 256, dice).all(1)
    assert 16 < int(some.sum()) < 48


def test_the_keep_ratio_follows_its_schedule(finished):
    settings = (
        "model.elimination.mode=mce", "model.elimination.layers=[0]", "model.elimination.ratios=[0.7]",
        "keep_schedule.start=2", "keep_schedule.warm_up=2", "optimiser.epoch_samples=4",
    )  # fmt: skip
    recipe = write_recipe_of(finished, *settings)
    assert [keep_ratio_at(step, recipe) for step in range(4)] == [1.0, 1.0, pytest.approx(0.85), None]
