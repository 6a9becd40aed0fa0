"""The TransCMD recipe, stage by stage, on tiny pictures: it learns, resumes, exports, refuses mistakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from taught_runs import STAGES, call, replayed_boxes, write_text
from tiny_runs import assert_equal_states, log_of, losses_of, make_pairs, stop_in_step
from transcmd_networks import tiny_student

from training.__main__ import main
from training.checkpoints import read_checkpoint, save_checkpoint
from training.engine.processes import Team
from training.models.teachers import TransCmdAsTeacher, load_teacher
from training.models.transcmd.stored import load_student
from training.models.transcmd.student import TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher
from training.models.vit import Vit
from training.recipes.settings import load_settings
from training.recipes.transcmd import STAGES as KNOWN_STAGES
from training.recipes.transcmd import Stage, with_mask_noise
from training.recipes.transcmd_settings import Recipe

ROOT = Path(__file__).resolve().parents[2]
ALONE = Team(0, 1, torch.device("cpu"))
Train = Callable[..., tuple[int, Path]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of finished runs by stage, each four steps; the student is distilled after its pretraining."""
    folder = tmp_path_factory.mktemp("transcmd")
    runs = {stage: folder / stage for stage in STAGES}
    pairs = make_pairs(folder)
    for stage, text in STAGES.items():
        settings = ["distillation.masked_weight=0.1", "distillation.response=1.0"]
        settings += [f"pretrained_by={runs['cmae'] / 'last.pt'}"] if stage == "distil" else []
        recipe = write_text(folder, text, pairs, stage, runs["teacher"] / "last.pt")
        assert call("transcmd", recipe, "optimiser.average=0.9", *settings) == 0
    return runs


@pytest.fixture
def train(tmp_path: Path, finished: dict[str, Path]) -> Train:
    """Runs a tiny stage into a folder of its own; returns exit status and folder."""

    def run(stage: str, out: str, *settings: str, resume: bool = False) -> tuple[int, Path]:
        teacher = finished["teacher"] / "last.pt"
        recipe = write_text(tmp_path, STAGES[stage], finished["teacher"].parent, out, teacher)
        return call("transcmd", recipe, *settings, resume=resume), tmp_path / out

    return run


def start(finished: dict[str, Path], stage: str, *settings: str) -> tuple[Stage, Recipe]:
    """A stage as its run would start it."""
    recipe = load_settings(Recipe, finished[stage].parent / f"{stage}.toml", settings)
    return KNOWN_STAGES[stage](recipe, ALONE), recipe


def test_every_stage_of_the_settings_is_tried() -> None:
    assert set(STAGES) == set(KNOWN_STAGES) == {"teacher", "cmae", "distil"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "settings", "below"),
    [
        ("teacher", (), 0.8),
        ("cmae", ("optimiser.learning_rate=8e-3", "student.width=32"), 0.9),
        ("distil", ("distillation.masked_weight=0.1",), 0.6),
        ("distil", ("student.mode=pair",), 0.6),
    ],
    ids=["teacher", "cmae", "distil", "distil-pair"],
)
def test_the_loss_falls(stage: str, settings: tuple[str, ...], below: float, train: Train) -> None:
    rates = ("optimiser.steps=60", "optimiser.learning_rate=4e-3", "validate_every=60", "save_every=60")
    status, out = train(stage, "run", *rates, *settings)
    assert status == 0
    totals = list(losses_of(out).values())
    assert np.mean(totals[-10:]) < below * totals[0]
    if stage == "distil":
        taught = [entry["distillation"] for entry in log_of(out) if "total" in entry]
        assert np.mean(taught[-10:]) < below * taught[0]


def test_every_part_of_the_loss_is_logged(finished: dict[str, Path]) -> None:
    teacher, cmae, distil = (log_of(finished[stage])[0] for stage in ("teacher", "cmae", "distil"))
    task = {"total", "giou", "l1", "focal", "iou"}
    assert task | {"task_rgb", "task_tir", "iou_rgb", "iou_tir"} <= teacher.keys()
    assert {"total", "explained"} <= cmae.keys()
    assert task | {"common", "specific", "paths", "distillation", "masked", "response"} <= distil.keys()
    taught = distil["common"] + distil["specific"] + distil["paths"] + distil["response"]
    assert distil["distillation"] == pytest.approx(taught, rel=1e-4)


