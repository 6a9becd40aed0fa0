"""`edge-rgbt bench` shows what the service costs around the network, stage by stage."""

from __future__ import annotations

import argparse

import pytest
from bundles import tiny_bundle

from edge_rgbt.commands import bench
from edge_rgbt.runtime import STAGES
from edge_rgbt.service.measure import measure_flight

pytest.importorskip("mcap", reason="needs the extra record (mcap)")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "b")


def test_a_measured_flight_times_every_stage_that_a_pair_waits_for(bundle):
    flight = measure_flight(bundle, "onnx", 1, 2.2, (160, 128), warp=True)
    stages = flight["stages"]
    assert isinstance(stages, dict)
    waited_for = [s.name for s in STAGES if s.in_loop and s.family is None]
    assert [name for name in stages if name != "health"] == waited_for
    assert stages["health"]["frames"] >= 1
    assert stages["judge"]["frames"] >= 5
    outside = sum(row["p50_ms"] for name, row in stages.items() if name not in ("infer", "health"))
    assert flight["outside_engine_ms"] == pytest.approx(outside, abs=0.01)


def test_bench_prints_the_service_beside_the_loop(bundle, capsys, monkeypatch):
    monkeypatch.setattr(bench, "FLIGHT_S", 0.5)
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    arguments = ["--bundle", str(bundle.path), "--frames", "3", "--threads", "1", "--size", "160x128"]
    assert bench.run(parser.parse_args(arguments)) == 0
    out = capsys.readouterr().out
    for label in ("the service at 30 Hz", "judge", "record", "output", "outside the engine"):
        assert label in out
