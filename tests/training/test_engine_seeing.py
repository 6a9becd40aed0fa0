"""What is seen of a run: the modality gap, pictures, scalars, the page, the ablation tables."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_rgbt.errors import EdgeRgbtError, UsageError
from training.commands.ablate import LISTS, RECIPES
from training.engine.ablations import Ablations, Table, Variant, run_ablations
from training.engine.modality_gap import modality_gap
from training.engine.pictures import CELL, PREDICTED_COLOUR, TRUE_COLOUR, draw_crops
from training.engine.processes import Team
from training.engine.run_log import append_log, read_log, skipped_frames, write_summary
from training.engine.settings import EngineSettings
from training.engine.watch import Watch, require_finite
from training.recipes.ckd_settings import Recipe
from training.recipes.settings import load_settings

ALONE = Team(0, 1, torch.device("cpu"))
RECIPE_FILES = Path(LISTS).parent
SHIPPED = sorted([*RECIPE_FILES.glob("ckd_*.toml"), *RECIPE_FILES.glob("compact_ckd*.toml")])


def test_equal_sets_have_no_gap():
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    assert modality_gap(features, features[torch.randperm(20)]) == pytest.approx(0, abs=1e-12)


def test_two_points_have_the_gap_of_the_formula():
    # The only distance is the median, so the kernel between the points is exp(-1/2).
    assert modality_gap(torch.zeros(1, 3), torch.ones(1, 3)) == pytest.approx(2 - 2 * math.exp(-0.5))


def test_gaussians_have_the_gap_of_the_closed_form():
    dice = torch.Generator().manual_seed(1)
    a = torch.randn(1500, 2, generator=dice)
    b = torch.randn(1500, 2, generator=dice) + torch.tensor([1.0, 0.0])
    # Kernel of bandwidth s on N(0, I) and N(m, I) in d dimensions, d = 2, s = 1.5, |m| = 1.
    spread = 1.5**2 + 2
    expected = 2 * (1.5**2 / spread) * (1 - math.exp(-1 / (2 * spread)))
    assert modality_gap(a, b, bandwidth=1.5) == pytest.approx(expected, rel=0.15)


def test_the_gap_grows_with_the_shift_and_ignores_scale():
    dice = torch.Generator().manual_seed(2)
    a, b = torch.randn(64, 8, generator=dice), torch.randn(64, 8, generator=dice)
    gaps = [modality_gap(a, b + shift) for shift in (0.0, 0.5, 2.0)]
    assert gaps == sorted(gaps)
    assert modality_gap(100 * a, 100 * (b + 0.5)) == pytest.approx(gaps[1])


def test_boxes_are_drawn_where_they_are():
    crops = [np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32), np.uint8)]
    picture = draw_crops(crops, np.array([[0.25, 0.25, 0.5, 0.5]]), np.array([[0.5, 0.5, 0.25, 0.25]]))
    assert picture.shape[1] >= 2 * CELL
    assert tuple(picture[CELL // 4, CELL // 2]) == TRUE_COLOUR
    assert tuple(picture[round(CELL * 0.375), CELL // 2]) == PREDICTED_COLOUR
    assert not picture[CELL // 2, CELL // 2].any()


def make_watch(out: Path, tensorboard: bool = False, **options) -> Watch:
    settings = EngineSettings(log_every=2, tensorboard=tensorboard, page=options.pop("page", False))
    return Watch(out, ALONE, settings, **{"first": 0, "total": 4, "batch": 8, **options})


def test_every_part_becomes_a_scalar(tmp_path):
    pytest.importorskip("tensorboardX")
    written = []
    watch = make_watch(tmp_path, tensorboard=True)
    watch.writer.add_scalar = lambda name, value, step: written.append((name, value, step))
    for step in (1, 2):
        watch.step(step, {"total": torch.tensor(2.0), "style": torch.tensor(0.5)}, rate=0.1)
    named = {(name, step): value for name, value, step in written}
    assert named[("train/style", 2)] == 0.5
    assert named[("train/rate", 2)] == 0.1
    assert {step for _, step in named} == {2}
    watch.finish({})
    assert list((tmp_path / "tensorboard").iterdir())


def test_without_tensorboard_there_is_a_note_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    watch = make_watch(tmp_path, tensorboard=True)
    watch.step(2, {"total": torch.tensor(1.0)})
    assert "tensorboardX is not installed" in capsys.readouterr().out


def test_skipped_frames_are_logged_once_and_counted_in_summary_and_page(tmp_path):
    found = [["a: a/1.jpg: torn"], ["a: a/1.jpg: torn", "b: b/<2>.jpg: torn"]]  # at step 2, and at the end
    watch = make_watch(tmp_path, page=True, skipped=lambda: found.pop(0))
    for step in (1, 2, 3):
        watch.step(step, {"total": torch.tensor(1.0)})
    summary = watch.finish({})
    named = [(e["step"], e["skipped"]) for e in read_log(tmp_path) if "skipped" in e]
    assert named == [(2, "a: a/1.jpg: torn"), (4, "b: b/<2>.jpg: torn")]
    assert summary is not None
    assert summary["skipped"] == {"frames": 2, "first": ["a: a/1.jpg: torn", "b: b/<2>.jpg: torn"]}
    page = (tmp_path / "index.html").read_text()
    assert "2 skipped; the log names all" in page
    assert "<li>b: b/&lt;2&gt;.jpg: torn</li>" in page


def test_a_resumed_run_names_again_only_what_its_checkpoint_did_not_know(tmp_path):
    for step, frame in ((2, "a"), (6, "b")):
        append_log(tmp_path, {"step": step, "skipped": frame})
    watch = make_watch(tmp_path, first=4, total=8, skipped=lambda: ["a", "b"])
    watch.step(8, {"total": torch.tensor(1.0)})
    assert skipped_frames(read_log(tmp_path)) == ["a", "b"]


def test_nan_names_and_keeps_the_batch(tmp_path):
    arrays = {"target": torch.ones(2, 4)}
    require_finite({"total": torch.tensor(1.0)}, arrays, tmp_path, 3, ALONE)
    with pytest.raises(EdgeRgbtError, match="loss is nan at step 3"):
        require_finite({"total": torch.tensor(math.nan)}, arrays, tmp_path, 3, ALONE)
    assert np.load(tmp_path / "bad_batch.npz")["target"].shape == (2, 4)


def summary_writer(seen: list[list[str]], failing: str = ""):
    """A training function that only leaves a summary; real recipes are run in test_ckd_recipe.py."""

    def train(recipe: str, resume: bool, settings: list[str]) -> int:
        seen.append(settings)
        out = Path(next(s for s in settings if s.startswith("out=")).removeprefix("out="))
        if out.name == failing:
            raise EdgeRgbtError("loss is nan")
        (out / "log.jsonl").write_text(json.dumps({"step": 7, "validation": {"iou": 0.5}}) + "\n")
        write_summary(out, {}, {})
        return 0

    return train


ABLATIONS = Ablations(
    "ckd",
    {"a": Variant("first", ("x=1",)), "b": Variant("second", ("x=2",), after="a"), "c": Variant("third")},
    (Table("Both", ("a", "b"), ("1.0", "2.0")),),
)


def test_variants_run_in_order_once_and_fill_the_table(tmp_path):
    seen: list[list[str]] = []
    run_ablations(ABLATIONS, summary_writer(seen), "r.toml", tmp_path, ["b"], ["seed=3"])
    assert seen == [
        ["seed=3", "x=1", f"out={tmp_path}/a"],
        ["seed=3", "x=2", f"out={tmp_path}/b", f"start_from={tmp_path}/a/last.pt"],
    ]
    run_ablations(ABLATIONS, summary_writer(seen), "r.toml", tmp_path, ["b"], ["seed=3"])
    assert len(seen) == 2
    assert "| second | 0.5 | 7 | 2.0 |" in (tmp_path / "ablations.md").read_text()
    variants = json.loads((tmp_path / "ablations.json").read_text())["variants"]
    assert variants["b"]["validation"] == {"step": 7, "iou": 0.5}
    assert variants["c"]["validation"] is None


def test_a_failed_variant_is_named_and_the_others_go_on(tmp_path):
    seen: list[list[str]] = []
    faults = run_ablations(ABLATIONS, summary_writer(seen, failing="a"), "r.toml", tmp_path, [], [])
    assert faults == {"a": "loss is nan", "b": "a, which it starts from, failed"}
    assert len(seen) == 2
    assert "loss is nan" in (tmp_path / "ablations.md").read_text()


def test_other_settings_in_the_same_folder_are_refused(tmp_path):
    run_ablations(ABLATIONS, summary_writer([]), "r.toml", tmp_path, ["a"], ["seed=3"])
    with pytest.raises(UsageError, match="other settings"):
        run_ablations(ABLATIONS, summary_writer([]), "r.toml", tmp_path, ["a"], ["seed=4"])


def test_an_unknown_variant_is_named(tmp_path):
    with pytest.raises(UsageError, match="known: a, b, c"):
        run_ablations(ABLATIONS, summary_writer([]), "r.toml", tmp_path, ["d"], [])


def test_every_variant_of_the_paper_is_a_valid_recipe():
    ablations = load_settings(Ablations, LISTS / "ckd.toml")
    assert sum(len(table.rows) for table in ablations.tables) == 15
    for variant in ablations.variants.values():
        start = ["start_from=x"] if variant.after else []
        load_settings(Recipe, RECIPE_FILES / "ckd_lasher.toml", [*variant.set, *start])


def test_every_family_with_ablations_has_a_list():
    assert {path.stem for path in LISTS.glob("*.toml")} == set(RECIPES)


def test_shipped_recipes_of_ckd_are_valid():
    assert len(SHIPPED) >= 7
    for path in SHIPPED:
        load_settings(Recipe, path)


def test_no_recipe_of_ckd_chooses_checkpoints_by_a_test_split():
    sources = [source for path in SHIPPED for source in load_settings(Recipe, path).data.sources.values()]
    assert {source.path for source in sources} == {"data/lasher", "data/vtuav"}
    assert {(source.split, source.validation_split) for source in sources} == {("", "")}


def test_the_published_recipe_says_what_was_published():
    recipe = load_settings(Recipe, RECIPE_FILES / "ckd_lasher.toml")
    assert recipe.optimiser.total_steps == 90_000
    assert recipe.model.config().to_dict() == type(recipe.model.config())().to_dict()
    assert recipe.rate_factors.by_name()["teacher_tir"] * recipe.optimiser.learning_rate == pytest.approx(
        5e-6
    )
    second = load_settings(Recipe, RECIPE_FILES / "ckd_lasher_mce.toml")
    assert (second.trained, second.model.elimination.mode) == ("heads", "mce")
    assert second.optimiser.total_steps == 2340
