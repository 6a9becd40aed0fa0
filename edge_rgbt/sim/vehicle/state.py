"""Where vehicle and gimbal are at a moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_rgbt.sim.vehicle.setpoint import Vector


@dataclass(frozen=True, slots=True)
class VehicleState:
    """Metres and m/s north, east, down of home; radians, yaw from north and not wrapped.

    t_ns: since the start of the flight. gimbal_*: of the camera, on the ground's frame.
    """

    t_ns: int
    position: Vector
    velocity: Vector
    roll_rad: float
    pitch_rad: float
    yaw_rad: float
    yaw_rate_rad_s: float
    gimbal_roll_rad: float
    gimbal_pitch_rad: float
    gimbal_yaw_rad: float
    gimbal_pitch_rate_rad_s: float
    gimbal_yaw_rate_rad_s: float
    gimbal_locked: bool

    @property
    def height_m(self) -> float:
        """Above home."""
        return -self.position[2]

    def between(self, later: VehicleState, part: float, t_ns: int) -> VehicleState:
        """A state on the way to the next one; part 0..1."""
        numbers = {name: _mix(getattr(self, name), getattr(later, name), part) for name in _ANGLES}
        return replace(
            self,
            t_ns=t_ns,
            position=_mixed(self.position, later.position, part),
            velocity=_mixed(self.velocity, later.velocity, part),
            **numbers,
        )


_ANGLES = (
    "roll_rad", "pitch_rad", "yaw_rad", "yaw_rate_rad_s", "gimbal_roll_rad", "gimbal_pitch_rad",
    "gimbal_yaw_rad", "gimbal_pitch_rate_rad_s", "gimbal_yaw_rate_rad_s",
)  # fmt: skip


def _mix(a: float, b: float, part: float) -> float:
    return a + (b - a) * part


def _mixed(a: Vector, b: Vector, part: float) -> Vector:
    return _mix(a[0], b[0], part), _mix(a[1], b[1], part), _mix(a[2], b[2], part)
