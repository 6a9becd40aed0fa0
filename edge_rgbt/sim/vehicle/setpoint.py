"""What the flight controller is asked to fly, whoever asks: mode, pilot, companion or failsafe."""

from __future__ import annotations

from dataclasses import dataclass

Axes = tuple[float | None, float | None, float | None]
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Setpoint:
    """Position (north, east, down of home; None leaves an axis free) and velocity, which adds to it.

    yaw_rad: heading to turn to; yaw_rate_rad_s: turning without a heading; neither: the heading stays.
    speed_m_s: no faster than this towards the position.
    """

    position: Axes = (None, None, None)
    velocity: Vector = (0.0, 0.0, 0.0)
    yaw_rad: float | None = None
    yaw_rate_rad_s: float | None = None
    speed_m_s: float = 5.0


STAND_STILL = Setpoint()
