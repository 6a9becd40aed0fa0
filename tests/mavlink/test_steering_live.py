"""Steering in a process of its own behind the simulated autopilot, in real time, and every way out of it.

ArduPilot turns a gimbal on with the last rate for ever, so a way out that says nothing would show.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymavlink.dialects.v20 import common as dialect
from stations import UdpEnd, Voice, free_port, wait_for

from edge_rgbt.mavlink.autopilot import ARDUCOPTER, AutopilotSettings, SimulatedAutopilot
from edge_rgbt.mavlink.autopilot.server import AutopilotServer
from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.mavlink.steering.orders import ENGAGE
from edge_rgbt.sim.vehicle import RateCommand, Vehicle

pytestmark = pytest.mark.slow  # six seconds each
SERVICE = Path(__file__).with_name("steering_service.py")
ROOT = Path(__file__).resolve().parents[2]
SYSTEM = 7


class Flight:
    """The autopilot's server, the service's process, and a ground station."""

    def __init__(self, server, process, ground, port):
        self.server, self.process, self._ground, self._port = server, process, ground, port
        self._voice = Voice(255, 190)

    def command(self):
        """What the gimbal does now: pitch and yaw rates."""
        with self.server.autopilot() as autopilot:
            command = autopilot.vehicle.gimbal.command
        assert isinstance(command, RateCommand)
        return command.pitch_rad_s, command.yaw_rad_s

    def turning(self):
        return self.command() != (0.0, 0.0)

    def control(self):
        with self.server.autopilot() as autopilot:
            return autopilot.gimbal.control

    def engaged(self):
        """Asks until it is accepted and the gimbal turns."""
        self._ground.send(self._voice.heartbeat(), self._port)
        command = dialect.MAVLink_command_long_message(SYSTEM, 191, ENGAGE, 0, 1, 0, 0, 0, 0, 0, 0)
        self._ground.send(self._voice.frame(command), self._port)
        return wait_for(self.turning, 0.5)


@contextmanager
def flying():
    companion, ground_port = (free_port(kind=2) for _ in range(2))
    autopilot = SimulatedAutopilot(
        Vehicle(), ARDUCOPTER, AutopilotSettings(system=SYSTEM), began_ns=time.monotonic_ns()
    )
    urls = (f"udpin:127.0.0.1:{companion}", f"udpin:127.0.0.1:{ground_port}")
    with AutopilotServer(autopilot, [parse_endpoint(url) for url in urls]) as server, UdpEnd() as ground:
        process = subprocess.Popen(
            [sys.executable, str(SERVICE), f"udpout:127.0.0.1:{companion}"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            process.stdout.readline()
            flight = Flight(server, process, ground, ground_port)
            assert wait_for(flight.engaged, 20)
            assert flight.control() == (SYSTEM, 191)
            yield flight
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_killed_service_leaves_the_gimbal_still_and_free():
    """9.7, process exit, crash: within 2 s."""
    with flying() as flight:
        flight.process.send_signal(signal.SIGKILL)
        assert wait_for(lambda: not flight.turning(), 2.0)
        assert wait_for(lambda: flight.control() == (0, 0), 2.0)
        assert not flight.turning()


def test_a_service_that_ends_in_order_has_stopped_the_gimbal_before():
    """R-GM-3, SIGTERM."""
    with flying() as flight:
        flight.process.send_signal(signal.SIGTERM)
        assert flight.process.stdout.readline() == "stands\n"
        assert not flight.turning()
        assert wait_for(lambda: flight.control() == (0, 0), 2.0)
        assert flight.process.wait(10) == 0


def test_a_service_that_hangs_is_spoken_for():
    """R-GM-3: the control loop has not run for 300 ms."""
    with flying() as flight:
        flight.process.send_signal(signal.SIGSTOP)
        assert wait_for(lambda: not flight.turning(), 2.0)
        flight.process.send_signal(signal.SIGCONT)
        time.sleep(1.0)
        assert not flight.turning()  # what stood still does not steer on
