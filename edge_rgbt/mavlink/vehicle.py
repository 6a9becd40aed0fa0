"""Telemetry of a simulated autopilot: a ground station shows a camera only beside its vehicle."""

from __future__ import annotations

import time

from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT, Identity
from edge_rgbt.mavlink.messages import VehiclePose, attitude, autopilot_heartbeat, global_position
from edge_rgbt.mavlink.publisher import TrackPublisher

HEARTBEAT_PERIOD_S = 1.0


class SimulatedVehicle:
    """Speaks as compid 1 through a publisher's endpoints. Never used when a real autopilot is on the link."""

    def __init__(self, publisher: TrackPublisher, system_id: int = 1, rate_hz: float = 10.0) -> None:
        self._publisher = publisher
        self._identity = Identity(system_id, AUTOPILOT_COMPONENT)
        self._period_s = 1.0 / rate_hz
        self._started_s = time.monotonic()
        self._next_beat_s = self._next_pose_s = self._started_s

    def update(self, pose: VehiclePose) -> None:
        """Call with every simulation step; sends HEARTBEAT at 1 Hz, attitude and position at `rate_hz`."""
        now = time.monotonic()
        if now >= self._next_beat_s:
            self._next_beat_s = max(self._next_beat_s + HEARTBEAT_PERIOD_S, now)
            self._publisher.post(self._identity, autopilot_heartbeat())
        if now >= self._next_pose_s:
            self._next_pose_s = max(self._next_pose_s + self._period_s, now)
            boot_ms = round((now - self._started_s) * 1000)
            self._publisher.post(self._identity, attitude(pose, boot_ms))
            self._publisher.post(self._identity, global_position(pose, boot_ms))
