"""The service as it flies: started, stopped and killed as processes; what it recorded replays to the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mcap", reason="needs the extra record (mcap)")

RUN = [sys.executable, "-m", "edge_rgbt", "run"]
CONFIGURATION = """
[cameras.rgb]
kind = "simulator"
seed = 7
seconds = 60
rate_hz = 6
width_px = 320
height_px = 256

[cameras.tir]
kind = "simulator"
seed = 7
seconds = 60
rate_hz = 6
width_px = 320
height_px = 256
clock_offset_ms = 37

[pairing]
tolerance_ms = 60
tir_offset_ms = -37

[target]
simulated = true

[mavlink]
url = ["udpout:127.0.0.1:14599"]
sysid = 1

[recording]
folder = "flights"
rgb = "raw"
tir = "raw"
min_free_mb = 50
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "service.toml"
    path.write_text(CONFIGURATION)
    return path


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=120, check=False)


def replayed(flight: Path, out: Path) -> dict:
    command = [sys.executable, "-m", "edge_rgbt", "replay", str(flight), "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for_tracks(process: subprocess.Popen) -> None:
    """Until the service says that the target is tracked; its log comes on standard error."""
    assert process.stderr is not None
    for line in process.stderr:
        if "target tracking" in line:
            return
    raise AssertionError("the service ended before it tracked anything")


@pytest.mark.slow
def test_a_recorded_flight_replays_to_the_same_tracks(configuration: Path, tmp_path: Path) -> None:
    process = subprocess.Popen([*RUN, "--config", str(configuration), "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    wait_for_tracks(process)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    out, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    report = json.loads(out)
    assert report["tracked"] >= 3
    compared = replayed(Path(report["recording"]), tmp_path / "out")
    assert compared["frames"] == report["tracked"]
    [sequence] = compared["sequences"]
    assert sequence["flight"]["identical"] == report["tracked"], sequence["flight"]


@pytest.mark.slow
def test_a_killed_service_leaves_a_recording_and_starts_again(configuration: Path, tmp_path: Path) -> None:
    process = subprocess.Popen([*RUN, "--config", str(configuration)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    wait_for_tracks(process)
    time.sleep(3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    [flight] = (tmp_path / "flights").glob("*.mcap")
    assert replayed(flight, tmp_path / "out")["frames"] >= 1
    again = call("--config", str(configuration), "--seconds", "1", "--json")
    assert again.returncode == 0, again.stderr
    assert flight.is_file()


def test_check_validates_and_opens_nothing(configuration: Path, tmp_path: Path) -> None:
    done = call("--config", str(configuration), "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid" in done.stdout
    assert not (tmp_path / "flights").exists()


def test_every_fault_of_a_configuration_has_its_line(configuration: Path) -> None:
    text = CONFIGURATION.replace("tolerance_ms = 60", "tolerance_ms = -1\ntolerence_s = 2").replace(
        'kind = "simulator"', 'kind = "simulater"', 1
    )
    configuration.write_text(text)
    done = call("--config", str(configuration), "--check")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "cameras.rgb: kind = 'simulater' is not known" in lines[0]
    assert "unknown key pairing.tolerence_s" in lines[1]
