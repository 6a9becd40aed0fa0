"""What the autopilot and the gimbal told us lately, in SI units on our monotonic clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeVar

from edge_rgbt.geolocation.earth import wrapped_longitude
from edge_rgbt.geolocation.history import History, Reading
from edge_rgbt.geolocation.rotations import Quaternion, Vector, interpolated

T = TypeVar("T")

USUAL_HORIZONTAL_M, USUAL_VERTICAL_M = 1.5, 3.0  # of a satellite fix that does not say
_FIX_FRESH_NS = 5_000_000_000
_HEALTH_FRESH_NS = 10_000_000_000
_RANGE_FRESH_NS = 1_000_000_000
_TERRAIN_FRESH_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class VehiclePosition:
    """altitude_m: above mean sea level; relative_m: above home."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    relative_m: float
    velocity_ned_mps: Vector


@dataclass(frozen=True, slots=True)
class GimbalAttitude:
    """Camera to earth; where from_north is False its yaw counts from the vehicle's heading instead.

    Roll and pitch are against the horizon in both cases: a stabilised gimbal does not tilt with the vehicle.
    """

    rotation: Quaternion
    from_north: bool


@dataclass(frozen=True, slots=True)
class Fix:
    """The satellite receiver: MAVLink's fix type (3: three dimensions), accuracies as one sigma."""

    kind: int
    horizontal_m: float = USUAL_HORIZONTAL_M
    vertical_m: float = USUAL_VERTICAL_M


@dataclass(frozen=True, slots=True)
class Height:
    """A height above ground measured at a moment, with position and attitude then."""

    height_m: float
    position: VehiclePosition
    attitude: Quaternion | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything at one time; None: never told, or stale for that time.

    healthy: what the estimator says about its own position, None if nothing says anything.
    terrain: height above the terrain by the autopilot's own map. range: distance of the sensor that looks
    down, along the vehicle's axis.
    """

    attitude: Reading[Quaternion] | None
    gimbal: Reading[GimbalAttitude] | None
    orientation: Reading[GimbalAttitude] | None
    position: Reading[VehiclePosition] | None
    fix: Fix | None
    healthy: bool | None
    terrain: Height | None
    range: Height | None


def _between_positions(a: VehiclePosition, b: VehiclePosition, part: float) -> VehiclePosition:
    def mixed(first: float, second: float) -> float:
        return first + part * (second - first)

    east = part * wrapped_longitude(b.longitude_deg - a.longitude_deg)
    north, easting, down = (
        mixed(first, second) for first, second in zip(a.velocity_ned_mps, b.velocity_ned_mps, strict=True)
    )
    return VehiclePosition(
        mixed(a.latitude_deg, b.latitude_deg),
        wrapped_longitude(a.longitude_deg + east),
        mixed(a.altitude_m, b.altitude_m),
        mixed(a.relative_m, b.relative_m),
        (north, easting, down),
    )


def _between_gimbals(a: GimbalAttitude, b: GimbalAttitude, part: float) -> GimbalAttitude | None:
    if a.from_north is not b.from_north:  # yaws that count from different directions cannot be mixed
        return None
    return GimbalAttitude(interpolated(a.rotation, b.rotation, part), a.from_north)


class Telemetry:
    """Written by whoever receives MAVLink, read by the frame loop; every call is short and locked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forgets everything: the autopilot started anew and its old times mean nothing."""
        with self._lock:
            self._attitude: History[Quaternion] = History(interpolated)
            self._gimbal = History(_between_gimbals)
            self._orientation = History(_between_gimbals)
            self._position = History(_between_positions)
            self._fix: tuple[int, Fix] | None = None
            self._health: dict[str, tuple[int, bool]] = {}
            self._terrain: tuple[int, Height] | None = None
            self._range: tuple[int, Height] | None = None

    def add_attitude(self, at_ns: int, rotation: Quaternion, time_sigma_ns: int = 0) -> None:
        """The vehicle's attitude: body to north-east-down."""
        with self._lock:
            self._attitude.add(at_ns, rotation, time_sigma_ns)

    def add_gimbal(self, at_ns: int, gimbal: GimbalAttitude, time_sigma_ns: int = 0) -> None:
        with self._lock:
            self._gimbal.add(at_ns, gimbal, time_sigma_ns)

    def add_orientation(self, at_ns: int, gimbal: GimbalAttitude, time_sigma_ns: int = 0) -> None:
        """The same from an older gimbal, which is believed only while the newer message does not come."""
        with self._lock:
            self._orientation.add(at_ns, gimbal, time_sigma_ns)

    def add_position(self, at_ns: int, position: VehiclePosition, time_sigma_ns: int = 0) -> None:
        with self._lock:
            self._position.add(at_ns, position, time_sigma_ns)

    def set_fix(self, at_ns: int, fix: Fix) -> None:
        with self._lock:
            self._fix = (at_ns, fix)

    def set_health(self, at_ns: int, witness: str, healthy: bool) -> None:
        """What one message says about the position estimate; all witnesses must agree that it is good."""
        with self._lock:
            self._health[witness] = (at_ns, healthy)

    def set_terrain(self, at_ns: int, height_m: float) -> None:
        """Height above the terrain by the autopilot's map."""
        with self._lock:
            self._terrain = self._height(at_ns, height_m) or self._terrain

    def set_range(self, at_ns: int, distance_m: float) -> None:
        """Distance to the ground along the vehicle's downward axis."""
        with self._lock:
            self._range = self._height(at_ns, distance_m) or self._range

    def at(self, t_ns: int) -> Moment:
        """What was the case at a time of the last three seconds."""
        with self._lock:
            told = [good for at_ns, good in self._health.values() if abs(t_ns - at_ns) < _HEALTH_FRESH_NS]
            return Moment(
                attitude=self._attitude.at(t_ns),
                gimbal=self._gimbal.at(t_ns),
                orientation=self._orientation.at(t_ns),
                position=self._position.at(t_ns),
                fix=_fresh(self._fix, t_ns, _FIX_FRESH_NS),
                healthy=all(told) if told else None,
                terrain=_fresh(self._terrain, t_ns, _TERRAIN_FRESH_NS),
                range=_fresh(self._range, t_ns, _RANGE_FRESH_NS),
            )

    def _height(self, at_ns: int, height_m: float) -> tuple[int, Height] | None:
        """A measured height with where the vehicle was then, if that is known. Called with the lock held."""
        position, attitude = self._position.at(at_ns), self._attitude.at(at_ns)
        if position is None:
            return None
        return at_ns, Height(height_m, position.value, None if attitude is None else attitude.value)


def _fresh(told: tuple[int, T] | None, t_ns: int, longest_ns: int) -> T | None:
    """What was told at a time, unless that is too far away."""
    return told[1] if told is not None and abs(t_ns - told[0]) < longest_ns else None
