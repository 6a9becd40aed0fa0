"""NanoTrack scores as measured elsewhere in the benchmark beside it, so trackers are run the right way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "peers.py"


@pytest.mark.slow
def test_nanotrack_scores_as_published_on_an_untouched_sequence(shared_data):
    command = [sys.executable, str(SCRIPT), "--data", str(shared_data), "--no-bundle", "--json"]
    done = subprocess.run(
        [*command, "--only", "elecbike3"], capture_output=True, text=True, timeout=300, check=True
    )
    found = {row["tracker"]: (row["own_pr"], row["own_sr"]) for row in json.loads(done.stdout)["rows"]}
    assert found == {
        "NanoTrack V2, RGB": (pytest.approx(0.611, abs=1e-3), pytest.approx(0.276, abs=1e-3)),
        "NanoTrack V2, thermal": (pytest.approx(0.389, abs=1e-3), pytest.approx(0.176, abs=1e-3)),
    }
    assert done.stderr == ""


def test_missing_peer_networks_are_named(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "backbone.onnx: missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1
