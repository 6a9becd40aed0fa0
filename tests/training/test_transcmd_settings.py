"""A TransCMD recipe file: published defaults, one switch for each ablation, mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_rgbt.errors import UsageError
from training.models.transcmd.student import TransCmdConfig
from training.models.transcmd.teacher import TransCmdTeacherConfig, small_teacher
from training.recipes.settings import load_settings
from training.recipes.transcmd_settings import DistillationSettings, Recipe, StudentSettings, TeacherSettings

DISTIL = """
out = "runs/student"
seed = 1
stage = "distil"
start_from = "runs/cmae/last.pt"
taught_by = "runs/teacher/last.pt"
[data]
pairs = ["pairs"]
[optimiser]
epochs = 60
batch = 64
learning_rate = 4e-4
schedule = "step"
"""


def read(folder: Path, *overrides: str) -> Recipe:
    (folder / "recipe.toml").write_text(DISTIL)
    return load_settings(Recipe, folder / "recipe.toml", overrides)


def test_sizes_left_out_are_the_published_ones() -> None:
    assert StudentSettings().config() == TransCmdConfig()
    assert TeacherSettings().config() == TransCmdTeacherConfig()
    assert TeacherSettings(width=384, heads=6).config() == small_teacher()


@pytest.mark.parametrize(
    ("without", "features", "paths", "pretrained"),
    [
        ([], 1.0, 1.0, True),
        (["features"], 0.0, 1.0, True),
        (["paths"], 1.0, 0.0, True),
        (["cmae"], 1.0, 1.0, False),
        (["features", "paths", "cmae"], 0.0, 0.0, False),
    ],
)
def test_each_ablation_is_one_switch(
    without: list, features: float, paths: float, pretrained: bool, tmp_path: Path
) -> None:
    recipe = read(tmp_path, f"distillation.without={without}", "distillation.masked_weight=0.1")
    weights = recipe.distillation.weights()
    assert (weights.features, weights.paths) == (features, paths)
    assert recipe.distillation.pretrained is pretrained
    assert recipe.distillation.beside == (0.1 if pretrained else 0.0)
    assert recipe.needs_teacher is bool(features or paths)


def test_encoders_learn_at_a_tenth_of_the_rate(tmp_path: Path) -> None:
    factors = read(tmp_path).rate_factors.by_name()
    assert factors["encoder"] == factors["modality_codes"] == 0.1
    assert "box_head" not in factors


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("taught_by=''", "stage 'distil' needs a teacher; name its checkpoint in taught_by"),
        ("stage=cmae student.mode=pair", "stage 'cmae' needs student.mode = 'joint'"),
        ("distillation.masked_weight=0.1 student.mode=pair", "masked_weight needs student.mode = 'joint'"),
        ("distillation.without=['scfd']", "without names 'scfd'; the parts are features, paths, cmae"),
        ("distillation.paths=-1", "paths -1.0 must not be negative"),
        ("masks.single=0.9", "single 0.9 and double 0.25 must be shares"),
    ],
)
def test_a_mistake_is_one_line(override: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, *override.split(" "))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_part_left_out_and_one_of_no_weight_are_the_same() -> None:
    assert DistillationSettings(without=("paths",)).weights() == DistillationSettings(paths=0.0).weights()
