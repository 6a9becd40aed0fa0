"""A multicopter as a point that accelerates by tilting: in wind, with limits, and no faster than it can."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_rgbt.sim.noise import SmoothSignal
from edge_rgbt.sim.vehicle.setpoint import Setpoint, Vector

GRAVITY_M_S2 = 9.81
_DRAG_PER_S = 0.08  # deceleration per metre per second through the air
_TILT_LAG_S = 0.18
_YAW_LAG_S = 0.15
_VELOCITY_GAIN_PER_S = 1.8
_TRIM_GAIN_PER_S2 = 0.5  # leans into the wind
_POSITION_GAIN_PER_S = 0.9
_YAW_GAIN_PER_S = 2.0


@dataclass(frozen=True)
class AirframeLimits:
    """What the controllers ask for at most. The accelerations are those of the motors, drag comes on top."""

    horizontal_m_s: float = 12.0
    climb_m_s: float = 3.0
    sink_m_s: float = 2.0
    horizontal_m_s2: float = 4.0
    vertical_m_s2: float = 2.5
    yaw_rad_s: float = math.radians(60)


@dataclass(frozen=True)
class Wind:
    """Mean wind towards north and east in m/s, and standard deviation of the gusts."""

    north_m_s: float = 0.0
    east_m_s: float = 0.0
    gusts_m_s: float = 0.0


class Airframe:
    """Position and velocity (north, east, down of home, metres), attitude (radians, yaw not wrapped)."""

    def __init__(
        self, position: Vector, yaw_rad: float, limits: AirframeLimits, wind: Wind, rng: np.random.Generator
    ) -> None:
        self.position, self.velocity = position, (0.0, 0.0, 0.0)
        self.roll_rad, self.pitch_rad, self.yaw_rad, self.yaw_rate_rad_s = 0.0, 0.0, yaw_rad, 0.0
        self.limits, self.wind = limits, wind
        self._gusts = [SmoothSignal(rng, 13, 2.2) for _ in range(3)]
        self._shake = [SmoothSignal(rng, 1.9, 0.16, 5) for _ in range(2)]
        self._thrust = (0.0, 0.0, 0.0)  # acceleration by the motors, gravity taken out
        self._trim = (0.0, 0.0)

    @property
    def on_ground(self) -> bool:
        return self.position[2] >= 0.0

    def rest(self) -> None:
        """Motors off. Only for a vehicle that stands on the ground."""
        self.velocity, self._thrust, self._trim = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0)
        self.roll_rad = self.pitch_rad = self.yaw_rate_rad_s = 0.0

    def step(self, setpoint: Setpoint, t_s: float, dt_s: float) -> None:
        """One step of the controllers and of the motion, in air that moves."""
        wish = self._wished_velocity(setpoint)
        air = self._air(t_s)
        self._thrust = self._accelerate(wish, dt_s)
        moved = []
        for axis, thrust in enumerate(self._thrust):
            drag = _DRAG_PER_S * (self.velocity[axis] - air[axis])
            moved.append(self.velocity[axis] + (thrust - drag) * dt_s)
        self.velocity = (moved[0], moved[1], moved[2])
        n, e, d = (p + v * dt_s for p, v in zip(self.position, self.velocity, strict=True))
        if d > 0.0:
            d, self.velocity = 0.0, (0.0, 0.0, 0.0)
        self.position = (n, e, d)
        self._turn(setpoint, dt_s)
        self._tilt(t_s)

    def _wished_velocity(self, setpoint: Setpoint) -> Vector:
        n, e, d = setpoint.velocity
        p_n, p_e, p_d = setpoint.position
        to_n = 0.0 if p_n is None else _POSITION_GAIN_PER_S * (p_n - self.position[0])
        to_e = 0.0 if p_e is None else _POSITION_GAIN_PER_S * (p_e - self.position[1])
        to_d = 0.0 if p_d is None else _POSITION_GAIN_PER_S * (p_d - self.position[2])
        fastest = math.hypot(to_n, to_e)
        if fastest > setpoint.speed_m_s:
            to_n, to_e = to_n * setpoint.speed_m_s / fastest, to_e * setpoint.speed_m_s / fastest
        n, e, d = n + to_n, e + to_e, d + to_d
        level = math.hypot(n, e)
        if level > self.limits.horizontal_m_s:
            n, e = n * self.limits.horizontal_m_s / level, e * self.limits.horizontal_m_s / level
        return n, e, min(max(d, -self.limits.climb_m_s), self.limits.sink_m_s)

    def _air(self, t_s: float) -> Vector:
        wind = self.wind
        if wind.gusts_m_s == 0.0:
            return wind.north_m_s, wind.east_m_s, 0.0
        north, east, down = (wind.gusts_m_s * gust(t_s) for gust in self._gusts)
        return wind.north_m_s + north, wind.east_m_s + east, 0.4 * down

    def _accelerate(self, wish: Vector, dt_s: float) -> Vector:
        errors = [w - v for w, v in zip(wish, self.velocity, strict=True)]
        trim = [min(max(t + _TRIM_GAIN_PER_S2 * e * dt_s, -2.0), 2.0)
                for t, e in zip(self._trim, errors, strict=False)]  # fmt: skip
        self._trim = (trim[0], trim[1])
        north = _VELOCITY_GAIN_PER_S * errors[0] + trim[0]
        east = _VELOCITY_GAIN_PER_S * errors[1] + trim[1]
        strength, most = math.hypot(north, east), self.limits.horizontal_m_s2
        if strength > most:
            north, east = north * most / strength, east * most / strength
            self._trim = (
                self._trim[0] * 0.995,
                self._trim[1] * 0.995,
            )  # a saturated controller does not learn
        most = self.limits.vertical_m_s2
        down = min(max(2 * _VELOCITY_GAIN_PER_S * errors[2], -most), most)
        follow = 1 - math.exp(-dt_s / _TILT_LAG_S)
        held = self._thrust
        return (
            held[0] + follow * (north - held[0]),
            held[1] + follow * (east - held[1]),
            held[2] + follow * (down - held[2]),
        )

    def _turn(self, setpoint: Setpoint, dt_s: float) -> None:
        rate = setpoint.yaw_rate_rad_s or 0.0
        if setpoint.yaw_rad is not None:
            rate = _YAW_GAIN_PER_S * math.remainder(setpoint.yaw_rad - self.yaw_rad, math.tau)
        rate = min(max(rate, -self.limits.yaw_rad_s), self.limits.yaw_rad_s)
        self.yaw_rate_rad_s += (rate - self.yaw_rate_rad_s) * (1 - math.exp(-dt_s / _YAW_LAG_S))
        self.yaw_rad += self.yaw_rate_rad_s * dt_s

    def _tilt(self, t_s: float) -> None:
        """The attitude that makes this acceleration, with the tremble of gusts."""
        north, east, down = self._thrust
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        forward, right = north * cos + east * sin, east * cos - north * sin
        lift = GRAVITY_M_S2 - down
        self.pitch_rad = -math.atan2(forward, lift)
        self.roll_rad = math.atan2(right * math.cos(self.pitch_rad), lift)
        if self.wind.gusts_m_s:
            tremble = math.radians(0.25) * self.wind.gusts_m_s
            self.roll_rad += tremble * self._shake[0](t_s)
            self.pitch_rad += tremble * self._shake[1](t_s)
