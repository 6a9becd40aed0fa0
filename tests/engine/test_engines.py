"""Every registered engine opens a bundle, says what runs, and refuses what does not fit."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from bundles import matching_graph, tiny_bundle, tiny_manifest

import edge_rgbt.engine
from edge_rgbt.bundle import write_bundle
from edge_rgbt.engine import ENGINES, open_engine
from edge_rgbt.errors import EngineError, UsageError


def _feeds(engine, batch: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {s.name: rng.integers(0, 256, (batch, *s.shape[1:]), np.uint8) for s in engine.inputs}


def test_every_engine_file_is_registered():
    folder = Path(edge_rgbt.engine.__file__).parent
    files = {p.stem for p in folder.glob("*.py")} - {"__init__", "base"}
    assert files == {module.rsplit(".", 1)[1] for module, _ in ENGINES.values()}
    assert len(ENGINES) == 1


@pytest.mark.parametrize("name", ENGINES)
def test_engine_module_opens_bundles(name):
    assert callable(importlib.import_module(ENGINES[name][0]).open_bundle)


@pytest.fixture(params=["b", "b.rgbt"])
def engine(request, tmp_path):
    engine = open_engine(tiny_bundle(tmp_path / request.param), "onnx", threads=1)
    yield engine
    engine.close()


def test_engine_says_what_runs(engine):
    assert engine.info.threads == 1
    assert engine.info.precision == "fp32"
    assert "onnxruntime" in str(engine.info)


def test_engine_computes_the_graph(engine):
    feeds = _feeds(engine)
    score = engine.run(feeds)["score"]
    assert score.shape == (1, 1, 16, 16)
    distance = np.zeros((16, 16))
    for modality in ("rgb", "tir"):
        wanted = feeds[f"template_{modality}"][0, 28:36, 28:36].mean()
        cells = feeds[f"search_{modality}"][0].mean(-1).reshape(16, 8, 16, 8).mean((1, 3))
        distance += (cells - wanted) ** 2
    np.testing.assert_allclose(score[0, 0], np.exp(-distance / 24**2), atol=1e-5)


def test_engine_takes_batches(engine):
    assert engine.run(_feeds(engine, batch=3))["size"].shape == (3, 2, 16, 16)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda f: f.pop("search_tir"), "'search_tir' was not given"),
        (lambda f: f.update(search_tir=f["search_tir"][..., :1]), r"\[1, 128, 128, 1\]"),
        (lambda f: f.update(search_rgb=f["search_rgb"].astype(np.float32)), "'search_rgb' is float32"),
        (lambda f: f.update(search_rgb=f["search_rgb"][0]), r"\[128, 128, 3\]"),
    ],
)
def test_wrong_feed_is_named(engine, change, wanted):
    feeds = _feeds(engine)
    change(feeds)
    with pytest.raises(EngineError, match=wanted):
        engine.run(feeds)


def test_unknown_engine_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="choose onnx"):
        open_engine(tiny_bundle(tmp_path / "b"), "tensorflow")


@pytest.mark.parametrize("threads", [0, 100_000])
def test_impossible_thread_count_is_a_usage_error(tmp_path, threads):
    with pytest.raises(UsageError, match=f"{threads} engine threads"):
        open_engine(tiny_bundle(tmp_path / "b"), "onnx", threads=threads)


def test_graph_that_is_no_graph_is_refused_in_one_line(tmp_path):
    bundle = write_bundle(tmp_path / "b", tiny_manifest(), {"model.onnx": b"not a graph"})
    with pytest.raises(EngineError, match=r"refuses model\.onnx") as error:
        open_engine(bundle, threads=1)
    assert "\n" not in str(error.value)


def test_graph_unlike_its_manifest_is_refused(tmp_path):
    other = matching_graph(template_size=32).SerializeToString()
    bundle = write_bundle(tmp_path / "b", tiny_manifest(), {"model.onnx": other})
    with pytest.raises(EngineError, match=r"'template_rgb'.*32.*64"):
        open_engine(bundle, threads=1)


def test_bundle_without_a_graph_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "b", tiny_manifest(), {"weights.bin": b"x"})
    with pytest.raises(UsageError, match=r"holds no model\.onnx"):
        open_engine(bundle, threads=1)
