"""Recipe files: every key is checked, overrides apply, mistakes are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_rgbt.errors import UsageError
from training.__main__ import main
from training.recipes.ckd import Recipe
from training.recipes.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "training" / "recipes" / "compact_ckd.toml"


def test_the_shipped_recipe_is_valid():
    recipe = load_settings(Recipe, SHIPPED)
    assert recipe.model.shared_students
    assert recipe.distillation.start < recipe.optimiser.steps


def test_overrides_replace_values():
    recipe = load_settings(Recipe, SHIPPED, ["optimiser.steps=7", "out=elsewhere"])
    assert recipe.optimiser.steps == 7
    assert recipe.out == "elsewhere"


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("optimiser.step=7", "did you mean optimiser.steps"),
        ("model.vit.heads=5", "heads"),
        ("nonsense", "key=value"),
        ("seed.x=1", "seed is no table"),
    ],
)
def test_mistakes_are_named(override, named):
    with pytest.raises(UsageError, match=named):
        load_settings(Recipe, SHIPPED, [override])


def test_a_missing_recipe_is_one_line_and_status_2(capsys):
    assert main(["ckd", "--recipe", "nowhere.toml"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nowhere.toml" in error


@pytest.mark.parametrize(
    "call", [["ckd", "--recipe", "x"], ["export", "--family", "ckd", "--checkpoint", "x"]]
)
def test_without_the_training_libraries_a_command_says_what_to_install(call, tmp_path):
    hidden = "import sys; sys.modules['torch'] = None"
    code = f"{hidden}; from training.__main__ import main; sys.exit(main(sys.argv[1:]))"
    out = ["--out", str(tmp_path / "b")] if call[0] == "export" else []
    done = subprocess.run(
        [sys.executable, "-c", code, *call, *out], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pip install -e '.[train]'" in done.stderr
