"""The telemetry of a simulated flight as an autopilot would send it: late, noisy, biased, on its own clock.

Errors are drawn with the sigmas that geolocation claims for its inputs: part of each is constant over a
flight, part of it wanders.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_rgbt.geolocation import AutopilotClock, GeolocationSettings, MountSettings, Telemetry
from edge_rgbt.geolocation.rotations import from_degrees
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Received
from edge_rgbt.mavlink.framing import FrameWriter
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.telemetry import TelemetryReader
from edge_rgbt.mavlink.timesync import TimeSync
from edge_rgbt.sim import Pose

MS, SECOND = 1_000_000, 1_000_000_000
AUTOPILOT = Identity(7, 1)
SERIAL = "serial:/dev/ttyTHS1:921600"
HOME, HOME_ALTITUDE_M = (47.397742, 8.545594), 488.0
FLAGS = (32, 44, 60, 64)
_ATTITUDE_HZ, _GIMBAL_HZ, _POSITION_HZ = 20.0, 20.0, 10.0
_POLL_NS = 20 * MS
_WARM_UP_NS = 2 * SECOND  # telemetry begins so long before the first picture


@dataclass(frozen=True)
class ErrorSizes:
    """One sigma of each input, as published. constant: the share of the variance that stays for a flight."""

    tilt_deg: float = 0.5
    heading_deg: float = 2.0
    position_m: float = 1.5
    altitude_m: float = 3.0
    ground_m: float = 5.0
    velocity_mps: float = 0.1
    constant: float = 0.5


class Wandering:
    """A constant part and a first-order Gauss-Markov part, asked at rising times."""

    def __init__(self, rng: np.random.Generator, sigma: float, lasts_s: float, constant: float) -> None:
        self._rng, self._lasts_s = rng, lasts_s
        self._sigma = sigma * math.sqrt(1 - constant)
        self._constant = float(rng.normal(0, sigma * math.sqrt(constant)))
        self._value, self._at_s = float(rng.normal(0, self._sigma)), 0.0

    def at(self, t_s: float) -> float:
        kept = math.exp(-max(t_s - self._at_s, 0.0) / self._lasts_s)
        fresh = float(self._rng.normal(0, self._sigma * math.sqrt(1 - kept * kept)))
        self._value, self._at_s = kept * self._value + fresh, max(t_s, self._at_s)
        return self._constant + self._value


@dataclass(frozen=True)
class Fault:
    """What is missing or wrong from one time of the flight to another.

    kind: a message's name that does not come, or "no fix", or "unhealthy".
    """

    kind: str
    start_ns: int
    end_ns: int

    def holds(self, kind: str, t_ns: int) -> bool:
        return kind == self.kind and self.start_ns <= t_ns < self.end_ns


class NoisyAutopilot:
    """Makes the messages of one flight. Earth positions are exact WGS84, by way of earth-centred axes."""

    def __init__(
        self,
        pose: Callable[[int], Pose],
        seed: int,
        sizes: ErrorSizes | None = None,
        flags: int = 32,
        fault: Fault | None = None,
    ) -> None:
        self._pose, self._flags, self._fault = pose, flags, fault
        rng = self._rng = np.random.default_rng([seed, 91])
        s = sizes or ErrorSizes()
        part = s.constant
        self._tilt = [Wandering(rng, s.tilt_deg, 4.0, part) for _ in range(2)]
        self._heading = Wandering(rng, s.heading_deg, 20.0, part)
        self._place = [Wandering(rng, s.position_m, 60.0, part) for _ in range(2)]
        self._altitude = Wandering(rng, s.altitude_m, 60.0, part)
        self._ground = Wandering(rng, s.ground_m, 30.0, 0.8)
        self._velocity = [Wandering(rng, s.velocity_mps, 10.0, part) for _ in range(3)]
        self._said_h_acc_mm, self._said_v_acc_mm = round(s.position_m * 1e3), round(s.altitude_m * 1e3)
        self._boot_ns, self._rate = int(rng.integers(20, 3000)) * SECOND, 1 + float(rng.normal(0, 30e-6))

    def clock_ns(self, t_ns: int) -> int:
        """The autopilot's time since its boot at one of our times."""
        return self._boot_ns + round(t_ns * self._rate)

    def messages(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, Any]]:
        """(time of arrival, message), for all that is measured in a span, in order of measurement."""
        rates = (
            (_ATTITUDE_HZ, self._attitude), (_GIMBAL_HZ, self._gimbal), (_POSITION_HZ, self._position),
            (1.0, self._fix), (1.0, self._status), (1.0, self._beat), (1.0, self._time),
        )  # fmt: skip
        planned = []
        for rate_hz, make in rates:
            phase = int(self._rng.integers(0, round(1e9 / rate_hz)))
            count = int((end_ns - start_ns) / 1e9 * rate_hz)
            planned += [(start_ns + phase + round(k * 1e9 / rate_hz), make) for k in range(count)]
        for t_ns, make in sorted(planned, key=lambda p: p[0]):
            message = make(t_ns)
            fault = self._fault
            if fault is None or not fault.holds(message.get_type(), t_ns):
                yield t_ns + self.delay_ns(), message

    def delay_ns(self) -> int:
        """From measuring to the last byte read here: some milliseconds, now and then many."""
        return round((2 + float(self._rng.exponential(5))) * MS)

    def geodetic(self, east: float, north: float, up: float) -> tuple[float, float]:
        """Latitude and longitude of a point of the simulated world, whose origin is home."""
        return geodetic(HOME, HOME_ALTITUDE_M, east, north, up)

    def _boot_ms(self, t_ns: int) -> int:
        return self.clock_ns(t_ns) // MS

    def _attitude(self, t_ns: int) -> Any:
        pose, t = self._pose(max(t_ns, 0)), t_ns / 1e9
        yaw = pose.yaw_deg + self._heading.at(t)
        angles = (math.radians(math.remainder(a, 360)) for a in (pose.roll_deg, pose.pitch_deg, yaw))
        return dialect.MAVLink_attitude_message(self._boot_ms(t_ns), *angles, 0, 0, 0)

    def _gimbal(self, t_ns: int) -> Any:
        pose, t = self._pose(max(t_ns, 0)), t_ns / 1e9
        roll, pitch = pose.camera_roll_deg + self._tilt[0].at(t), pose.camera_pitch_deg + self._tilt[1].at(t)
        north = self._flags & 64
        yaw = pose.camera_yaw_deg + self._heading.at(t) if north else pose.camera_yaw_deg - pose.yaw_deg
        nan = math.nan
        return dialect.MAVLink_gimbal_device_attitude_status_message(
            0, 0, self._boot_ms(t_ns), self._flags, from_degrees(roll, pitch, yaw), nan, nan, nan, 0
        )

    def _position(self, t_ns: int) -> Any:
        pose, t = self._pose(max(t_ns, 0)), t_ns / 1e9
        x, y, z = pose.position
        north_error, east_error = self._place[0].at(t), self._place[1].at(t)
        latitude, longitude = self.geodetic(x + east_error, y + north_error, z)
        east, north, up = pose.velocity
        errors = [w.at(t) for w in self._velocity]
        velocity = (round(100 * (v + e)) for v, e in zip((north, east, -up), errors, strict=True))
        return dialect.MAVLink_global_position_int_message(
            self._boot_ms(t_ns), round(latitude * 1e7), round(longitude * 1e7),
            round((HOME_ALTITUDE_M + z + self._altitude.at(t)) * 1e3),
            round((z + self._ground.at(t)) * 1e3), *velocity, 0,
        )  # fmt: skip

    def _fix(self, t_ns: int) -> Any:
        kind = 2 if self._fault is not None and self._fault.holds("no fix", t_ns) else 3
        return dialect.MAVLink_gps_raw_int_message(
            0, kind, 0, 0, 0, 0, 0, 0, 0, 14, 0, self._said_h_acc_mm, self._said_v_acc_mm, 0, 0, 0
        )

    def _status(self, t_ns: int) -> Any:
        estimator = dialect.MAV_SYS_STATUS_AHRS
        ill = self._fault is not None and self._fault.holds("unhealthy", t_ns)
        health = 0 if ill else estimator
        return dialect.MAVLink_sys_status_message(estimator, estimator, health, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def _beat(self, t_ns: int) -> Any:
        return dialect.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)

    def _time(self, t_ns: int) -> Any:
        return dialect.MAVLink_system_time_message(0, self._boot_ms(t_ns))