def test_each_stage_validates_by_what_it_can_judge(finished: dict[str, Path]) -> None:
    validations = {stage: log_of(out)[-1]["validation"] for stage, out in finished.items()}
    for stage in ("teacher", "distil"):
        assert {"iou", "above_half", "modality_gap"} == validations[stage].keys()
    assert validations["cmae"].keys() == {"explained"}
    assert validations["cmae"]["explained"] < 1
    assert torch.load(finished["cmae"] / "best.pt", weights_only=True)["best"] == pytest.approx(
        validations["cmae"]["explained"], rel=1e-4
    )


def test_the_teacher_is_stored_as_a_teacher(finished: dict[str, Path]) -> None:
    teacher = load_teacher(finished["teacher"] / "last.pt")
    assert isinstance(teacher, TransCmdAsTeacher)
    assert (teacher.spec.depth, teacher.spec.token_width) == (3, 24)


@pytest.mark.parametrize("stage", ["cmae", "distil"])
def test_a_students_checkpoint_holds_the_deployed_network_alone(
    stage: str, finished: dict[str, Path]
) -> None:
    stored = torch.load(finished[stage] / "last.pt", weights_only=True)
    student = TransCmdStudent(replace(tiny_student(), vit=replace(tiny_student().vit, depth=2)))
    assert stored["family"] == "transcmd"
    assert stored["config"] == student.config.to_dict()
    assert stored["net"].keys() == student.state_dict().keys()
    assert stored["net"].keys() < {
        key.split("network.")[-1].removeprefix("student.") for key in stored["model"]
    }


def test_the_average_follows_the_student(finished: dict[str, Path]) -> None:
    stored = torch.load(finished["distil"] / "last.pt", weights_only=True)
    key = "encoder.blocks.1.mlp.fc1.weight"
    average, current = stored["net"][key], stored["model"][f"student.network.{key}"]
    assert not torch.equal(average, current)
    torch.testing.assert_close(average, current, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        pytest.param("teacher", ("teacher.drop_path=0.2",), marks=pytest.mark.slow),
        pytest.param("cmae", ("student.drop_path=0.2",), marks=pytest.mark.slow),
        ("distil", ("student.drop_path=0.2", "distillation.masked_weight=0.1")),
    ],
)
def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    stage: str, settings: tuple[str, ...], train: Train
) -> None:
    _, whole = train(stage, "whole", *settings)
    assert stop_in_step(4, lambda: train(stage, "parts", *settings)[0]) == 128 + signal.SIGINT
    status, parts = train(stage, "parts", *settings, resume=True)
    assert status == 0
    assert_equal_states(whole / "last.pt", parts / "last.pt")
    assert losses_of(parts) == losses_of(whole)


