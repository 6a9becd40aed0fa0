"""Recipe files: every key is checked, overrides apply, mistakes are named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_rgbt.errors import UsageError
from training.__main__ import main
from training.recipes.ckd import Recipe
from training.recipes.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "training" / "recipes" / "compact_ckd.toml"


@dataclass(frozen=True)
class Source:
    root: str
    weight: float = 1.0


@dataclass(frozen=True)
class Shapes:
    """Every kind of value that a recipe may hold and the shipped one does not."""

    sources: tuple[Source, ...] = ()
    size: tuple[int, int] = (1, 1)
    limit: int | None = None
    rates: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Nested:
    """Tables of every kind: of settings, and of free names."""

    seed: int
    free: dict[str, Source]
    shapes: Shapes = field(default_factory=Shapes)


def test_the_shipped_recipe_is_valid():
    recipe = load_settings(Recipe, SHIPPED)
    assert recipe.model.shared_students
    assert recipe.distillation.start < recipe.optimiser.steps


def test_overrides_replace_values():
    recipe = load_settings(Recipe, SHIPPED, ["optimiser.steps=7", "out=elsewhere"])
    assert recipe.optimiser.steps == 7
    assert recipe.out == "elsewhere"


def test_an_override_is_read_as_the_type_of_its_key():
    overrides = ["out=2026", "model.shared_students=false", "optimiser.learning_rate=1", "data.pairs=['a']"]
    recipe = load_settings(Recipe, SHIPPED, overrides)
    assert recipe.out == "2026"
    assert recipe.model.shared_students is False
    assert type(recipe.optimiser.learning_rate) is float
    assert recipe.data.pairs == ("a",)


def write_recipes(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)


def test_a_recipe_holds_what_it_changes_of_another(tmp_path):
    write_recipes(
        tmp_path,
        first="seed = 1\n[free.a]\nroot = 'a'\n[shapes]\nsize = [2, 3]\nlimit = 4\n",
        second="based_on = 'first.toml'\n[shapes]\nlimit = 5\n",
        third="based_on = 'second.toml'\nseed = 3\n[free.b]\nroot = 'b'\n",
    )
    third = load_settings(Nested, tmp_path / "third.toml", ["shapes.rates={'x': 1}"])
    assert third == Nested(3, {"b": Source("b")}, Shapes((), (2, 3), 5, {"x": 1.0}))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("lost", r"absent\.toml: No such file or directory; .*lost\.toml is based on it"),
        ("ring", r"gnir\.toml: based_on leads back to .*ring\.toml"),
        ("number", r"number\.toml: based_on is 3, expected the name of a recipe file"),
        ("heir", r"flawed\.toml: unknown key sed; did you mean seed"),
    ],
)
def test_mistakes_in_a_chain_of_recipes_are_named(tmp_path, name, named):
    write_recipes(
        tmp_path,
        lost="based_on = 'absent.toml'",
        ring="based_on = 'gnir.toml'",
        gnir="based_on = 'ring.toml'",
        number="based_on = 3",
        heir="based_on = 'flawed.toml'\nseed = 1",
        flawed="sed = 1\nfree = {}",
    )
    with pytest.raises(UsageError, match=named) as fault:
        load_settings(Nested, tmp_path / f"{name}.toml")
    assert "\n" not in str(fault.value)


def test_a_missing_value_is_named(tmp_path):
    (tmp_path / "recipe.toml").write_text('out = "x"\n')
    with pytest.raises(UsageError, match=r"recipe\.toml: seed is missing, expected a whole number"):
        load_settings(Recipe, tmp_path / "recipe.toml")


def test_tables_in_lists_pairs_optionals_and_free_tables(tmp_path):
    path = tmp_path / "shapes.toml"
    path.write_text('size = [2, 3]\nlimit = 4\nrates = {head = 1}\n[[sources]]\nroot = "a"\nweight = 2\n')
    assert load_settings(Shapes, path) == Shapes((Source("a", 2.0),), (2, 3), 4, {"head": 1.0})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[sources]]\nweight = 2", r"sources\[0\].root is missing, expected text"),
        ("size = [1]", "a list of 2: a whole number, a whole number"),
        ("limit = 'x'", "limit is 'x', expected a whole number"),
        ("rates = {head = 'x'}", "rates.head is 'x', expected a finite number"),
    ],
)
def test_mistakes_in_them_are_named(tmp_path, text, named):
    (tmp_path / "shapes.toml").write_text(text)
    with pytest.raises(UsageError, match=named):
        load_settings(Shapes, tmp_path / "shapes.toml")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("optimiser.step=7", "did you mean optimiser.steps"),
        ("model.vit.heads=5", "heads"),
        ("optimiser.steps=abc", "optimiser.steps is 'abc', expected a whole number"),
        ("optimiser.steps=2.5", "optimiser.steps is 2.5, expected a whole number"),
        ("optimiser.steps=true", "optimiser.steps is True, expected a whole number"),
        ("optimiser.learning_rate=fast", "optimiser.learning_rate is 'fast', expected a finite number"),
        ("optimiser.learning_rate=1e999", "expected a finite number"),
        ("model.shared_students=1", "model.shared_students is 1, expected true or false"),
        ("model.vit.stem=round", "model.vit.stem is 'round', expected one of 'linear', 'conv'"),
        ("data.pairs=[1]", r"data.pairs\[0\] is 1, expected text"),
        ("data.pairs=folder", "data.pairs is 'folder', expected a list, each text"),
        ("model=3", r"model is 3, expected a table \[model\]"),
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
