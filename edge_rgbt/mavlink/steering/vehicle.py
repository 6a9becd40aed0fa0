"""What is said to the vehicle: a region of interest, a beacon to follow, or velocities (9.3 to 9.5)."""

from __future__ import annotations

import math
from typing import Any

from edge_rgbt.geolocation.clock import AutopilotClock
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.geolocation.rotations import heading_of
from edge_rgbt.geolocation.telemetry import Telemetry
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.steering.messages import (
    ROI_LOCATION,
    ROI_NONE,
    follow_target,
    roi_location,
    roi_none,
    velocity_setpoint,
)
from edge_rgbt.steering.machine import Permission
from edge_rgbt.steering.settings import GuidedSettings
from edge_rgbt.steering.situation import Stack
from edge_rgbt.steering.stand_off import Geometry, StandOff, Velocity
from edge_rgbt.types import TargetPosition

ROI_EVERY_NS = 500_000_000
_ROI_MOVED_M, _ROI_MOVED_RAD = 2.0, math.radians(1)
_ACK_WITHIN_NS = 1_500_000_000
_ROI_NONES = 3
BEACON_EVERY_NS = 250_000_000
SETPOINT_EVERY_NS = 100_000_000
_NOT_AGAIN = frozenset((dialect.MAV_RESULT_DENIED, dialect.MAV_RESULT_UNSUPPORTED, dialect.MAV_RESULT_FAILED))


class RegionOfInterest:
    """DO_SET_ROI_LOCATION as the target moves, one at a time, and DO_SET_ROI_NONE at the end."""

    def __init__(self) -> None:
        self._set: TargetPosition | None = None
        self._sent_ns = -ROI_EVERY_NS
        self._waiting: int | None = None  # command without an answer yet
        self._nones_left = 0
        self.refused = False

    @property
    def quiet(self) -> bool:
        return self._set is None and not self._nones_left

    def begin(self) -> None:
        """A new engagement: what was refused once may be asked again."""
        self.refused = False
        self._nones_left = 0

    def acknowledged(self, command: int, result: int) -> None:
        if command != self._waiting:
            return
        self._waiting = None
        if command == ROI_NONE:
            self._nones_left = 0
        elif result in _NOT_AGAIN:
            self.refused = True

    def step(
        self, now_ns: int, system: int, permission: Permission, farewell: bool, target: TargetPosition | None
    ) -> list[Any]:
        """farewell: the region may be taken back when nothing is permitted any more; else it stays."""
        if permission is Permission.NOTHING and self._set is not None:
            self._set, self._waiting = None, None
            self._nones_left = _ROI_NONES if farewell else 0
            self._sent_ns = -ROI_EVERY_NS
        busy = self._waiting is not None and now_ns - self._sent_ns < _ACK_WITHIN_NS
        if busy or now_ns - self._sent_ns < ROI_EVERY_NS:
            return []
        if self._nones_left:
            self._nones_left -= 1
            self._sent_ns, self._waiting = now_ns, ROI_NONE
            return [roi_none(system)]
        if permission is not Permission.STEER or target is None or not self._moved(target):
            return []
        self._set, self._sent_ns, self._waiting = target, now_ns, ROI_LOCATION
        return [roi_location(system, target)]

    def parting(self, system: int) -> list[Any]:
        """Takes the region back, at once."""
        was_set, self._set, self._nones_left = self._set, None, 0
        return [] if was_set is None else [roi_none(system)]

    def _moved(self, target: TargetPosition) -> bool:
        if self._set is None or self._set.track_id != target.track_id:
            return True
        frame = LocalFrame.at(self._set.latitude_deg, self._set.longitude_deg)
        moved_m = math.hypot(*frame.metres(target.latitude_deg, target.longitude_deg))
        return moved_m > _ROI_MOVED_M or moved_m > _ROI_MOVED_RAD * max(target.range_m, 1.0)