def test_a_run_of_another_stage_is_not_resumed(
    finished: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"out={finished['cmae']}"
    for stage, said in (
        ("distil", "last.pt is a run of stage 'cmae', the recipe's is 'distil'"),
        ("teacher", "is a run of family 'transcmd', the recipe's is 'transcmd_teacher'"),
    ):
        capsys.readouterr()
        assert call("transcmd", finished[stage].parent / f"{stage}.toml", out, resume=True) == 2
        assert said in capsys.readouterr().err


def test_distillation_starts_from_the_masked_pretraining(finished: dict[str, Path]) -> None:
    pretrained = f"pretrained_by={finished['cmae'] / 'last.pt'}"
    stored = read_checkpoint(finished["cmae"] / "last.pt")
    stage, _ = start(finished, "distil", pretrained, "distillation.masked_weight=0.1")
    for key, value in stage.network.state_dict().items():
        assert torch.equal(value, stored.state[key]), key
    decoder = stage.model.mask_decoder
    assert isinstance(decoder, torch.nn.Module)
    for key, value in decoder.state_dict().items():
        assert torch.equal(value, stored.extras["model"][f"decoder.{key}"]), key


def test_leaving_the_masked_pretraining_out_is_one_switch(finished: dict[str, Path]) -> None:
    settings = (f"pretrained_by={finished['cmae'] / 'last.pt'}", "distillation.without=['cmae']")
    stage, _ = start(finished, "distil", *settings, f"start_from={finished['distil'] / 'last.pt'}")
    stored = read_checkpoint(finished["distil"] / "last.pt").state
    for key, value in stage.network.state_dict().items():
        assert torch.equal(value, stored[key]), key


@pytest.mark.parametrize(
    ("without", "beside"),
    [
        ("['features']", {"projectors.paths"}),
        ("['paths']", {"projectors.common", "projectors.specific"}),
        ("['features', 'paths']", set()),
        ("[]", {"projectors.common", "projectors.specific", "projectors.paths"}),
    ],
)
def test_each_part_of_distillation_is_one_switch(
    without: str, beside: set[str], finished: dict[str, Path]
) -> None:
    stage, _ = start(finished, "distil", f"distillation.without={without}")
    names = {".".join(name.split(".")[:2]) for name, _ in stage.model.named_parameters()}
    assert names == beside | {"student.network"}


def test_without_a_teacher_none_is_opened(finished: dict[str, Path]) -> None:
    start(finished, "distil", "distillation.without=['features', 'paths']", "taught_by=nowhere.pt")


def test_masks_are_drawn_for_the_whole_batch(finished: dict[str, Path]) -> None:
    _, recipe = start(finished, "cmae")
    whole, share = (with_mask_noise({}, 3, slots, recipe)["mask_noise"] for slots in (range(4), range(2, 4)))
    assert whole.shape == (4, 3, 16)
    assert torch.equal(whole[2:], share)
    assert not torch.equal(whole, with_mask_noise({}, 4, range(4), recipe)["mask_noise"])


@pytest.mark.slow
def test_a_student_exports_and_its_bundle_tracks(finished: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = finished["distil"] / "last.pt"
    call_ = ["export", "--family", "transcmd", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "b")]
    assert main(call_) == 0
    boxes = replayed_boxes(tmp_path / "b", tmp_path)
    assert boxes.shape == (12, 4)
    assert np.isfinite(boxes).all()


def test_masked_pretraining_alone_is_no_tracker(
    finished: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = finished["cmae"] / "last.pt"
    arguments = ["--checkpoint", str(checkpoint), "--out", str(tmp_path / "b")]
    assert main(["export", "--family", "transcmd", *arguments]) == 2
    assert "last.pt is of the masked pretraining, whose head has learned nothing" in capsys.readouterr().err


def test_teacher_and_student_start_from_published_weights(finished: dict[str, Path], tmp_path: Path) -> None:
    for stage, encoder in (("teacher", "tir_encoder"), ("cmae", "encoder")):
        _, recipe = start(finished, stage)
        sizes = recipe.teacher if stage == "teacher" else recipe.student
        branch = Vit(sizes.vit()).state_dict()
        torch.save({"net": branch}, tmp_path / "vit.pth")
        made, _ = start(finished, stage, f"start_from={tmp_path / 'vit.pth'}")
        for key, value in branch.items():
            assert torch.equal(made.network.state_dict()[f"{encoder}.{key}"], value), key


@pytest.mark.parametrize(
    ("stage", "key"), [("teacher", "start_from"), ("cmae", "start_from"), ("distil", "pretrained_by")]
)
def test_a_start_of_another_family_or_size_is_named(
    stage: str, key: str, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tmp_path / "other.pt", {"a": torch.zeros(1)}, family="ckd")
    assert train(stage, "run", f"{key}={tmp_path / 'other.pt'}")[0] == 2
    family = "transcmd_teacher" if stage == "teacher" else "transcmd"
    assert f"other.pt is a checkpoint of family 'ckd', not {family}" in capsys.readouterr().err
    network = TransCmdTeacher if stage == "teacher" else TransCmdStudent
    recipe = load_settings(Recipe, tmp_path / "run.toml")
    sizes = recipe.teacher if stage == "teacher" else recipe.student
    wide = network(replace(sizes, width=32).config())  # type: ignore[arg-type]
    save_checkpoint(tmp_path / "wide.pt", wide.state_dict(), family=family, config=wide.config.to_dict())
    assert train(stage, "run", f"{key}={tmp_path / 'wide.pt'}")[0] == 2
    error = capsys.readouterr().err
    assert "wide.pt does not fit this network" in error
    assert "misshapen" in error
    assert error.count("\n") == 1


def test_a_teacher_that_does_not_fit_is_named(
    train: Train, finished: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("distil", "run", "student.search_size=64", "student.template_size=32")[0] == 2
    assert "cannot teach this student: it has search tokens per side 4, the student 8" in error_of(capsys)
    assert train("distil", "run", f"taught_by={finished['distil'] / 'last.pt'}")[0] == 2
    assert "is a checkpoint of family 'transcmd'; teachers are ckd, tpf" in error_of(capsys)
    stored = torch.load(finished["teacher"] / "last.pt", weights_only=True)
    stored["config"]["vit"]["embed_dim"] = 32
    torch.save(stored, finished["teacher"].parent / "bent.pt")
    assert train("distil", "run", f"taught_by={finished['teacher'].parent / 'bent.pt'}")[0] == 2
    assert "bent.pt does not fit this network" in error_of(capsys)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on standard error: one line."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    "stage", ["cmae", *(pytest.param(s, marks=pytest.mark.slow) for s in ("teacher", "distil"))]
)
def test_nan_stops_the_run_and_keeps_the_batch(
    stage: str, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = train(stage, "run", "optimiser.learning_rate=1e30")
    assert status == 1
    assert "batch kept in" in capsys.readouterr().err
    assert np.load(out / "bad_batch.npz")["search_rgb"].shape == (4, 32, 32, 3)


@pytest.mark.slow
def test_ablations_run_stage_two_with_other_values(
    finished: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = finished["distil"].parent / "distil.toml"
    arguments = ["--recipe", str(recipe), "--out", str(tmp_path), "--set", "optimiser.steps=1"]
    assert main(["ablate", "transcmd", *arguments, "--only", "no-features", "--only", "pair"]) == 0
    assert "| without specific-common features | " in capsys.readouterr().out
    assert load_student(tmp_path / "pair" / "last.pt")[0].config.mode == "pair"


def test_every_published_variant_is_a_valid_recipe() -> None:
    from training.engine.ablations import Ablations

    folder = ROOT / "training" / "recipes"
    listed = load_settings(Ablations, folder / "ablations" / "transcmd.toml")
    assert len(listed.variants) == 9
    weights = {}
    for name, variant in listed.variants.items():
        recipe = load_settings(Recipe, folder / "transcmd_lasher_distil.toml", variant.set)
        weights[name] = (recipe.distillation.weights(), recipe.distillation.pretrained, recipe.student.mode)
    assert len({str(value) for name, value in weights.items() if name != "masked-beside"}) == 8


VARIANTS = """
family = "transcmd"
[variants.cmae]
text = "masked pretraining"
set = ["stage=cmae"]
[variants.distil]
text = "distillation"
set = ["distillation.masked_weight=0.1"]
[variants.sharded]
text = "weights and optimiser spread over the processes"
set = ["distillation.masked_weight=0.1", "engine.shard=true"]
[variants.teacher]
text = "teacher"
set = ["stage=teacher", "teacher.width=16", "teacher.heads=2", "teacher.depth=2", "teacher.fusion_layers=1",
  "teacher.patch_size=8", "teacher.template_size=16", "teacher.search_size=32", "teacher.drop_path=0.0",
  "teacher.head_channels=8"]
"""


@pytest.mark.slow
def test_two_processes_lose_what_one_loses(finished: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "variants.toml").write_text(VARIANTS)
    recipe = finished["distil"].parent / "distil.toml"
    arguments = ["ablate", "transcmd", "--recipe", str(recipe), "--list", str(tmp_path / "variants.toml")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "training", *arguments, "--out", str(tmp_path / "two")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    accumulated = [*arguments, "--out", str(tmp_path / "one"), "--set", "engine.micro_batch=2"]
    assert main(accumulated) == 0
    for name in ("teacher", "cmae", "distil", "sharded"):
        two, one = (losses_of(tmp_path / out / name) for out in ("two", "one"))
        assert two == pytest.approx(one, rel=1e-4), name
