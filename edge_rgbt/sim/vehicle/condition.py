"""What can be wrong or changed on a vehicle by others than its companion: the tests' levers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Sticks:
    """The pilot's hands, each -1 to 1 with 0 in the middle: right, forward, up, turning right.

    switches: further channels from the fifth on, -1 to 1.
    """

    roll: float = 0.0
    pitch: float = 0.0
    throttle: float = 0.0
    yaw: float = 0.0
    switches: dict[int, float] = field(default_factory=dict)

    @property
    def moved(self) -> float:
        """How far the farthest stick is from its middle."""
        return max(abs(self.roll), abs(self.pitch), abs(self.throttle), abs(self.yaw))


@dataclass(slots=True)
class Condition:
    """The vehicle's health. sticks: None while the pilot's radio is lost.

    gps_fix: as in MAVLink, 3 is a full fix. failsafe: whatever the reason. fence_breached: outside the fence.
    """

    armed: bool = True
    gps_fix: int = 3
    satellites: int = 14
    estimator_ok: bool = True
    failsafe: bool = False
    fence_breached: bool = False
    fence_breaches: int = 0
    battery_percent: float = 90.0
    sticks: Sticks | None = field(default_factory=Sticks)
    rangefinder: bool = False

    @property
    def position_ok(self) -> bool:
        return self.gps_fix >= 3 and self.estimator_ok
