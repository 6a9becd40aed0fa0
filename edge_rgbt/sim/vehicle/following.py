"""How the two autopilots follow a beacon: what they make of its messages and where they want to stand.

The structure is theirs; the filter's gains are ours, where their documents give none.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from edge_rgbt.sim.vehicle.setpoint import STAND_STILL, Setpoint, Vector
from edge_rgbt.sim.vehicle.state import VehicleState


@dataclass(frozen=True, slots=True)
class BeaconReport:
    """One FOLLOW_TARGET: north, east, down of home, metres; velocity None when it is not known."""

    position: Vector
    velocity: Vector | None
    arrival_s: float


class Follower(ABC):
    """One stack's follow mode. Times in seconds of flight."""

    @abstractmethod
    def heard(self, report: BeaconReport) -> None:
        """Takes in one report of the beacon."""

    @abstractmethod
    def setpoint(self, now_s: float, state: VehicleState) -> Setpoint:
        """Where to fly now; standing still without a target."""

    @abstractmethod
    def restart(self, state: VehicleState) -> None:
        """The mode has just been entered from here."""

    @property
    @abstractmethod
    def target(self) -> Vector | None:
        """Where the beacon is believed to be."""


@dataclass(frozen=True)
class Px4FollowSettings:
    """FLW_TGT_DST, _HT, _FA (degrees from the target's course, 180 is behind), _MAX_VEL."""

    distance_m: float = 8.0
    height_m: float = 8.0
    angle_deg: float = 180.0
    speed_m_s: float = 5.0


class Px4Follower(Follower):
    """Follow-Me: a filter over the beacon, a place at a distance, height and angle to its course.

    Positions are taken at most every 0.5 s, velocities every 0.1 s; a velocity that stands in the message is
    believed, zeros too. It stops extrapolating after 1.5 s without news. The height is that above home.
    """

    _POSITION_EVERY_S, _VELOCITY_EVERY_S, _VALID_S = 0.5, 0.1, 1.5
    _COURSE_SPEED_M_S, _TURN_TIME_S = 0.8, 1.2
    _POSITION_GAIN, _VELOCITY_GAIN = 0.6, 0.3

    def __init__(self, settings: Px4FollowSettings | None = None) -> None:
        self.settings = settings or Px4FollowSettings()
        self._position: Vector | None = None
        self.velocity: Vector = (0.0, 0.0, 0.0)
        self._at_s = self._position_s = self._velocity_s = self._news_s = -math.inf
        self._side: float | None = None  # direction from target to vehicle, radians
        self._last: Vector | None = None

    def restart(self, state: VehicleState) -> None:
        self._side = None

    def heard(self, report: BeaconReport) -> None:
        now = report.arrival_s
        unchanged = self._last == report.position
        self._last = report.position
        if self._position is None or now - self._news_s > 2 * self._VALID_S:
            self._position, self.velocity = report.position, report.velocity or (0.0, 0.0, 0.0)
            self._at_s = self._position_s = self._velocity_s = self._news_s = now
            return
        self._predict(now)
        if report.velocity is not None and now - self._velocity_s >= self._VELOCITY_EVERY_S:
            self.velocity = _towards(self.velocity, report.velocity, self._VELOCITY_GAIN)
            self._velocity_s = now
        if not unchanged and now - self._position_s >= self._POSITION_EVERY_S:
            since = now - self._position_s
            error = [p - q for p, q in zip(report.position, self._position, strict=True)]
            self._position = _towards(self._position, report.position, self._POSITION_GAIN)
            if report.velocity is None:
                gain = 0.5 * self._POSITION_GAIN / since
                n, e, d = (v + gain * x for v, x in zip(self.velocity, error, strict=True))
                self.velocity = (n, e, d)
            self._position_s = self._news_s = now

    def _predict(self, now_s: float) -> None:
        assert self._position is not None
        dt = now_s - self._at_s
        n, e, d = (p + v * dt for p, v in zip(self._position, self.velocity, strict=True))
        self._position, self._at_s = (n, e, d), now_s

    def setpoint(self, now_s: float, state: VehicleState) -> Setpoint:
        if self._position is None or now_s - self._news_s > self._VALID_S:
            return STAND_STILL
        dt = min(max(now_s - self._at_s, 0.0), 0.1)
        self._predict(now_s)
        n, e, _ = self._position
        vn, ve, _ = self.velocity
        away = math.atan2(state.position[1] - e, state.position[0] - n)
        if self._side is None:
            self._side = away
        if math.hypot(vn, ve) > self._COURSE_SPEED_M_S:
            wanted = math.atan2(ve, vn) + math.radians(self.settings.angle_deg)
            # It flies around the target, no faster than its speed allows at this distance.
            most = self.settings.speed_m_s / max(self.settings.distance_m, 1.0)
            turn = math.remainder(wanted - self._side, math.tau) / self._TURN_TIME_S
            self._side += min(max(turn, -most), most) * dt
        place = (
            n + self.settings.distance_m * math.cos(self._side),
            e + self.settings.distance_m * math.sin(self._side),
            -self.settings.height_m,
        )
        if abs(state.position[2] - place[2]) > 3.0:  # first the height, then the rest
            return Setpoint((None, None, place[2]), yaw_rad=away + math.pi)
        return Setpoint(place, (vn, ve, 0.0), away + math.pi, speed_m_s=self.settings.speed_m_s)

    def adjust(self, forward: float, right: float, up: float, dt_s: float) -> None:
        """The pilot's sticks do not end the mode: they change distance, angle and height."""
        s = self.settings
        self.settings = replace(
            s,
            distance_m=max(1.0, s.distance_m - 1.5 * forward * dt_s),
            height_m=max(8.0, s.height_m + 1.5 * up * dt_s),
            angle_deg=s.angle_deg + 20.0 * right * dt_s,
        )

    @property
    def target(self) -> Vector | None:
        return self._position


