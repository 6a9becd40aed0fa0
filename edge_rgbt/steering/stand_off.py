"""Where the vehicle shall stand to the target, and with which velocity it gets there (9.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.steering.settings import SHORTEST_STAND_OFF_M, GuidedSettings

_GAIN_PER_S = 0.6
_CLIMB_GAIN_PER_S = 0.5
_TURN_GAIN_PER_S = 1.0
_LONGEST_STEP_S = 0.2
_BEARING_NEEDS_M = 1.0  # nearer than this the bearing says nothing


@dataclass(frozen=True, slots=True)
class Geometry:
    """Vehicle and target at a moment: metres north and east, m/s.

    target_*: of the target, from the vehicle. moved_*: from where it was engaged to the vehicle. height_m:
    above home. sigma_m: of the target's position.
    """

    target_north_m: float
    target_east_m: float
    target_velocity: tuple[float, float]
    vehicle_velocity: tuple[float, float, float]
    moved_north_m: float
    moved_east_m: float
    height_m: float
    heading_rad: float
    sigma_m: float


@dataclass(frozen=True, slots=True)
class Velocity:
    """m/s north, east and down; yaw rate right positive, None where the heading is left alone."""

    north: float = 0.0
    east: float = 0.0
    down: float = 0.0
    yaw_rad_s: float | None = None


class StandOff:
    """Keeps a place at distance, bearing and height from the target. Made anew for every engagement."""

    def __init__(self, settings: GuidedSettings) -> None:
        self.settings = settings
        self._last: Velocity | None = None
        self._last_ns = 0
        self._bearing_rad: float | None = None
        self._height_m: float | None = None

    def rest(self) -> None:
        """The vehicle was let go: begin again from the velocity that it has."""
        self._last = None

    def velocity(self, now_ns: int, g: Geometry) -> Velocity:
        """The command for now, within every limit."""
        s = self.settings
        if self._last is None:
            north, east, down = g.vehicle_velocity
            north, east = _shortened(north, east, s.speed_m_s)
            self._last, self._last_ns = Velocity(north, east, _clamped(down, s.climb_m_s)), now_ns
        elapsed_s = min(max((now_ns - self._last_ns) * 1e-9, 0.0), _LONGEST_STEP_S)
        north, east = self._wanted(g)
        north, east = _shortened(north, east, s.speed_m_s)
        north, east = self._kept_inside(north, east, g)
        step = s.acceleration_m_s2 * elapsed_s
        gain_n, gain_e = _shortened(north - self._last.north, east - self._last.east, step)
        # Both ends of the step are within the speed limit, so all between them is.
        north, east = self._last.north + gain_n, self._last.east + gain_e
        down = self._last.down + _clamped(self._climb(g) - self._last.down, step)
        turn = self._turn(g) if s.turn else None
        self._last, self._last_ns = Velocity(north, east, down, turn), now_ns
        return self._last

    def _wanted(self, g: Geometry) -> tuple[float, float]:
        """Towards the place beside the target, with the target's own velocity added."""
        if self._bearing_rad is None:
            self._bearing_rad = self._first_bearing(g)
        distance = max(self.settings.distance_m, SHORTEST_STAND_OFF_M, 3 * g.sigma_m)
        place_n = g.target_north_m + distance * math.cos(self._bearing_rad)
        place_e = g.target_east_m + distance * math.sin(self._bearing_rad)
        vn, ve = g.target_velocity
        return vn + _GAIN_PER_S * place_n, ve + _GAIN_PER_S * place_e

    def _first_bearing(self, g: Geometry) -> float:
        if self.settings.bearing_deg is not None:
            return math.radians(self.settings.bearing_deg)
        if math.hypot(g.target_north_m, g.target_east_m) < _BEARING_NEEDS_M:
            return g.heading_rad + math.pi  # straight below: back off from where the nose points
        return math.atan2(-g.target_east_m, -g.target_north_m)

    def _kept_inside(self, north: float, east: float, g: Geometry) -> tuple[float, float]:
        """No faster towards the target or the edge of the allowed circle than can be braked in time."""
        s = self.settings
        gap = math.hypot(g.target_north_m, g.target_east_m)
        if gap > 0:
            room = gap - max(SHORTEST_STAND_OFF_M, 3 * g.sigma_m)
            along = (g.target_north_m / gap, g.target_east_m / gap)
            closing = g.target_velocity[0] * along[0] + g.target_velocity[1] * along[1]
            most = math.copysign(math.sqrt(s.acceleration_m_s2 * abs(room)), room) + closing
            north, east = _slowed(north, east, along, most)
            north, east = _shortened(north, east, s.speed_m_s)
        moved = math.hypot(g.moved_north_m, g.moved_east_m)
        if moved > 0:
            room = s.farthest_m - moved
            along = (g.moved_north_m / moved, g.moved_east_m / moved)
            most = math.sqrt(s.acceleration_m_s2 * room) if room > 0 else 0.0
            north, east = _slowed(north, east, along, most)
        return north, east

    def _climb(self, g: Geometry) -> float:
        """Downwards, m/s."""
        s = self.settings
        if self._height_m is None:
            wanted = g.height_m if s.height_m is None else s.height_m
            self._height_m = min(max(wanted, s.lowest_m), s.highest_m)
        return _clamped(_CLIMB_GAIN_PER_S * (g.height_m - self._height_m), s.climb_m_s)

    def _turn(self, g: Geometry) -> float:
        bearing = math.atan2(g.target_east_m, g.target_north_m)
        error = math.remainder(bearing - g.heading_rad, math.tau)
        return _clamped(_TURN_GAIN_PER_S * error, math.radians(self.settings.turn_deg_s))


def _clamped(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


def _shortened(north: float, east: float, limit: float) -> tuple[float, float]:
    length = math.hypot(north, east)
    share = 1.0 if length <= limit else limit / length
    return north * share, east * share


def _slowed(north: float, east: float, along: tuple[float, float], most: float) -> tuple[float, float]:
    """The velocity with at most so much of it along a direction."""
    excess = north * along[0] + east * along[1] - most
    return (north, east) if excess <= 0 else (north - excess * along[0], east - excess * along[1])
