"""A real client takes the simulated vehicle for one: MAVSDK reads it, flies it, takes its gimbal."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge_rgbt.mavlink.autopilot import FlightMode
from edge_rgbt.mavlink.autopilot.process import VehicleOrder, serve

pytestmark = pytest.mark.slow
SUCCESS = 1


@pytest.mark.parametrize("stack", ["px4", "arducopter"])
def test_mavsdk_4_flies_the_simulated_vehicle(stack: str) -> None:
    pytest.importorskip("mavsdk.plugins.action", reason="needs mavsdk 4: pip install 'mavsdk>=4'")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    client = Path(__file__).with_name("mavsdk4_pilot.py")
    with serve(VehicleOrder(stack, (f"udpout:127.0.0.1:{port}",), system=7)) as server:
        arguments = [sys.executable, client, str(port), "gimbal" if stack == "px4" else "none"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        with server.autopilot() as autopilot:
            holder, mode = autopilot.gimbal.control, autopilot.flight.mode
    assert found["start"] == pytest.approx([47.397742, 8.545594, 30.0], abs=0.5)
    assert (found["goto"], found["return"]) == (SUCCESS, SUCCESS)
    if stack == "px4":
        assert found["take_gimbal"] == SUCCESS
        assert holder == (245, 190)
    assert mode is FlightMode.RETURN
