"""The compiled adapter against its specification and the reference vectors; compiling takes a while, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from adapters import adapter, image

from edge_rgbt.adapter import VARIANTS, open_adapter, specification
from edge_rgbt.adapter.mean import MeanAdapter

NETWORKS = [name for name, variant in VARIANTS.items() if variant.network]
BAR = 1e-5  # tpf.md section 13


@pytest.fixture(scope="module", params=NETWORKS)
def compiled(request):
    pytest.importorskip("numba", reason="needs numba: pip install 'edge-rgbt[adapter]'")
    opened = open_adapter(adapter(request.param), threads=2)
    yield request.param, opened
    opened.close()


@pytest.fixture(scope="module")
def full():
    pytest.importorskip("numba", reason="needs numba: pip install 'edge-rgbt[adapter]'")
    opened = open_adapter(adapter(), threads=2)
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(2, 2), (6, 10), (20, 12), (34, 66)])
def test_compiled_equals_the_specification_at_any_size(compiled, size):
    name, opened = compiled
    rgb, tir = image("a/rgb", *size), image("a/tir", *size)
    fused = opened.fuse(rgb[None], tir[None])
    assert fused.shape == (1, *size, 3)
    assert fused.dtype == np.float32
    assert np.abs(fused[0] - specification.fuse(rgb, tir, adapter(name), np.float64)).max() <= BAR


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pfa_16", "pfa_20x12"])
def test_compiled_equals_the_small_vectors(shared_vectors, full, name):
    case = dict(np.load(shared_vectors / "tpf" / f"{name}.npz"))
    rgb, tir = (np.ascontiguousarray(case[m].transpose(0, 2, 3, 1)) for m in ("rgb", "tir"))
    assert np.abs(full.fuse(rgb, tir) - case["fused"].transpose(0, 2, 3, 1)).max() <= BAR


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("pfa_template", 128), ("pfa_search", 256)])
def test_compiled_equals_the_sampled_vectors(shared_vectors, full, name, side):
    case = dict(np.load(shared_vectors / "tpf" / f"{name}.npz"))
    crops = [image(f"tpf-public-1/{name}/{m}", side, side)[None] for m in ("rgb", "tir")]
    fused = full.fuse(*crops)[0].transpose(2, 0, 1)
    sampled = fused[:, case["rows"]][:, :, case["cols"]]
    assert np.abs(sampled - case["fused"].reshape(sampled.shape)).max() <= BAR
    assert np.abs(fused.mean((1, 2), dtype=np.float64) - case["mean"].ravel()).max() <= 1e-6


@pytest.mark.slow
def test_number_of_threads_changes_no_bit(full):
    rgb, tir = image("a/rgb", 24, 40)[None], image("a/tir", 24, 40)[None]
    alone = open_adapter(adapter(), threads=1)
    assert alone.info.threads == 1
    assert np.array_equal(alone.fuse(rgb, tir), full.fuse(rgb, tir))


@pytest.mark.slow
def test_every_pair_of_a_stack_is_fused_alone(full):
    rgb, tir = (np.stack([image(f"{i}/{m}", 12, 16) for i in range(3)]) for m in ("rgb", "tir"))
    stacked = full.fuse(rgb, tir)
    for i in range(3):
        assert np.array_equal(stacked[i], full.fuse(rgb[i : i + 1], tir[i : i + 1])[0])


@pytest.mark.slow
def test_results_stay_as_they_are_when_the_next_pair_comes(full):
    rgb, tir = image("a/rgb", 12, 16)[None], image("a/tir", 12, 16)[None]
    first = full.fuse(rgb, tir)
    kept = first.copy()
    full.fuse(tir, rgb)
    assert np.array_equal(first, kept)


@pytest.mark.slow
def test_steps_past_the_softplus_threshold_decay_to_nothing():
    """Steps around 30 underflow every decay; a wrong exponent would blow the state up."""
    weights = adapter()
    tensors = {
        key: value + 30 if key.endswith("dt_proj.bias") else value for key, value in weights.tensors.items()
    }
    fast = type(weights)("full", tensors)
    rgb, tir = image("a/rgb", 8, 12), image("a/tir", 8, 12)
    fused = open_adapter(fast, threads=1).fuse(rgb[None], tir[None])[0]
    assert np.abs(fused - specification.fuse(rgb, tir, fast, np.float64)).max() <= BAR


@pytest.mark.slow
def test_odd_sides_do_not_fit_half_resolution():
    opened = open_adapter(adapter("s2"), threads=1)
    with pytest.raises(ValueError, match="7x8 pixels, the adapter takes multiples of 2"):
        opened.fuse(image("a/rgb", 7, 8)[None], image("a/tir", 7, 8)[None])


def test_plain_mean_needs_no_library_and_equals_the_specification():
    rgb, tir = image("a/rgb", 7, 9), image("a/tir", 7, 9)
    opened = open_adapter(adapter("add"))
    assert isinstance(opened, MeanAdapter)
    fused = opened.fuse(rgb[None], tir[None])
    assert fused.dtype == np.float32
    assert np.abs(fused[0] - specification.fuse(rgb, tir, adapter("add"), np.float64)).max() < 1e-6


def test_missing_compiler_library_is_one_line_with_the_remedy():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from adapters import adapter\n"
        "from edge_rgbt.adapter import open_adapter\n"
        "from edge_rgbt.errors import EngineError\n"
        "try: open_adapter(adapter())\n"
        "except EngineError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.endswith("pip install 'edge-rgbt[adapter]'")


def test_reading_weights_loads_no_compiler():
    code = "import edge_rgbt.adapter, sys; print([m for m in ('numba', 'torch', 'onnx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
