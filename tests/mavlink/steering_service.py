"""The real steering in a process of its own, for tests that kill it. The target stands right of the middle.

    python steering_service.py URL

Ends in order with SIGTERM, as the service does: disengage, wait until the gimbal stands, close.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

from edge_rgbt.geolocation import AutopilotClock, GeolocationSettings, MountSettings, Telemetry
from edge_rgbt.geolocation.camera_attitude import CameraMount
from edge_rgbt.geolocation.optics import OpticsBook
from edge_rgbt.mavlink.settings import EndpointSettings, MavlinkSettings
from edge_rgbt.mavlink.station import Station
from edge_rgbt.mavlink.steering import Senses, SteeringComponent
from edge_rgbt.mavlink.steering.guard import GuardProcess
from edge_rgbt.mavlink.telemetry import TelemetryReader
from edge_rgbt.mavlink.timesync import TimeSync
from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.target_watch import Observation
from edge_rgbt.types import Box, TrackState, TrackStatus


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    telemetry, clock, mount = Telemetry(), AutopilotClock(), MountSettings()
    places = GeolocationSettings(hfov_deg=60.0)
    senses = Senses(telemetry, clock, CameraMount(mount), OpticsBook(hfov_deg=60.0))
    settings = MavlinkSettings(endpoint=(EndpointSettings(sys.argv[1]),), companion=True)
    with GuardProcess() as guard:
        steering = SteeringComponent(ControlSettings(level="gimbal"), senses, guard=guard)
        parts = [TimeSync(clock), TelemetryReader(telemetry, clock, places, mount), steering]
        with Station(settings, parts, on_outlets=guard.outlets):
            print(guard.pid, flush=True)
            while not stop.wait(0.03):
                state = TrackState(
                    Box(900, 300, 40, 80), 0.9, TrackStatus.TRACKING, time.monotonic_ns(), confidence=0.9
                )
                steering.seen(Observation(1, state, 1280, 720))
            steering.disengage("the service ends")
            print("stands" if steering.still(3.0) else "turns", flush=True)


if __name__ == "__main__":
    main()
