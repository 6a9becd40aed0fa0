"""The recipe `distill`: any tracker teaches any compact one, which exports as one of its own family."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from taught_runs import DISTILL, call, replayed_boxes, write_text
from tiny_runs import assert_equal_states, log_of, losses_of, make_pairs, stop_in_step
from transcmd_networks import tiny_ckd, tiny_teacher, tiny_vit

from edge_rgbt.errors import UsageError
from training.__main__ import main
from training.checkpoints import load_tracker, save_checkpoint
from training.engine.ablations import Ablations
from training.models.ckd import CkdTrainingModel
from training.models.tpf.tracker import TpfConfig, TpfNetwork
from training.models.transcmd.stored import load_student
from training.models.transcmd.teacher import TransCmdTeacher
from training.models.vit import Vit
from training.recipes.distill import make_student, start_student
from training.recipes.distill_settings import Recipe
from training.recipes.settings import load_settings

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"
Train = Callable[..., tuple[int, Path]]
TEACHERS = {
    "ckd": lambda: CkdTrainingModel(tiny_ckd(24, 3)),
    "tpf": lambda: TpfNetwork(TpfConfig(tiny_vit(24, 3), "add", head_channels=8)),
    "transcmd_teacher": lambda: TransCmdTeacher(tiny_teacher(24, 3)),
    "ckd-larger-crops": lambda: CkdTrainingModel(tiny_ckd(24, 3, search_size=64)),
}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with image pairs and one checkpoint of each teacher, of random weights."""
    folder = tmp_path_factory.mktemp("teachers")
    make_pairs(folder)
    torch.manual_seed(0)
    for name, make in TEACHERS.items():
        network = make()
        family = name.removesuffix("-larger-crops")
        save_checkpoint(
            folder / f"{name}.pt", network.state_dict(), family=family, config=network.config.to_dict()
        )
    return folder


@pytest.fixture
def train(tmp_path: Path, teachers: Path) -> Train:
    """Trains a tiny student of a family under a teacher; returns exit status and folder."""

    def run(
        student: str, teacher: str, *settings: str, out: str = "run", resume: bool = False
    ) -> tuple[int, Path]:
        recipe = write_text(tmp_path, DISTILL[student], teachers, out, teachers / f"{teacher}.pt")
        return call("distill", recipe, *settings, resume=resume), tmp_path / out

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("student", "teacher"), [("ckd", "ckd"), ("transcmd", "tpf")])
def test_the_loss_falls(student: str, teacher: str, train: Train) -> None:
    settings = ("optimiser.steps=60", "optimiser.learning_rate=4e-3", "validate_every=60", "save_every=60")
    status, out = train(student, teacher, *settings)
    assert status == 0
    entries = [entry for entry in log_of(out) if "total" in entry]
    for part in ("total", "distillation"):
        values = [entry[part] for entry in entries]
        assert np.mean(values[-10:]) < 0.7 * np.mean(values[:10]), part


@pytest.mark.parametrize(
    ("student", "teacher", "parts"),
    [
        ("ckd", "tpf", {"common", "paths", "distillation"}),
        ("transcmd", "ckd", {"common", "specific", "paths", "distillation"}),
        pytest.param("ckd", "transcmd_teacher", {"common", "specific", "paths"}, marks=pytest.mark.slow),
        pytest.param("ckd", "ckd-larger-crops", {"common", "specific", "paths"}, marks=pytest.mark.slow),
    ],
)
def test_any_tracker_teaches_any_student(student: str, teacher: str, parts: set[str], train: Train) -> None:
    status, out = train(student, teacher, "optimiser.steps=2", "optimiser.average=0")
    assert status == 0
    first = log_of(out)[0]
    assert parts | {"total", "giou", "l1", "focal", "iou"} <= first.keys()
    assert ("specific" in first) == ("specific" in parts)
    load = load_tracker if student == "ckd" else load_student
    network, checkpoint = load(out / "last.pt")
    assert checkpoint.extras["family"] == student
    for key, value in network.state_dict().items():
        assert torch.equal(value, checkpoint.extras["model"][f"student.network.{key}"]), key


def test_a_resumed_run_ends_where_an_undisturbed_one_does(train: Train) -> None:
    settings = ("ckd.vit.drop_path=0.2", "ckd.vit.unused_tables=true", "distillation.response=1.0")
    _, whole = train("ckd", "ckd", *settings, out="whole")
    interrupted = stop_in_step(4, lambda: train("ckd", "ckd", *settings, out="parts")[0])
    assert interrupted == 128 + signal.SIGINT
    status, parts = train("ckd", "ckd", *settings, out="parts", resume=True)
    assert status == 0
    assert_equal_states(whole / "last.pt", parts / "last.pt")
    assert losses_of(parts) == losses_of(whole)


@pytest.mark.slow
def test_a_ckd_student_exports_and_its_bundle_tracks(train: Train, tmp_path: Path) -> None:
    _, out = train("ckd", "ckd", "ckd.student_norm=true")
    arguments = ["--checkpoint", str(out / "last.pt"), "--out", str(tmp_path / "bundle")]
    assert main(["export", "--family", "ckd", *arguments]) == 0
    boxes = replayed_boxes(tmp_path / "bundle", tmp_path)
    assert boxes.shape == (12, 4)
    assert np.isfinite(boxes).all()