class Conversation:
    """Brings an autopilot's messages to our components at their times, and our questions to the autopilot."""

    def __init__(
        self, autopilot: NoisyAutopilot, settings: GeolocationSettings, mount: MountSettings | None = None
    ) -> None:
        self._autopilot, self._writer = autopilot, FrameWriter()
        self._parser = dialect.MAVLink(None)
        self.clock, self.telemetry = AutopilotClock(), Telemetry()
        self._time = TimeSync(self.clock)
        self._reader = TelemetryReader(self.telemetry, self.clock, settings, mount)
        for component in (self._time, self._reader):
            component.vehicle_changed(AUTOPILOT.system)
        self._order = itertools.count()
        self._coming: list[tuple[int, int, Any]] = []

    def play(self, end_ns: int, moments: dict[int, Callable[[], None]]) -> None:
        """From before the first picture to the end. moments: what to do at which time."""
        for at_ns, message in self._autopilot.messages(-_WARM_UP_NS, end_ns):
            self._push(at_ns, message)
        for at_ns, act in moments.items():
            self._push(at_ns, act)
        for at_ns in range(-_WARM_UP_NS, end_ns, _POLL_NS):
            self._push(at_ns, None)
        while self._coming:
            now_ns, _, what = heapq.heappop(self._coming)
            if what is None:
                self._send(now_ns, self._time.due(now_ns) + self._reader.due(now_ns))
            elif callable(what):
                what()
            else:
                self._receive(now_ns, what)

    def _push(self, at_ns: int, what: Any) -> None:
        heapq.heappush(self._coming, (at_ns, next(self._order), what))

    def _receive(self, now_ns: int, message: Any) -> None:
        parsed = self._parser.parse_buffer(self._writer.write(AUTOPILOT, message)) or []
        for one in parsed:
            received = Received(one, AUTOPILOT.system, AUTOPILOT.component, SERIAL, now_ns)
            self._send(now_ns, self._time.receive(received) + self._reader.receive(received))

    def _send(self, now_ns: int, outgoing: list[Outgoing]) -> None:
        for one in outgoing:
            if one.message.get_type() == "TIMESYNC" and one.message.tc1 == 0:
                there = now_ns + self._autopilot.delay_ns()
                answer = dialect.MAVLink_timesync_message(self._autopilot.clock_ns(there), one.message.ts1)
                self._push(there + self._autopilot.delay_ns(), answer)


def geodetic(
    home: tuple[float, float], altitude_m: float, east: float, north: float, up: float
) -> tuple[float, float]:
    """Latitude and longitude of a point on the axes of a place, exactly."""
    a, f = 6_378_137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    lat, lon = (math.radians(v) for v in home)
    sin, cos, sl, cl = math.sin(lat), math.cos(lat), math.sin(lon), math.cos(lon)
    normal = a / math.sqrt(1 - e2 * sin * sin)
    x = (normal + altitude_m) * cos * cl - sl * east - sin * cl * north + cos * cl * up
    y = (normal + altitude_m) * cos * sl + cl * east - sin * sl * north + cos * sl * up
    z = (normal * (1 - e2) + altitude_m) * sin + cos * north + sin * up
    across = math.hypot(x, y)
    found = math.atan2(z, across * (1 - e2))
    for _ in range(8):
        normal = a / math.sqrt(1 - e2 * math.sin(found) ** 2)
        height = across / math.cos(found) - normal
        found = math.atan2(z, across * (1 - e2 * normal / (normal + height)))
    return math.degrees(found), math.degrees(math.atan2(y, x))
