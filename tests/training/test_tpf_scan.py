"""The selective scan against the stored vectors, its slow reference, and numeric gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from adapters import unit

from benchmarks.selective_scan import measure_memory
from training.models.tpf.scan import ScanPlan, plan_scan, scan_stepwise, selective_scan

TENSORS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "h0")
CASES = ("one", "tiny", "plain", "state", "n8", "pfa8", "pfa16", "slow", "fast")
SMALL = ScanPlan(chunk_tokens=3, slice_chunks=3, slice_samples=1)  # 20 tokens: two whole slices and a part


def vector(shared_vectors: Path, name: str) -> dict[str, torch.Tensor]:
    stored = np.load(shared_vectors / "tpf" / f"scan_{name}.npz")
    return {key: torch.from_numpy(np.asarray(stored[key])) for key in stored.files}


def arguments(case: dict[str, torch.Tensor]) -> tuple[list[torch.Tensor | None], bool]:
    return [case.get(name) for name in TENSORS], bool(case.get("delta_softplus", False))


def random_inputs(samples: int, channels: int, states: int, tokens: int, seed: int = 0) -> list[torch.Tensor]:
    """Every tensor of a scan in float64, all of them to be differentiated."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    inner, outer = (samples, channels, tokens), (samples, states, tokens)
    made = [
        normal(*inner),
        normal(*inner),
        -torch.rand((channels, states), generator=g, dtype=torch.float64) - 0.2,
        normal(*outer),
        normal(*outer),
        normal(channels),
        normal(*inner),
        normal(channels),
        normal(samples, channels, states),
    ]
    return [tensor.requires_grad_() for tensor in made]


def gap(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest difference as a part of the largest value."""
    found, wanted = found.detach(), wanted.detach()
    return float((found.double() - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("name", CASES)
def test_float32_scan_equals_the_vector(name: str, shared_vectors: Path) -> None:
    case = vector(shared_vectors, name)
    inputs, softplus = arguments(case)
    y, last = selective_scan(*inputs, delta_softplus=softplus)
    assert gap(y, case["y"]) <= 2e-5
    assert gap(last, case["h_last"]) <= 2e-5


@pytest.mark.parametrize("name", ["tiny", "plain", "state"])
def test_stepwise_reference_equals_the_vector(name: str, shared_vectors: Path) -> None:
    case = vector(shared_vectors, name)
    inputs, softplus = arguments(case)
    y, last = scan_stepwise(*inputs, delta_softplus=softplus)
    assert gap(y, case["y"]) <= 2e-5
    assert gap(last, case["h_last"]) <= 2e-5


@pytest.mark.parametrize("name", ["pfa8", "slow"])
def test_float16_operands_keep_a_float32_state(name: str, shared_vectors: Path) -> None:
    case = vector(shared_vectors, name)
    inputs, softplus = arguments(case)
    crossing = [t.half() if t is not None and t.dim() == 3 else t for t in inputs]
    y, last = selective_scan(*crossing, delta_softplus=softplus)
    assert (y.dtype, last.dtype) == (torch.float16, torch.float32)
    assert gap(y, case["y"]) <= 2e-3
    assert gap(last, case["h_last"]) <= 2e-3


@pytest.mark.slow
def test_scan_of_a_whole_search_crop_equals_the_vector(shared_vectors: Path) -> None:
    case = vector(shared_vectors, "long")
    shape = (1, 16, 65536)
    for name, scale in {"u": 1.0, "delta": 0.5, "B": 1.0, "C": 1.0, "z": 1.0}.items():
        values = (scale * unit(f"tpf-public-1/scan_long/{name}", shape)).astype(np.float32)
        assert np.array_equal(values[..., :8], case[f"{name}_head"].numpy())
        case[name] = torch.from_numpy(values)
    y, last = selective_scan(*arguments(case)[0], delta_softplus=True)
    assert gap(y[..., case["pos"]], case["y"]) <= 2e-5
    assert gap(last, case["h_last"]) <= 2e-5
    assert gap(y.double().abs().mean((0, 2)), case["y_abs_mean"]) <= 2e-5


@pytest.mark.parametrize("softplus", [False, True])
def test_gradients_equal_numeric_ones(softplus: bool) -> None:
    inputs = random_inputs(2, 2, 2, 7)
    if not softplus:
        inputs[1] = (inputs[1].detach().abs() * 0.3 + 1.0).requires_grad_()  # steps are positive

    def scan(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        plan = ScanPlan(chunk_tokens=2, slice_chunks=2, slice_samples=1)
        return selective_scan(*tensors, delta_softplus=softplus, plan=plan)

    assert torch.autograd.gradcheck(scan, inputs, fast_mode=True)


@pytest.mark.parametrize("absent", [(), ("D", "z", "delta_bias", "h0")], ids=("all", "none-optional"))
def test_gradients_equal_those_of_the_stepwise_reference(absent: tuple[str, ...]) -> None:
    inputs = [
        None if name in absent else tensor
        for name, tensor in zip(TENSORS, random_inputs(3, 4, 5, 20), strict=True)
    ]
    given = [tensor for tensor in inputs if tensor is not None]
    results = []
    for scan, options in ((scan_stepwise, {}), (selective_scan, {"plan": SMALL})):
        y, last = scan(*inputs, delta_softplus=True, **options)
        results.append((y, last, *torch.autograd.grad((y * y).sum() + last.sum(), given)))
    for wanted, found in zip(*results, strict=True):
        assert gap(found, wanted) <= 1e-12


def test_float32_gradients_stay_close_over_many_chunks() -> None:
    inputs = random_inputs(1, 4, 4, 300)
    y, _ = scan_stepwise(*inputs, delta_softplus=True)
    wanted = torch.autograd.grad((y * y).sum(), inputs)
    single = [tensor.detach().float().requires_grad_() for tensor in inputs]
    y, _ = selective_scan(*single, delta_softplus=True, plan=ScanPlan(32, 4, 1))
    for found, expected in zip(torch.autograd.grad((y * y).sum(), single), wanted, strict=True):
        assert gap(found, expected) <= 1e-5


@pytest.mark.parametrize("plan", [ScanPlan(1, 8, 1), ScanPlan(7, 2, 2), ScanPlan(64, 1, 3)])
def test_result_does_not_depend_on_the_cuts(plan: ScanPlan) -> None:
    inputs = [tensor.detach() for tensor in random_inputs(3, 2, 4, 23)]
    y, last = selective_scan(*inputs, plan=SMALL)
    other_y, other_last = selective_scan(*inputs, plan=plan)
    torch.testing.assert_close(other_y, y)
    torch.testing.assert_close(other_last, last)


def test_under_autocast_the_scan_stays_float32() -> None:
    inputs = [tensor.detach().float() for tensor in random_inputs(1, 4, 4, 40)]
    wanted, _ = selective_scan(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = selective_scan(*inputs)
    assert torch.equal(found, wanted)


def test_a_slice_never_holds_more_than_an_eighth_of_all_states() -> None:
    for samples, tokens in ((1, 65536), (18, 16384), (4, 1024)):
        plan = plan_scan(samples, 16, 16, tokens, torch.device("cuda"))
        assert plan.slice_tokens * plan.slice_samples <= samples * tokens / 8


def test_memory_stays_under_four_times_inputs_and_outputs() -> None:
    held, peak = measure_memory(tokens=16384)
    assert peak < 4 * held