@dataclass(frozen=True)
class ArduFollowSettings:
    """FOLL_DIST_MAX, FOLL_POS_P, WPNAV_SPEED; offset: FOLL_OFS_X, _Y, _Z, north, east, down of the beacon.

    offset None: all three are zero, and the offset at which the mode meets its target stays.
    """

    farthest_m: float = 100.0
    offset: Vector | None = None
    gain_per_s: float = 0.1
    speed_m_s: float = 10.0


class ArduFollower(Follower):
    """FOLLOW: a fixed offset from the beacon, its velocity added; nothing 3 s after the last report."""

    _TIMEOUT_S = 3.0

    def __init__(self, settings: ArduFollowSettings | None = None) -> None:
        self.settings = settings or ArduFollowSettings()
        self._report: BeaconReport | None = None
        self._offset = self.settings.offset

    def restart(self, state: VehicleState) -> None:
        self._offset = self.settings.offset

    def heard(self, report: BeaconReport) -> None:
        self._report = report

    def setpoint(self, now_s: float, state: VehicleState) -> Setpoint:
        report = self._report
        if report is None or now_s - report.arrival_s > self._TIMEOUT_S:
            return STAND_STILL
        velocity = report.velocity or (0.0, 0.0, 0.0)
        age = now_s - report.arrival_s
        n, e, d = (p + v * age for p, v in zip(report.position, velocity, strict=True))
        away = [here - there for here, there in zip(state.position, (n, e, d), strict=True)]
        if math.hypot(*away) > self.settings.farthest_m:
            return STAND_STILL
        if self._offset is None:
            self._offset = (away[0], away[1], away[2])
        place = (n + self._offset[0], e + self._offset[1], d + self._offset[2])
        gain = self.settings.gain_per_s
        error = [gain * (p - q) for p, q in zip(place, state.position, strict=True)]
        speed = math.hypot(error[0], error[1])
        scale = min(1.0, self.settings.speed_m_s / max(speed, 1e-9))
        wish = (velocity[0] + error[0] * scale, velocity[1] + error[1] * scale, velocity[2] + error[2])
        return Setpoint(velocity=wish, yaw_rad=math.atan2(-away[1], -away[0]))

    @property
    def target(self) -> Vector | None:
        return None if self._report is None else self._report.position


def _towards(old: Vector, new: Vector, gain: float) -> Vector:
    n, e, d = (a + gain * (b - a) for a, b in zip(old, new, strict=True))
    return n, e, d