def test_the_student_starts_from_a_tracker_of_its_family_or_a_plain_vit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = CkdTrainingModel(tiny_ckd(16, 2, shared=True))
    save_checkpoint(tmp_path / "ckd.pt", whole.state_dict(), family="ckd")
    torch.save({"net": whole.state_dict()}, tmp_path / "published.pth")
    branch = Vit(tiny_vit(16, 2)).state_dict()
    torch.save({"net": {**branch, "head.weight": torch.zeros(10, 16)}}, tmp_path / "vit.pth")
    for name in ("ckd.pt", "published.pth"):
        student = make_student(whole.config)
        start_student(student, str(tmp_path / name))
        assert all(torch.equal(v, whole.state_dict()[k]) for k, v in student.network.state_dict().items())
    student = make_student(whole.config)
    start_student(student, str(tmp_path / "vit.pth"))
    for key, value in branch.items():
        assert torch.equal(student.network.state_dict()[f"student_branch.{key}"], value), key


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("start_from={folder}/tpf.pt",), "tpf.pt is a checkpoint of family 'tpf', not ckd"),
        (("start_from={folder}/ckd.pt",), "ckd.pt does not fit this network"),
        (("taught_by={folder}/fine.pt",), "cannot teach this student: it has search tokens per side 8"),
        (("taught_by={folder}/bent.pt",), "bent.pt does not fit this network"),
        (("taught_by={folder}/none.pt",), "none.pt does not exist"),
        (("taught_by=",), "the student has no teacher; name its checkpoint in taught_by"),
        (("transcmd.width=32",), "student is 'ckd', so [transcmd] is not used"),
        (
            ("ckd.elimination.mode=ce", "ckd.elimination.layers=[0]", "ckd.elimination.ratios=[0.7]"),
            "distillation compares every token",
        ),
        (("distillation.paths=-1",), "paths -1.0 must not be negative"),
    ],
)
def test_a_mistake_is_one_line(
    settings: tuple[str, ...], said: str, train: Train, teachers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = CkdTrainingModel(replace(tiny_ckd(16, 2), vit=replace(tiny_vit(16, 2), patch_size=4)))
    save_checkpoint(teachers / "fine.pt", fine.state_dict(), family="ckd", config=fine.config.to_dict())
    bent = tiny_ckd(32, 2).to_dict()
    save_checkpoint(teachers / "bent.pt", fine.state_dict(), family="ckd", config=bent)
    assert train("ckd", "ckd", *(text.format(folder=teachers) for text in settings))[0] == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_nan_stops_the_run_and_keeps_the_batch(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = train("ckd", "ckd", "optimiser.learning_rate=1e30")
    assert status == 1
    assert "batch kept in" in capsys.readouterr().err
    assert np.load(out / "bad_batch.npz")["search_rgb"].shape == (4, 32, 32, 3)


@pytest.mark.slow
def test_ablations_run_with_and_without_the_teacher(
    teachers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_text(tmp_path, DISTILL["ckd"], teachers, "run", teachers / "ckd.pt")
    call_ = ["ablate", "distill", "--recipe", str(recipe), "--out", str(tmp_path / "all")]
    assert main([*call_, "--set", "optimiser.steps=1", "--only", "alone", "--only", "all"]) == 0
    assert "| features, paths and score maps | " in capsys.readouterr().out
    assert "distillation" not in log_of(tmp_path / "all" / "alone")[0]
    assert {"common", "specific", "paths", "response"} <= log_of(tmp_path / "all" / "all")[0].keys()


def test_shipped_recipes_and_every_variant_are_valid() -> None:
    listed = load_settings(Ablations, RECIPES / "ablations" / "distill.toml")
    for path in sorted(RECIPES.glob("distill_*.toml")):
        weights = {
            str(load_settings(Recipe, path, variant.set).distillation) for variant in listed.variants.values()
        }
        assert len(weights) == len(listed.variants) == 6
    sizes = {p.stem: load_settings(Recipe, p).config() for p in RECIPES.glob("distill_*.toml")}
    parameters = {
        name: sum(p.numel() for p in on_meta(config).parameters()) for name, config in sizes.items()
    }
    assert parameters["distill_vit_tiny"] == 6_504_325
    assert 2.0e6 < parameters["distill_compact_ckd"] < 2.2e6
    assert set(parameters) == {"distill_vit_tiny", "distill_vit_small", "distill_compact_ckd"}


def on_meta(config: object) -> torch.nn.Module:
    """The deployed student, without weights."""
    with torch.device("meta"):
        return make_student(config).network  # type: ignore[arg-type]


def test_a_student_alone_needs_no_teacher() -> None:
    settings = ["taught_by=", *(f"distillation.{name}=0.0" for name in ("features", "paths", "response"))]
    assert not load_settings(Recipe, RECIPES / "distill_compact_ckd.toml", settings).needs_teacher
    with pytest.raises(UsageError, match="has no teacher"):
        load_settings(Recipe, RECIPES / "distill_compact_ckd.toml", ["taught_by="])
