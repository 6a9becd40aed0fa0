"""One optimiser step: accumulation, precision, rates, groups, the average."""

from __future__ import annotations

import pytest
import torch
from ckd_networks import tiny_config
from torch import nn

from edge_rgbt.errors import UsageError
from training.engine.processes import Team, choose_device, choose_precision
from training.engine.schedules import OptimiserSettings, make_optimiser, rate_at, set_rate
from training.engine.settings import EngineSettings
from training.engine.sharding import shard_parts
from training.engine.stepping import MovingAverage, Stepper
from training.models.ckd import CkdTracker

CPU = torch.device("cpu")
ALONE = Team(0, 1, CPU)


def gradients(micro_batch: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    settings = EngineSettings(device="cpu", precision="float32", micro_batch=micro_batch)
    stepper = Stepper(nn.Linear(5, 1), ALONE, settings)
    arrays = {"x": torch.randn(8, 5), "y": torch.randn(8, 1)}

    def losses(part):
        loss = (stepper.forward(part["x"]) - part["y"]).square().mean()
        return {"total": loss, "half": loss / 2}

    parts = stepper.gradients(arrays, losses)
    return stepper.model.weight.grad, parts


def test_accumulated_gradients_are_those_of_the_large_batch():
    whole, parts = gradients(0)
    accumulated, parts_accumulated = gradients(2)
    torch.testing.assert_close(accumulated, whole)
    torch.testing.assert_close(parts_accumulated, parts)
    assert not parts["total"].requires_grad


def test_a_part_that_does_not_divide_the_batch_is_named():
    with pytest.raises(UsageError, match=r"engine\.micro_batch 3 does not divide the 8 samples"):
        gradients(3)


def test_clipping_bounds_the_gradient_and_tells_its_norm():
    stepper = Stepper(nn.Linear(4, 1, bias=False), ALONE, EngineSettings(precision="float32", device="cpu"))
    optimiser = torch.optim.SGD(stepper.model.parameters(), lr=1.0)
    before = stepper.model.weight.detach().clone()
    stepper.gradients(
        {"x": torch.full((2, 4), 3.0)}, lambda part: {"total": stepper.forward(part["x"]).mean()}
    )
    assert stepper.update(optimiser, clip_norm=0.5).item() == pytest.approx(6.0)
    assert (stepper.model.weight - before).norm().item() == pytest.approx(0.5, rel=1e-4)
    assert stepper.model.weight.grad is None


def test_bfloat16_computes_in_bfloat16():
    stepper = Stepper(nn.Linear(4, 4), ALONE, EngineSettings(precision="bfloat16", device="cpu"))
    with stepper.autocast():
        assert stepper.forward(torch.ones(1, 4)).dtype is torch.bfloat16


def test_half_precision_and_cuda_are_refused_where_they_are_not():
    with pytest.raises(UsageError, match="float16"):
        choose_precision("float16", CPU)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            choose_device("cuda")
        assert choose_device("auto") == CPU


def test_a_sharded_tracker_is_gathered_by_attention_and_perceptron():
    tracker = CkdTracker(tiny_config(shared=True))
    names = {module: name for name, module in tracker.named_modules()}
    assert sorted(names[part] for part in shard_parts(tracker)) == [
        f"student_branch.blocks.{block}.{part}" for block in (0, 1) for part in ("attn", "mlp")
    ]


def test_layers_without_composite_parts_are_gathered_whole_and_inner_lists_first():
    inner = nn.ModuleList([nn.Linear(2, 2), nn.ReLU()])
    outer = nn.ModuleList([nn.ModuleDict({"inner": inner, "out": nn.Linear(2, 2)})])
    assert list(shard_parts(outer)) == [inner[0]]
    layers = nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.ReLU())])
    assert list(shard_parts(layers)) == list(layers)


def test_rates_follow_their_schedule():
    cosine = OptimiserSettings(steps=100, warmup=10, learning_rate=1.0, final_rate=0.1)
    assert rate_at(4, cosine) == pytest.approx(0.5, abs=0.01)
    assert rate_at(50, cosine) == pytest.approx(0.55)
    step = OptimiserSettings(steps=100, warmup=0, learning_rate=1.0, schedule="step", drop_at=0.8)
    assert [rate_at(s, step) for s in (0, 79, 80)] == [1.0, 1.0, pytest.approx(0.1)]
    constant = OptimiserSettings(steps=100, warmup=0, learning_rate=1.0, schedule="constant")
    assert rate_at(99, constant) == 1.0


def test_epochs_count_whole_batches():
    settings = OptimiserSettings(epochs=30, epoch_samples=60_000, batch=20)
    assert settings.total_steps == 90_000
    assert [settings.epoch_at(step) for step in (0, 2999, 3000)] == [1, 1, 2]


@pytest.mark.parametrize("lengths", [{}, {"steps": 1, "epochs": 1}, {"steps": -1}])
def test_a_run_has_steps_or_epochs(lengths):
    with pytest.raises(ValueError, match="steps"):
        OptimiserSettings(**lengths)


def test_groups_have_their_own_rate_and_decay():
    model = nn.ModuleDict({"head": nn.Linear(2, 3), "branch": nn.Linear(2, 3), "other": nn.Linear(2, 3)})
    model["other"].requires_grad_(False)
    settings = OptimiserSettings(steps=1, learning_rate=1.0, weight_decay=0.5)
    optimiser = make_optimiser(model, settings, {"head": 1.0, "branch": 0.1})
    set_rate(optimiser, 2.0)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for name, parameter in model.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    assert found == {
        "head.weight": (2.0, 0.5), "head.bias": (2.0, 0.0),
        "branch.weight": (pytest.approx(0.2), 0.5), "branch.bias": (pytest.approx(0.2), 0.0),
    }  # fmt: skip
    everything = make_optimiser(model, OptimiserSettings(steps=1, decay="all"))
    assert [group["weight_decay"] for group in everything.param_groups] == [0.02]


def test_the_average_follows_and_without_a_decay_copies():
    model, slow, exact = (nn.BatchNorm1d(1) for _ in range(3))
    average, copy = MovingAverage(slow, 0.9), MovingAverage(exact, 0.0)
    with torch.no_grad():
        model.weight.fill_(2.0)
        model.running_mean.fill_(5.0)
    average.follow(model, step=10_000)
    copy.follow(model, step=10_000)
    assert slow.weight.item() == pytest.approx(1.1)
    assert slow.running_mean.item() == 5.0
    assert exact.weight.item() == 2.0
