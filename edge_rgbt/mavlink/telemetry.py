"""From the messages of autopilot and gimbal to `Telemetry`, in SI units and on our clock (section 8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edge_rgbt.geolocation.clock import AutopilotClock
from edge_rgbt.geolocation.rotations import from_degrees, from_euler, normalised
from edge_rgbt.geolocation.settings import GeolocationSettings, MountSettings
from edge_rgbt.geolocation.telemetry import (
    USUAL_HORIZONTAL_M,
    USUAL_VERTICAL_M,
    Fix,
    GimbalAttitude,
    Telemetry,
    VehiclePosition,
)
from edge_rgbt.mavlink.autopilot_link import FollowsAutopilot, set_message_interval
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Received, Speaker
from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT
from edge_rgbt.mavlink.telemetry_requests import TelemetryRequests, wanted_messages

# A stamp that the clock puts farther back than this belongs to another clock.
_OLDEST_NS = 1_000_000_000
_SET_BACK_MS = 1000
_QUATERNIONS_LAST_NS = 1_000_000_000
_GIMBAL_SILENT_NS = 1_000_000_000
_NOT_TOLD = 2**32 - 1
_INVALID_SIGNAL = 1  # of DISTANCE_SENSOR.signal_quality
# The yaw of GIMBAL_DEVICE_ATTITUDE_STATUS. Some pymavlink releases that we accept lack the names.
_YAW_LOCK, _YAW_FROM_VEHICLE, _YAW_FROM_NORTH = 16, 32, 64
# ESTIMATOR_STATUS: a place on earth is known, and it is more than a frozen guess.
_PLACE_KNOWN = dialect.ESTIMATOR_POS_HORIZ_ABS
_PLACE_GUESSED = dialect.ESTIMATOR_CONST_POS_MODE | dialect.ESTIMATOR_GPS_GLITCH


class TelemetryReader(FollowsAutopilot):
    """Feeds `telemetry`, and asks the autopilot for what does not come by itself.

    Where `clock` has no valid offset, and for devices with a clock of their own, a message counts as old as
    the configured link latency, with its uncertainty (R-TM-5).
    """

    def __init__(
        self,
        telemetry: Telemetry,
        clock: AutopilotClock,
        settings: GeolocationSettings | None = None,
        mount: MountSettings | None = None,
        speaker: Speaker = Speaker.CAMERA,
    ) -> None:
        settings, self._mount = settings or GeolocationSettings(), mount or MountSettings()
        self._telemetry, self._clock, self._speaker = telemetry, clock, speaker
        self._latency_ns = round(settings.link_latency_ms * 1e6)
        self._latency_sigma_ns = round(settings.link_latency_sigma_ms * 1e6)
        super().__init__()
        self._requests = TelemetryRequests(wanted_messages(self._mount, settings))
        self._newest_boot_ms: int | None = None
        self._quaternion_ns: int | None = None
        self._gimbal: tuple[int, str] | None = None  # component and endpoint of the one that counts
        self._gimbal_ns = 0
        self._readers: dict[str, Callable[[Any, Received], None]] = {
            "ATTITUDE": self._attitude,
            "ATTITUDE_QUATERNION": self._quaternion,
            "GLOBAL_POSITION_INT": self._position,
            "GPS_RAW_INT": self._fix,
            "SYS_STATUS": self._system_status,
            "ESTIMATOR_STATUS": self._estimator,
            "DISTANCE_SENSOR": self._range,
            "TERRAIN_REPORT": self._terrain,
            "SYSTEM_TIME": self._boot_time,
        }
        self._gimbal_readers = {
            "GIMBAL_DEVICE_ATTITUDE_STATUS": self._gimbal_attitude,
            "MOUNT_ORIENTATION": self._mount_orientation,
        }

    def missing(self, now_ns: int) -> list[str]:
        """Names of the messages that should come and do not."""
        return self._requests.missing(now_ns)

    def receive(self, received: Received) -> list[Outgoing]:
        message, kind = received.message, received.message.get_type()
        autopilot = self._link.heard(received)
        if kind in self._gimbal_readers:
            if self._gimbal_counts(received):
                self._requests.arrived(kind, received.arrival_ns)
                self._gimbal_readers[kind](message, received)
        elif autopilot:
            self._requests.arrived(kind, received.arrival_ns)
            if kind in self._readers:
                self._readers[kind](message, received)
        return []

    def due(self, now_ns: int) -> list[Outgoing]:
        system = self._link.system
        if system is None or self._link.endpoint is None:
            return []
        outgoing = []
        for message_id, rate_hz in self._requests.due(now_ns):
            outgoing += self._link.request(set_message_interval(system, message_id, rate_hz), self._speaker)
        return outgoing

    def _restart(self) -> None:
        self._telemetry.clear()
        self._requests.restart()
        self._newest_boot_ms = self._quaternion_ns = self._gimbal = None

    def _stamp(self, boot_ms: int, received: Received) -> tuple[int, int]:
        """When it was measured on our clock, and how far off that may be (R-TM-4, R-TM-5)."""
        arrival = received.arrival_ns
        if received.component == AUTOPILOT_COMPONENT:
            self._notice_restart(boot_ms)
            if self._clock.valid(arrival):
                ours = self._clock.ours_ns(boot_ms * 1_000_000, arrival)
                sigma = self._clock.sigma_ns()
                if ours is not None and arrival - _OLDEST_NS <= ours <= arrival + sigma + _OLDEST_NS // 100:
                    return min(ours, arrival), sigma
        return arrival - self._latency_ns, self._latency_sigma_ns

    def _notice_restart(self, boot_ms: int) -> None:
        """The autopilot's time went back: what it said before is of another life (R-EP-9)."""
        newest = self._newest_boot_ms
        if newest is not None and boot_ms < newest - _SET_BACK_MS:
            self._restart()
            self._clock.reset()
            newest = None
        self._newest_boot_ms = boot_ms if newest is None else max(newest, boot_ms)

    def _boot_time(self, message: Any, received: Received) -> None:
        self._notice_restart(message.time_boot_ms)

    def _quaternion(self, message: Any, received: Received) -> None:
        rotation = normalised((message.q1, message.q2, message.q3, message.q4))
        if rotation is not None:
            self._quaternion_ns = received.arrival_ns
            at_ns, sigma_ns = self._stamp(message.time_boot_ms, received)
            self._telemetry.add_attitude(at_ns, rotation, sigma_ns)

    def _attitude(self, message: Any, received: Received) -> None:
        """The same in angles: not beside quaternions, whose times differ by a little."""
        known = self._quaternion_ns
        if known is not None and received.arrival_ns - known < _QUATERNIONS_LAST_NS:
            return
        angles = (message.roll, message.pitch, message.yaw)
        if all(map(math.isfinite, angles)):
            at_ns, sigma_ns = self._stamp(message.time_boot_ms, received)
            self._telemetry.add_attitude(at_ns, from_euler(*angles), sigma_ns)

    def _position(self, message: Any, received: Received) -> None:
        if message.lat == message.lon == 0 or abs(message.lat) > 90e7:
            return  # what autopilots say while they do not know
        at_ns, sigma_ns = self._stamp(message.time_boot_ms, received)
        velocity = (message.vx / 100, message.vy / 100, message.vz / 100)
        position = VehiclePosition(
            message.lat / 1e7, message.lon / 1e7, message.alt / 1e3, message.relative_alt / 1e3, velocity
        )
        self._telemetry.add_position(at_ns, position, sigma_ns)

    def _fix(self, message: Any, received: Received) -> None:
        horizontal_m = _accuracy_m(message.h_acc, USUAL_HORIZONTAL_M)
        fix = Fix(message.fix_type, horizontal_m, _accuracy_m(message.v_acc, USUAL_VERTICAL_M))
        self._telemetry.set_fix(received.arrival_ns, fix)

    def _system_status(self, message: Any, received: Received) -> None:
        estimator = dialect.MAV_SYS_STATUS_AHRS
        used = message.onboard_control_sensors_present & message.onboard_control_sensors_enabled & estimator
        if used:
            healthy = bool(message.onboard_control_sensors_health & estimator)
            self._telemetry.set_health(received.arrival_ns, "SYS_STATUS", healthy)

    def _estimator(self, message: Any, received: Received) -> None:
        healthy = bool(message.flags & _PLACE_KNOWN) and not message.flags & _PLACE_GUESSED
        self._telemetry.set_health(received.arrival_ns, "ESTIMATOR_STATUS", healthy)

    def _range(self, message: Any, received: Received) -> None:
        down = message.orientation == dialect.MAV_SENSOR_ROTATION_PITCH_270
        measured = message.min_distance <= message.current_distance < message.max_distance
        if down and measured and getattr(message, "signal_quality", 0) != _INVALID_SIGNAL:
            at_ns, _ = self._stamp(message.time_boot_ms, received)
            self._telemetry.set_range(at_ns, message.current_distance / 100)

    def _terrain(self, message: Any, received: Received) -> None:
        if message.spacing > 0 and math.isfinite(message.current_height):  # 0: no map of this place
            self._telemetry.set_terrain(received.arrival_ns, message.current_height)

    def _gimbal_counts(self, received: Received) -> bool:
        """One gimbal over one link: the configured one, or the first that is heard."""
        wanted = self._mount.gimbal_component
        if received.system != self._link.system or wanted not in (None, received.component):
            return False
        speaker = (received.component, received.endpoint)
        if self._gimbal is None or received.arrival_ns - self._gimbal_ns > _GIMBAL_SILENT_NS:
            self._gimbal = speaker
        if speaker != self._gimbal:
            return False
        self._gimbal_ns = received.arrival_ns
        return True

    def _gimbal_attitude(self, message: Any, received: Received) -> None:
        w, x, y, z = message.q
        rotation = normalised((w, x, y, z))
        if rotation is not None:
            at_ns, sigma_ns = self._stamp(message.time_boot_ms, received)
            gimbal = GimbalAttitude(rotation, yaw_from_north(message.flags))
            self._telemetry.add_gimbal(at_ns, gimbal, sigma_ns)

    def _mount_orientation(self, message: Any, received: Received) -> None:
        absolute = getattr(message, "yaw_absolute", math.nan)
        from_north = math.isfinite(absolute)
        angles = (message.roll, message.pitch, absolute if from_north else message.yaw)
        if all(map(math.isfinite, angles)):
            at_ns, sigma_ns = self._stamp(message.time_boot_ms, received)
            gimbal = GimbalAttitude(from_degrees(*angles), from_north)
            self._telemetry.add_orientation(at_ns, gimbal, sigma_ns)


def _accuracy_m(told_mm: int, usual_m: float) -> float:
    """0 and the largest number mean that it is not told."""
    return usual_m if told_mm in (0, _NOT_TOLD) else told_mm / 1e3


def yaw_from_north(flags: int) -> bool:
    """True if a gimbal's yaw counts from north, False if from the vehicle's heading.

    The frames are said by two flags; only without them, as in old firmware, does the yaw lock tell. ArduPilot
    at a region of interest sets the lock together with the vehicle's frame.
    """
    if flags & _YAW_FROM_NORTH:
        return True
    if flags & _YAW_FROM_VEHICLE:
        return False
    return bool(flags & _YAW_LOCK)
