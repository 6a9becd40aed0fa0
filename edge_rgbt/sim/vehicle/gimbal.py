"""A three-axis gimbal: told rates, angles or a point, it follows with lag, within its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.sim.vehicle.setpoint import Vector

_RATE_LAG_S = 0.06
_ANGLE_GAIN_PER_S = 6.0
_ROLL_RESIDUE = 0.02  # of the vehicle's roll that the stabilisation leaves


@dataclass(frozen=True)
class GimbalLimits:
    """Pitch from the horizon, yaw from the vehicle's nose, and how fast both turn; radians."""

    pitch_low_rad: float = math.radians(-90)
    pitch_high_rad: float = math.radians(25)
    yaw_rad: float = math.radians(170)
    rate_rad_s: float = math.radians(90)


@dataclass(frozen=True, slots=True)
class RateCommand:
    """Turning rates, up and right positive. lock: yaw counts from north, else from the vehicle's nose."""

    pitch_rad_s: float
    yaw_rad_s: float
    lock: bool = False


@dataclass(frozen=True, slots=True)
class AngleCommand:
    """Pitch from the horizon; yaw from north (`lock`) or from the vehicle's nose. None keeps an axis."""

    pitch_rad: float | None
    yaw_rad: float | None
    lock: bool = False


@dataclass(frozen=True, slots=True)
class PointCommand:
    """Looks at a point: north, east, down of home."""

    point: Vector


GimbalCommand = RateCommand | AngleCommand | PointCommand
KEEP = RateCommand(0.0, 0.0)


class Gimbal:
    """Where the camera looks: pitch from the horizon, yaw from north (not wrapped), a small roll; radians."""

    def __init__(self, pitch_rad: float, yaw_rad: float, limits: GimbalLimits) -> None:
        self.pitch_rad, self.yaw_rad, self.roll_rad = pitch_rad, yaw_rad, 0.0
        self.pitch_rate_rad_s, self.yaw_rate_rad_s = 0.0, 0.0  # as seen from the ground
        self.limits = limits
        self.command: GimbalCommand = KEEP

    @property
    def yaw_locked(self) -> bool:
        """True while the yaw keeps its direction on the ground when the vehicle turns."""
        return isinstance(self.command, PointCommand) or self.command.lock

    def step(
        self, position: Vector, vehicle_roll: float, vehicle_yaw: float, yaw_rate: float, dt_s: float
    ) -> None:
        """One step on a vehicle at this place, turning at this rate."""
        pitch_wish, yaw_wish = self._wished_rates(position, vehicle_yaw)
        carried = 0.0 if self.yaw_locked else yaw_rate
        most = self.limits.rate_rad_s
        pitch_wish = min(max(pitch_wish, -most), most)
        yaw_wish = min(max(yaw_wish, -most), most) + carried
        follow = 1 - math.exp(-dt_s / _RATE_LAG_S)
        self.pitch_rate_rad_s += (pitch_wish - self.pitch_rate_rad_s) * follow
        self.yaw_rate_rad_s += (yaw_wish - self.yaw_rate_rad_s) * follow
        self.pitch_rad += self.pitch_rate_rad_s * dt_s
        self.yaw_rad += self.yaw_rate_rad_s * dt_s
        self._stop_at_limits(vehicle_yaw, yaw_rate)
        self.roll_rad = _ROLL_RESIDUE * vehicle_roll

    def _wished_rates(self, position: Vector, vehicle_yaw: float) -> tuple[float, float]:
        command = self.command
        if isinstance(command, RateCommand):
            return command.pitch_rad_s, command.yaw_rad_s
        if isinstance(command, PointCommand):
            north, east, down = (there - here for there, here in zip(command.point, position, strict=True))
            pitch: float | None = -math.atan2(down, math.hypot(north, east))
            yaw: float | None = math.atan2(east, north)
        else:
            pitch, yaw = command.pitch_rad, command.yaw_rad
            if yaw is not None and not command.lock:
                yaw += vehicle_yaw
        pitch_rate = 0.0 if pitch is None else _ANGLE_GAIN_PER_S * (pitch - self.pitch_rad)
        yaw_rate = 0.0 if yaw is None else _ANGLE_GAIN_PER_S * math.remainder(yaw - self.yaw_rad, math.tau)
        return pitch_rate, yaw_rate

    def _stop_at_limits(self, vehicle_yaw: float, yaw_rate: float) -> None:
        low, high = self.limits.pitch_low_rad, self.limits.pitch_high_rad
        if not low <= self.pitch_rad <= high:
            self.pitch_rad, self.pitch_rate_rad_s = min(max(self.pitch_rad, low), high), 0.0
        turned = math.remainder(self.yaw_rad - vehicle_yaw, math.tau)
        if abs(turned) > self.limits.yaw_rad:
            self.yaw_rad += math.copysign(self.limits.yaw_rad, turned) - turned
            self.yaw_rate_rad_s = yaw_rate