class FollowBeacon:
    """FOLLOW_TARGET four times a second, and silence as soon as the target is not seen (9.4)."""

    def __init__(self) -> None:
        self._sent_ns = -BEACON_EVERY_NS
        self._boot_ms = -1

    def step(
        self, now_ns: int, permission: Permission, target: TargetPosition | None, stack: Stack,
        clock: AutopilotClock,
    ) -> list[Any]:  # fmt: skip
        """Only positions that a picture has confirmed, and each of them once."""
        if permission is not Permission.STEER or target is None or not target.confirmed:
            return []
        boot_ms = clock.boot_ms(target.timestamp_ns)
        if boot_ms is None or boot_ms <= self._boot_ms or now_ns - self._sent_ns < BEACON_EVERY_NS:
            return []
        if round(target.latitude_deg * 1e7) == round(target.longitude_deg * 1e7) == 0:
            return []
        # Keeps the mean rate although cycles come every 20 ms.
        self._sent_ns = max(self._sent_ns + BEACON_EVERY_NS, now_ns - BEACON_EVERY_NS)
        self._boot_ms = boot_ms
        return [follow_target(target, boot_ms, stack)]

    def restart(self) -> None:
        """The autopilot's clock began anew."""
        self._boot_ms = -1


class GuidedFlight:
    """Velocity set-points ten times a second (9.5)."""

    def __init__(self, settings: GuidedSettings, telemetry: Telemetry, clock: AutopilotClock) -> None:
        self._settings, self._telemetry, self._clock = settings, telemetry, clock
        self._stand_off = StandOff(settings)
        self._start: LocalFrame | None = None
        self._sent_ns = -SETPOINT_EVERY_NS
        self._flying = False
        self.geometry: Geometry | None = None

    def begin(self) -> None:
        """A new engagement: bearing, height and the circle's centre count from here."""
        self._stand_off, self._start = StandOff(self._settings), None
        self._flying = False

    def step(
        self, now_ns: int, system: int, permission: Permission, farewell: bool, priming: bool,
        target: TargetPosition | None, stack: Stack,
    ) -> list[Any]:  # fmt: skip
        """farewell: one velocity of zero may end the motion; without it silence has to."""
        boot_ms = self._clock.boot_ms(now_ns) or 0
        if permission is not Permission.STEER:
            stops = self._flying and farewell
            self._flying = False
            self._stand_off.rest()
            return [velocity_setpoint(system, Velocity(), boot_ms, stack)] if stops else []
        if now_ns - self._sent_ns < SETPOINT_EVERY_NS:
            return []
        velocity = Velocity()
        if not priming:
            self.geometry = self._geometry(now_ns, target)
            if self.geometry is None:
                return []
            velocity = self._stand_off.velocity(now_ns, self.geometry)
        self._sent_ns = max(self._sent_ns + SETPOINT_EVERY_NS, now_ns - SETPOINT_EVERY_NS)
        self._flying = True
        return [velocity_setpoint(system, velocity, boot_ms, stack)]

    def parting(self, system: int, stack: Stack, now_ns: int) -> list[Any]:
        """Ends the motion, at once."""
        flying, self._flying = self._flying, False
        if not flying:
            return []
        return [velocity_setpoint(system, Velocity(), self._clock.boot_ms(now_ns) or 0, stack)]

    def _geometry(self, now_ns: int, target: TargetPosition | None) -> Geometry | None:
        moment = self._telemetry.at(now_ns)
        if target is None or moment.position is None or moment.attitude is None:
            return None
        vehicle = moment.position.value
        here = LocalFrame.at(vehicle.latitude_deg, vehicle.longitude_deg)
        if self._start is None:
            self._start = here
        north, east = here.metres(target.latitude_deg, target.longitude_deg)
        velocity = (0.0, 0.0)
        if target.velocity_ned_mps is not None:
            velocity = target.velocity_ned_mps[:2]
            age_s = max(now_ns - target.timestamp_ns, 0) * 1e-9
            north, east = north + velocity[0] * age_s, east + velocity[1] * age_s
        moved = self._start.metres(vehicle.latitude_deg, vehicle.longitude_deg)
        return Geometry(
            north, east, velocity, vehicle.velocity_ned_mps, *moved, vehicle.relative_m,
            heading_of(moment.attitude.value), target.horizontal_m,
        )  # fmt: skip
