"""TPF's two stages end to end on tiny pictures: they learn, resume, export, track, and refuse mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import write_sequence
from tiny_runs import assert_equal_states, log_of, losses_of, stop_in_step
from tpf_runs import with_settings, write_run

from edge_rgbt.cli import main as edge_rgbt
from training.__main__ import main
from training.checkpoints import CheckpointError
from training.engine.ablations import Ablations
from training.engine.processes import Team
from training.engine.random_states import seed_everything
from training.engine.stepping import Stepper
from training.models.tpf.auxiliary import TRAINING_ONLY, TpfTrainingModel
from training.models.tpf.stored import load_network
from training.recipes.batches import with_heatmaps
from training.recipes.settings import load_settings
from training.recipes.tpf import tracking_data, tracking_losses
from training.recipes.tpf_settings import PoolRecipe, Recipe
from training.recipes.tpf_start import start_model

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "training" / "recipes"


@pytest.fixture
def train(tmp_path, pairs, pool):
    """Runs a stage into a folder of its own; returns exit status and folder."""

    def call(stage: str, out: str, *settings: str, resume: bool = False) -> tuple[int, Path]:
        recipe = write_run(tmp_path, pairs, stage, out, pool)
        extra = ["--resume"] if resume else []
        return main(["tpf", "--recipe", str(recipe), *extra, *with_settings(settings)]), tmp_path / out

    return call


@pytest.fixture(scope="module")
def fused(tmp_path_factory, pairs, pool) -> Path:
    """A finished stage one, its experts weighed by the judge."""
    folder = tmp_path_factory.mktemp("fused")
    settings = with_settings(("engine.pictures=2", "fusion.merit=overlap"))
    assert main(["tpf", "--recipe", str(write_run(folder, pairs, "fusion", pool=pool)), *settings]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pairs, fused) -> Path:
    """A finished stage two that started from stage one, with a dynamic template."""
    folder = tmp_path_factory.mktemp("finished")
    settings = ("engine.pictures=2", "data.dynamic_template=true", f"start_from={fused / 'last.pt'}")
    recipe = write_run(folder, pairs, "tracker")
    assert main(["tpf", "--recipe", str(recipe), *with_settings(settings)]) == 0
    return folder / "run"


def recipe_of(folder: Path, *settings: str) -> Recipe:
    return load_settings(Recipe, folder.parent / "run.toml", settings)


def stored(folder: Path) -> dict:
    return torch.load(folder / "last.pt", weights_only=True)


def test_stage_one_trains_the_adapter_alone(fused):
    seed_everything(1)
    start = start_model(recipe_of(fused)).state_dict()
    after = stored(fused)["model"]
    assert start.keys() == after.keys()
    changed = {key.split(".")[0] for key, value in after.items() if not torch.equal(value, start[key])}
    assert changed == {"adapter"}
    assert load_network(fused / "last.pt")[0].config.adapter == "s2"


def test_stage_one_says_how_close_the_pictures_are(fused):
    entry = log_of(fused)[0]
    assert {"total", "template", "search", "rate", "gradient_norm"} <= entry.keys()
    assert entry["total"] == pytest.approx((entry["template"] + entry["search"]) / 2, rel=1e-4)
    last = json.loads((fused / "summary.json").read_text())["validation"][-1]
    assert last["psnr"] == pytest.approx(-10 * np.log10(last["error"]), rel=1e-3)
    assert (fused / "pictures" / "step-0000004.jpg").stat().st_size > 500


def test_merits_of_the_judge_change_what_is_learnt(train):
    _, weighed = train("fusion", "weighed", "fusion.merit=confidence", "optimiser.steps=1")
    _, single = train("fusion", "single", "fusion.experts=['mean']", "optimiser.steps=1")
    _, equal = train("fusion", "equal", "optimiser.steps=1")
    first = [losses_of(out)[1] for out in (weighed, single, equal)]
    assert len({round(loss, 7) for loss in first}) == 3


def test_stage_two_logs_every_part_of_the_loss(finished):
    entry = log_of(finished)[0]
    assert {"total", "giou", "l1", "focal", "iou", "repulsion", "reconstruction"} <= entry.keys()
    last = json.loads((finished / "summary.json").read_text())["validation"][-1]
    assert 0 <= last["iou"] <= 1
    assert 0 <= last["modality_gap"] <= 2
    assert (finished / "pictures" / "step-0000004.jpg").stat().st_size > 500


def test_stage_two_starts_with_the_adapter_of_stage_one(finished, fused):
    model = start_model(recipe_of(finished, f"start_from={fused / 'last.pt'}"))
    wanted = stored(fused)["net"]
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in wanted.items())
    for key in (key for key in wanted if key.startswith("backbone.")):
        for branch in TRAINING_ONLY:
            encoder = f"{branch}encoder.{key.removeprefix('backbone.')}"
            assert torch.equal(state[encoder], wanted[key]), encoder


def test_a_further_stage_two_keeps_the_branches(finished):
    model = start_model(recipe_of(finished, f"start_from={finished / 'last.pt'}"))
    before = stored(finished)
    assert isinstance(model, TpfTrainingModel)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before["net"].get(key, before["model"][key])), key


def test_a_published_tracker_starts_encoder_head_and_branches(finished, tmp_path):
    source = {k: v for k, v in stored(finished)["net"].items() if k.startswith(("backbone.", "box_head."))}
    torch.save({"net": source}, tmp_path / "ostrack.pth.tar")
    start = f"start_from={tmp_path}/ostrack.pth.tar"
    state = start_model(recipe_of(finished, start)).state_dict()
    for key, value in source.items():
        assert torch.equal(state[key], value), key
        if key.startswith("backbone."):
            assert torch.equal(state[f"aux_tir.encoder.{key.removeprefix('backbone.')}"], value), key
    with pytest.raises(CheckpointError, match=r"does not fit this network: 12 missing: backbone\.blocks\.2"):
        start_model(recipe_of(finished, start, "model.vit.depth=3"))


def test_pretraining_starts_the_encoders_and_leaves_the_head(finished, tmp_path):
    net = stored(finished)["net"]
    source = {k.removeprefix("backbone."): v for k, v in net.items() if k.startswith("backbone.")}
    torch.save({"model": {**source, "decoder_embed.weight": torch.zeros(2)}}, tmp_path / "dropmae.pth")
    state = start_model(recipe_of(finished, f"start_from={tmp_path}/dropmae.pth")).state_dict()
    assert torch.equal(state["backbone.blocks.0.attn.qkv.weight"], source["blocks.0.attn.qkv.weight"])
    assert not torch.equal(state["box_head.conv1_ctr.0.weight"], net["box_head.conv1_ctr.0.weight"])


def test_a_start_of_another_family_or_adapter_is_named(train, fused, tmp_path, capsys):
    torch.save({"net": {"a": torch.zeros(1)}, "family": "ckd"}, tmp_path / "other.pt")
    assert train("tracker", "run", f"start_from={tmp_path}/other.pt")[0] == 2
    assert "family 'ckd', not tpf" in capsys.readouterr().err
    assert train("tracker", "run", f"start_from={fused / 'last.pt'}", "model.adapter=full")[0] == 2
    error = capsys.readouterr().err
    assert "adapter.low_rgb.weight is [8, 3, 3, 3], expected [8, 3, 5, 5]" in error
    assert len([line for line in error.splitlines() if "does not fit" in line]) == 1


@pytest.mark.parametrize("stage", ["fusion", "tracker"])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(train, stage):
    settings = ("optimiser.steps=5", "model.vit.drop_path=0.2", "data.dynamic_template=true")
    _, whole = train(stage, "whole", *settings)
    assert stop_in_step(4, lambda: train(stage, "parts", *settings)[0]) == 128 + signal.SIGINT
    status, parts = train(stage, "parts", *settings, resume=True)
    assert status == 0
    assert_equal_states(whole / "last.pt", parts / "last.pt")
    assert losses_of(parts) == losses_of(whole)


def test_the_dynamic_template_is_learnt_from(tmp_path, pairs):
    write_sequence(tmp_path, "lasher", "a", 24, "trainingset")
    settings = ("data.pairs=[]", f"data.sources.lasher.path={tmp_path}", "data.dynamic_template=true")
    recipe = load_settings(Recipe, write_run(tmp_path, pairs, "tracker"), settings)
    team = Team(0, 1, torch.device("cpu"))
    stream, _, _ = tracking_data(recipe, team)
    arrays = {key: torch.from_numpy(value) for key, value in stream[0].items()}
    assert not torch.equal(arrays["dynamic_rgb"], arrays["template_rgb"])
    stepper = Stepper(start_model(recipe), team, recipe.engine)
    arrays, centres = with_heatmaps(arrays, 4, stepper)
    without = {key: value for key, value in arrays.items() if not key.startswith("dynamic")}
    one, other = (
        tracking_losses(stepper, recipe, part, centres=centres)["total"].item() for part in (arrays, without)
    )
    assert one != other


@pytest.mark.parametrize("variant", ["full", "tied", "add"])
def test_every_variant_trains_without_branches(train, variant):
    status, out = train(
        "tracker", "run", f"model.adapter={variant}", "auxiliary.weight=0", "optimiser.steps=1"
    )
    assert status == 0
    assert "repulsion" not in log_of(out)[0]
    assert not any(key.startswith(TRAINING_ONLY) for key in stored(out)["model"])
    assert load_network(out / "last.pt")[0].config.adapter == variant


def test_decoders_rest_while_nothing_is_rebuilt(train):
    settings = ("auxiliary.reconstruction=0", "auxiliary.margin=-1", "optimiser.steps=1")
    status, out = train("tracker", "run", *settings)
    assert status == 0
    seed_everything(1)
    start = start_model(load_settings(Recipe, out.parent / "run.toml")).state_dict()
    still = {key for key, value in stored(out)["model"].items() if torch.equal(value, start[key])}
    assert {key for key in still if ".encoder." in key} == set()
    decoders = {key for key in start if ".decoder." in key}
    assert decoders
    assert decoders <= still


def test_decays_and_skips_of_the_scan_take_no_weight_decay(train):
    _, out = train("fusion", "run", "optimiser.decay=all", "optimiser.steps=1")
    groups = stored(out)["optimiser"]["param_groups"]
    sizes = {bool(group["weight_decay"]): len(group["params"]) for group in groups}
    assert sizes[False] == 16


def test_nan_stops_the_run_and_keeps_the_batch(train, capsys):
    status, out = train("tracker", "run", "optimiser.learning_rate=1e30")
    assert status == 1
    assert "batch kept in" in capsys.readouterr().err
    assert np.load(out / "bad_batch.npz")["search_rgb"].shape == (4, 32, 32, 3)


@pytest.mark.parametrize(
    ("stage", "setting", "said"),
    [
        ("fusion", "fusion.pool=", "name their folder in fusion.pool"),
        ("fusion", "fusion.pool=nowhere", "there is no pool of expert pictures; run `python -m training"),
        ("fusion", "model.adapter=add", "adapter 'add' has nothing to learn"),
        ("fusion", "fusion.experts=['cddfuse']", "has no 'cddfuse'"),
        ("fusion", "fusion.merit=best", "expected one of 'overlap'"),
        ("tracker", "auxiliary.weight=-1", "auxiliary: weight is -1.0; 0 or more"),
        ("tracker", "model.dynamic_threshold=2", "dynamic_threshold within 0..1"),
        ("tracker", "optimiser.batch=0", "batch is 0"),
    ],
)
def test_a_mistake_is_named_in_one_line(train, stage, setting, said, capsys):
    assert train(stage, "run", setting)[0] == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "pairs" not in line and line.strip()]
    assert said in lines[-1]
    assert len(lines) == 1


@pytest.mark.parametrize("name", ["tpf_fusion_lasher", "tpf_fusion_vtuav", "tpf_lasher", "tpf_vtuav"])
def test_published_recipes_are_those_of_the_design(name):
    recipe = load_settings(Recipe, RECIPES / f"{name}.toml")
    settings = recipe.optimiser
    assert (settings.batch, settings.epoch_samples) == (18, 60_000)
    assert (settings.weight_decay, settings.clip_norm, settings.average) == (1e-4, 0.1, 0.0)
    if recipe.stage == "fusion":
        assert (settings.epochs, settings.learning_rate, settings.final_rate) == (35, 1e-3, 0.01)
    else:
        rates = {
            key: settings.learning_rate * factor for key, factor in recipe.rate_factors.by_name().items()
        }
        assert rates == pytest.approx({"aux_": 5e-5, "adapter.": 5e-6, "backbone.": 5e-6, "box_head.": 5e-5})
        assert (settings.schedule, settings.drop_at, settings.drop_factor) == ("step", 0.8, 0.1)
        assert recipe.data.dynamic_template


@pytest.mark.parametrize("name", ["tpf_experts_lasher", "tpf_experts_vtuav"])
def test_published_pools_are_those_of_the_design(name):
    recipe = load_settings(PoolRecipe, RECIPES / f"{name}.toml")
    assert (recipe.samples, recipe.template_size, recipe.search_size) == (20_000, 128, 256)
    assert [expert.name for expert in recipe.experts] == ["cddfuse", "diffif", "mambadfuse"]
    assert recipe.judge


def test_every_ablation_is_a_valid_recipe():
    ablations = load_settings(Ablations, RECIPES / "ablations" / "tpf.toml")
    assert len(ablations.variants) >= 15
    stages = {}
    for name, variant in ablations.variants.items():
        recipe = load_settings(Recipe, RECIPES / "tpf_lasher.toml", variant.set)
        stages[name] = recipe.stage
        assert recipe.stage == "fusion" or recipe.data.dynamic_template == (
            recipe.model.dynamic_threshold < 1
        )
    rows = {row for table in ablations.tables for row in table.rows}
    assert all(stages[row] == "tracker" for row in rows)
    assert {name for name, stage in stages.items() if stage == "tracker"} == rows


@pytest.mark.slow
def test_stage_one_learns_to_make_the_experts_pictures(train):
    status, out = train(
        "fusion", "run", "optimiser.steps=150", "optimiser.learning_rate=1e-2", "save_every=150"
    )
    assert status == 0
    totals = list(losses_of(out).values())
    assert np.mean(totals[-10:]) < 0.3 * np.mean(totals[:5])


@pytest.mark.slow
def test_a_bundle_of_both_stages_tracks_in_replay(train, tmp_path):
    for name in ("a", "b"):
        write_sequence(tmp_path, "lasher", name, 24, "trainingset")
    write_sequence(tmp_path, "lasher", "car", 24)
    status, one = train("fusion", "one", "optimiser.steps=20")
    assert status == 0
    status, two = train(
        "tracker", "two", "data.pairs=[]", f"data.sources.lasher.path={tmp_path}", "validate_every=60",
        "data.augmentation=published", "data.dynamic_template=true", "optimiser.steps=60", "save_every=60",
        "optimiser.batch=8", "optimiser.learning_rate=4e-3", f"start_from={one / 'last.pt'}",
        "model.dynamic_interval=5", "model.dynamic_threshold=0.3", "optimiser.average=0.98",
    )  # fmt: skip
    assert status == 0
    totals = list(losses_of(two).values())
    assert np.mean(totals[-10:]) < 0.85 * np.mean(totals[:5])
    call = [
        "export",
        "--family",
        "tpf",
        "--checkpoint",
        str(two / "last.pt"),
        "--out",
        str(tmp_path / "bundle"),
    ]
    assert main(call) == 0
    played = tmp_path / "played"
    call = ["replay", str(tmp_path / "testingset" / "car"), "--bundle", str(tmp_path / "bundle")]
    assert edge_rgbt([*call, "--dataset", "lasher", "--out", str(played)]) == 0
    boxes = np.loadtxt(played / "car.txt", delimiter=",")
    assert boxes.shape == (24, 4)
    assert (boxes[:, 2:] > 0).all()


@pytest.mark.slow
def test_two_processes_lose_what_one_that_accumulates_loses(train, tmp_path, pairs, pool):
    for stage in ("fusion", "tracker"):
        recipe = write_run(tmp_path, pairs, stage, f"{stage}-two", pool)
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        done = subprocess.run(
            [*torchrun, "-m", "training", "tpf", "--recipe", str(recipe)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        status, one = train(stage, f"{stage}-one", "engine.micro_batch=2")
        assert status == 0
        assert losses_of(tmp_path / f"{stage}-two") == pytest.approx(losses_of(one), rel=1e-4)


@pytest.mark.slow
def test_ablations_go_from_stage_one_to_stage_two(tmp_path, pairs, pool, capsys):
    variants = tmp_path / "variants.toml"
    variants.write_text(
        'family = "tpf"\n[variants.fusion]\ntext = "experts"\nset = ["stage=fusion"]\n'
        '[variants.taught]\ntext = "taught adapter"\nafter = "fusion"\nset = ["auxiliary.weight=0"]\n'
        '[[tables]]\ntitle = "Experts"\nrows = ["taught"]\n'
    )
    recipe = write_run(tmp_path, pairs, "tracker", pool=pool)
    call = ["ablate", "tpf", "--recipe", str(recipe), "--out", str(tmp_path / "all"), "--list", str(variants)]
    assert main([*call, "--set", "optimiser.steps=1"]) == 0
    assert "| taught adapter |" in capsys.readouterr().out
    before, after = (tmp_path / "all" / name for name in ("fusion", "taught"))
    one, two = stored(before)["net"], stored(after)["net"]
    difference = max(float((one[key] - two[key]).abs().max()) for key in one if key.startswith("adapter."))
    assert 0 < difference < 0.1
