"""Setpoints from a companion: SET_POSITION_TARGET_* as a setpoint, and how long it counts."""

from __future__ import annotations

import math
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.sim.vehicle import STAND_STILL, Home, Setpoint, VehicleState
from edge_rgbt.sim.vehicle.setpoint import Axes, Vector

_STREAM_GAP_NS = 500_000_000  # faster than 2 Hz
_ABOVE_SEA = (dialect.MAV_FRAME_GLOBAL, dialect.MAV_FRAME_GLOBAL_INT)
_ABOVE_HOME = (
    dialect.MAV_FRAME_GLOBAL_RELATIVE_ALT,
    dialect.MAV_FRAME_GLOBAL_RELATIVE_ALT_INT,
    dialect.MAV_FRAME_GLOBAL_TERRAIN_ALT,  # the world is flat
    dialect.MAV_FRAME_GLOBAL_TERRAIN_ALT_INT,
)
_BODY = (dialect.MAV_FRAME_BODY_NED, dialect.MAV_FRAME_BODY_OFFSET_NED, dialect.MAV_FRAME_BODY_FRD)
_OFFSET = (dialect.MAV_FRAME_LOCAL_OFFSET_NED, dialect.MAV_FRAME_BODY_OFFSET_NED)
_NO_YAW, _NO_YAW_RATE = 1 << 10, 1 << 11


def down_of(altitude_m: float, frame: int, home: Home) -> float | None:
    """The down coordinate of an altitude in a global frame; None for another frame."""
    if frame in _ABOVE_SEA:
        return home.altitude_m - altitude_m
    return -altitude_m if frame in _ABOVE_HOME else None


class GuidedTarget:
    """The newest setpoint and its age. Times: flight time in nanoseconds."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._setpoint = STAND_STILL
        self._heard_ns: int | None = None
        self._gap_ns: int | None = None

    def clear(self) -> None:
        self._setpoint, self._heard_ns, self._gap_ns = STAND_STILL, None, None

    def heard(self, message: Any, state: VehicleState, t_ns: int) -> None:
        """Takes in one message; nothing changes if it cannot be flown."""
        setpoint = self._read(message, state)
        if setpoint is not None:
            self.set(setpoint, t_ns)

    def set(self, setpoint: Setpoint, t_ns: int) -> None:
        self._gap_ns = None if self._heard_ns is None else t_ns - self._heard_ns
        self._setpoint, self._heard_ns = setpoint, t_ns

    def age_s(self, t_ns: int) -> float:
        """Of the newest setpoint, infinite without one."""
        return math.inf if self._heard_ns is None else (t_ns - self._heard_ns) / 1e9

    def streaming(self, t_ns: int) -> bool:
        """True while setpoints come faster than 2 Hz."""
        if self._gap_ns is None or self._heard_ns is None:
            return False
        return max(self._gap_ns, t_ns - self._heard_ns) < _STREAM_GAP_NS

    def setpoint(self, t_ns: int, velocity_ends_s: float | None) -> Setpoint:
        """What to fly now. velocity_ends_s: a velocity counts this long; a position is flown to the end."""
        has_position = any(axis is not None for axis in self._setpoint.position)
        if velocity_ends_s is not None and not has_position and self.age_s(t_ns) > velocity_ends_s:
            return STAND_STILL
        return self._setpoint

    def _read(self, message: Any, state: VehicleState) -> Setpoint | None:
        mask, frame = message.type_mask, message.coordinate_frame
        position = self._position(message, frame, mask, state)
        velocity = self._velocity(message, frame, mask, state)
        if position is None or velocity is None:
            return None
        yaw = None if mask & _NO_YAW or not math.isfinite(message.yaw) else message.yaw
        rate = None if mask & _NO_YAW_RATE or not math.isfinite(message.yaw_rate) else message.yaw_rate
        return Setpoint(position, velocity, yaw, rate)

    def _position(self, message: Any, frame: int, mask: int, state: VehicleState) -> Axes | None:
        if message.get_type() == "SET_POSITION_TARGET_GLOBAL_INT":
            down = down_of(message.alt, frame, self._home)
            if down is None or not math.isfinite(down):
                return None
            given = (*self._home.metres(message.lat_int / 1e7, message.lon_int / 1e7), down)
        else:
            if frame not in (dialect.MAV_FRAME_LOCAL_NED, *_BODY, *_OFFSET):
                return None
            given = (message.x, message.y, message.z)
            if frame in _BODY:
                given = _turned(given, state.yaw_rad)
            if frame in _OFFSET:
                n, e, d = (a + b for a, b in zip(given, state.position, strict=True))
                given = (n, e, d)
        axes = [
            None if mask & 1 << axis or not math.isfinite(given[axis]) else given[axis] for axis in range(3)
        ]
        return axes[0], axes[1], axes[2]

    @staticmethod
    def _velocity(message: Any, frame: int, mask: int, state: VehicleState) -> Vector | None:
        given = (message.vx, message.vy, message.vz)
        axes = [0.0 if mask & 8 << axis else given[axis] for axis in range(3)]
        if not all(math.isfinite(value) for value in axes):
            return None
        velocity = (axes[0], axes[1], axes[2])
        is_local = message.get_type() == "SET_POSITION_TARGET_LOCAL_NED"
        return _turned(velocity, state.yaw_rad) if is_local and frame in _BODY else velocity


def _turned(vector: Vector, yaw_rad: float) -> Vector:
    forward, right, down = vector
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return forward * cos - right * sin, forward * sin + right * cos, down
