"""A real GStreamer pair at different rates, 16-bit thermal, through the whole service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flown_service import ball_cameras

from edge_rgbt.cameras.system_gi import load_gstreamer
from edge_rgbt.errors import EdgeRgbtError

CONFIGURATION = (
    ball_cameras(15, 9, (160, 120))
    + """
[pairing]
tolerance_ms = 60

[target]
box_px = [150, 110, 30, 30]

[mavlink]
url = ["udpout:127.0.0.1:14598"]
sysid = 1
"""
)


@pytest.mark.slow
def test_two_rates_and_sixteen_bits_go_through_the_service(tmp_path: Path) -> None:
    try:
        load_gstreamer()
    except EdgeRgbtError as missing:
        pytest.skip(str(missing))
    path = tmp_path / "service.toml"
    path.write_text(CONFIGURATION)
    command = [sys.executable, "-m", "edge_rgbt", "run", "--config", str(path), "--seconds", "5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    counters = report["counters"]
    assert report["tracked"] >= 20, done.stderr
    assert counters.get("with_both", 0) >= report["tracked"] / 2, done.stderr
    assert counters["reused"] > 0  # one thermal frame serves several colour ones
    assert counters["restarts"] == 0
