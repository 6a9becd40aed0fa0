"""What `edge-rgbt bench` measures and prints."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
from adapters import adapter
from bundles import tiny_bundle, tpf_bundle

from edge_rgbt.commands import bench
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.machine import describe_machine, peak_memory_mb
from edge_rgbt.runtime import step_stages
from edge_rgbt.runtime.measure import MovingTexture, cold_start, measure


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "b")


def _bench(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    return bench.run(parser.parse_args(arguments))


def test_texture_moves_and_its_target_stays_the_same_patch():
    texture = MovingTexture(160, 128)
    patches = []
    for t in (0, 9):
        pair, box = texture.pair(t)
        x, y = round(box.x), round(box.y)
        patches.append(pair.tir.image[y : y + 8, x : x + 8])
    assert np.array_equal(*patches)
    assert not np.array_equal(texture.pair(0)[0].rgb.image, texture.pair(9)[0].rgb.image)


def test_measurement_covers_every_stage_and_the_parts_add_up(bundle):
    result = measure(bundle, threads=1, frames=40, size=(160, 128))
    assert tuple(result["stages"]) == step_stages("ckd")
    assert result["whole_frame"]["frames"] == result["network_only"]["frames"] == 40
    parts = sum(row["mean_ms"] for row in result["stages"].values())
    assert result["whole_frame"]["mean_ms"] >= parts
    around = result["around_network"]["mean_ms"] + result["network_only"]["mean_ms"]
    assert around == pytest.approx(result["whole_frame"]["mean_ms"], abs=0.01)
    assert result["engine"]["engine"] == "onnxruntime"


def test_fused_bundle_is_measured_with_its_adapter(tmp_path):
    result = measure(tpf_bundle(tmp_path / "b", adapter("add")), threads=1, frames=5, size=(160, 128))
    assert tuple(result["stages"]) == step_stages("tpf")
    assert result["adapter"]["engine"] == "numpy"


def test_cold_start_is_measured_in_a_fresh_process(bundle):
    result = cold_start(bundle, threads=1, runs=1)
    assert 50 < result["first_track_ms"] < 60_000
    assert 30 < result["peak_memory_mb"] < 300


def test_cold_start_that_fails_says_why(bundle):
    with pytest.raises(EdgeRgbtError, match="engine 'none' is unknown"):
        cold_start(bundle, engine="none", runs=1)


def test_json_is_one_object_on_standard_output(bundle, capsys):
    assert (
        _bench("--bundle", str(bundle.path), "--frames", "5", "--threads", "1", "--no-flight", "--json") == 0
    )
    out, err = capsys.readouterr()
    assert json.loads(out)["cold_start"]["runs"] == 3
    assert err == ""


def test_table_labels_network_only_and_whole_frame(bundle, capsys):
    assert (
        _bench("--bundle", str(bundle.path), "--frames", "5", "--threads", "1", "--no-warp", "--no-flight")
        == 0
    )
    out = capsys.readouterr().out
    for label in ("network only", "around the network", "whole frame", "cold start", "resident"):
        assert label in out


@pytest.mark.parametrize("arguments", [("--size", "640"), ("--size", "9x9"), ("--frames", "0")])
def test_impossible_options_are_usage_errors(bundle, arguments):
    with pytest.raises(UsageError, match=arguments[0]):
        _bench("--bundle", str(bundle.path), *arguments)


def test_machine_says_processor_cores_and_versions():
    machine = describe_machine()
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert "numpy" in machine["libraries"]


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory_mb()
    held = np.ones(64_000_000, np.uint8)
    assert peak_memory_mb() >= before
    assert peak_memory_mb() > held.nbytes / 1e6
