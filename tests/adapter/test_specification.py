"""The numpy adapter against the reference vectors, in float32 within the bars of tpf.md section 13."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from adapters import adapter, image, parameter, unit

from edge_rgbt.adapter import specification as spec
from edge_rgbt.adapter.layout import VARIANTS, block_shapes, tensor_shapes

SCANS = ("one", "tiny", "plain", "state", "n8", "pfa8", "pfa16", "slow", "fast")


@pytest.fixture(scope="module")
def vectors(shared_vectors) -> Path:
    return shared_vectors / "tpf"


def scan_vector(case: dict[str, np.ndarray], b: int) -> tuple[np.ndarray, np.ndarray]:
    """Result and last state of sample b of a stored scan, options included."""
    u, delta, B, C = (case[name][b].T.astype(np.float32) for name in ("u", "delta", "B", "C"))
    if "delta_bias" in case:
        delta = delta + case["delta_bias"]
    if case.get("delta_softplus", False):
        delta = spec.softplus(delta)
    start = case["h0"][b] if "h0" in case else None
    y, last = spec.selective_scan(u, delta, case["A"], B, C, start)
    if "D" in case:
        y = y + case["D"] * u
    if "z" in case:
        y = y * spec.silu(case["z"][b].T)
    return y, last


@pytest.mark.parametrize("name", SCANS)
def test_scan_equals_the_vector(vectors, name):
    case = dict(np.load(vectors / f"scan_{name}.npz"))
    for b in range(len(case["u"])):
        y, last = scan_vector(case, b)
        assert np.abs(y - case["y"][b].T).max() <= 2e-5 * np.abs(case["y"]).max()
        assert np.abs(last - case["h_last"][b]).max() <= 2e-5 * np.abs(case["h_last"]).max()


@pytest.mark.slow
def test_scan_of_a_whole_search_crop_equals_the_vector(vectors):
    case = dict(np.load(vectors / "scan_long.npz"))
    shape = (1, 16, 65536)
    scales = {"u": 1.0, "delta": 0.5, "B": 1.0, "C": 1.0, "z": 1.0}
    case |= {
        name: (scale * unit(f"tpf-public-1/scan_long/{name}", shape)).astype(np.float32)
        for name, scale in scales.items()
    }
    y, last = scan_vector(case | {"delta_softplus": True}, 0)
    bar = 2e-5 * np.abs(case["y"]).max()
    assert np.abs(y[case["pos"]] - case["y"].reshape(16, -1).T).max() <= bar
    assert np.abs(last - case["h_last"][0]).max() <= 2e-5 * np.abs(case["h_last"]).max()


@pytest.mark.parametrize("name", ["vim_d8", "vim_d8_odd", "vim_d16"])
def test_block_equals_the_vector(vectors, name):
    case = dict(np.load(vectors / f"{name}.npz"))
    weights = {key[2:]: value for key, value in case.items() if key.startswith("w.")}
    for x, wanted in zip(case["x"], case["out"], strict=True):
        out = spec.vim_block(x, weights)
        assert out.dtype == np.float32
        assert np.abs(out - wanted).max() <= 2e-5 * np.abs(case["out"]).max()


@pytest.mark.parametrize("name", ["pfa_16", "pfa_20x12"])
def test_every_stage_of_the_adapter_equals_the_vector(vectors, name):
    case = dict(np.load(vectors / f"{name}.npz"))
    rgb, tir = (case[m][0].transpose(1, 2, 0) for m in ("rgb", "tir"))
    for stage, value in spec.stages(rgb, tir, adapter()).items():
        wanted = case[stage][0].transpose(1, 2, 0) if stage == "fused" else case[stage][0]
        if wanted.shape != value.shape:  # stored as planes
            wanted = wanted.reshape(value.shape[1], -1).T
        assert np.abs(value - wanted).max() <= 1e-5, stage


def test_float64_of_the_specification_reaches_the_vector_far_below_the_bar(vectors):
    case = dict(np.load(vectors / "pfa_20x12.npz"))
    rgb, tir = (case[m][0].transpose(1, 2, 0) for m in ("rgb", "tir"))
    fused = spec.fuse(rgb, tir, adapter(), np.float64)
    assert np.abs(fused - case["fused"][0].transpose(1, 2, 0)).max() < 1e-9


def test_recipe_makes_the_stored_block_weights(vectors):
    case = dict(np.load(vectors / "vim_d16.npz"))
    for name, shape in block_shapes(16).items():
        assert np.array_equal(parameter(name, shape, "tpf-public-1/vim_d16"), case[f"w.{name}"]), name


@pytest.mark.parametrize(("name", "count"), [("full", 14_267), ("s2", 14_036), ("tied", 11_867), ("add", 0)])
def test_variant_has_the_parameters_of_the_design(name, count):
    assert sum(int(np.prod(shape)) for shape in tensor_shapes(VARIANTS[name]).values()) == count


def test_tied_decay_is_the_full_scan_with_multiples_of_one_rate():
    tied = adapter("tied")
    tensors = {
        key: np.log(-spec.decay_rates(value)) if key.endswith("A_log") else value
        for key, value in tied.tensors.items()
    }
    rgb, tir = image("a/rgb", 6, 10), image("a/tir", 6, 10)
    full = type(tied)("full", tensors)
    assert np.allclose(spec.fuse(rgb, tir, tied), spec.fuse(rgb, tir, full), atol=1e-6)


def test_plain_mean_is_the_mean_of_both_images():
    rgb, tir = image("a/rgb", 6, 10), image("a/tir", 6, 10)
    assert np.allclose(spec.fuse(rgb, tir, adapter("add")), (rgb / 255 + tir / 255) / 2, atol=1e-7)


def test_half_resolution_shuffles_pixels_in_rows_and_columns():
    planes = np.arange(12, dtype=np.float32).reshape(1, 1, 12)
    image_2x2 = spec.pixel_shuffle(planes, 2)
    assert image_2x2[:, :, 0].tolist() == [[0, 1], [2, 3]]
    assert image_2x2[0, 1].tolist() == [1, 5, 9]
