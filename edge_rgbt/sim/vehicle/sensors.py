"""What the autopilot believes about itself: the truth with slow errors, as an estimator's are, and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edge_rgbt.sim.vehicle.state import VehicleState

UPDATE_NS = 50_000_000


@dataclass(frozen=True)
class SensorErrors:
    """One sigma of each error and the time in which it changes. GPS reports `position_m` and `height_m`.

    heading and position errors are the estimator's and last; attitude errors are the tilt's; gimbal errors
    are those of its own sensors. The noise is new in every sample.
    """

    attitude_rad: float = 0.0
    heading_rad: float = 0.0
    gimbal_rad: float = 0.0
    position_m: float = 0.0
    height_m: float = 0.0
    attitude_time_s: float = 8.0
    heading_time_s: float = 40.0
    position_time_s: float = 30.0
    angle_noise_rad: float = 0.0
    velocity_noise_m_s: float = 0.0


PERFECT = SensorErrors()
USUAL = SensorErrors(
    attitude_rad=math.radians(0.4),
    heading_rad=math.radians(1.5),
    gimbal_rad=math.radians(0.3),
    position_m=1.0,
    height_m=1.5,
    angle_noise_rad=math.radians(0.05),
    velocity_noise_m_s=0.05,
)


class Sensors:
    """The errors over time. `update` every 50 ms of flight, in order; `apply` whenever a sample is taken."""

    def __init__(self, errors: SensorErrors, rng: np.random.Generator) -> None:
        self.errors = errors
        self._rng = rng
        e = errors
        sigmas = (e.attitude_rad, e.attitude_rad, e.heading_rad, e.gimbal_rad, e.gimbal_rad,
                  e.position_m, e.position_m, e.height_m)  # fmt: skip
        times = (e.attitude_time_s,) * 2 + (e.heading_time_s,) + (e.attitude_time_s,) * 2
        times += (e.position_time_s,) * 3
        self._sigma = np.array(sigmas)
        self._keep = np.exp(-UPDATE_NS / 1e9 / np.array(times))
        self._fresh = self._sigma * np.sqrt(1 - self._keep**2)
        self._now = rng.standard_normal(8) * self._sigma

    def update(self) -> None:
        self._now = self._keep * self._now + self._fresh * self._rng.standard_normal(8)

    def apply(self, true: VehicleState) -> VehicleState:
        """The state as the autopilot would tell it."""
        if self.errors == PERFECT:
            return true
        roll, pitch, yaw, gimbal_roll, gimbal_pitch, north, east, down = self._now.tolist()
        noise = (self._rng.standard_normal(6) * self.errors.angle_noise_rad).tolist()
        shake = (self._rng.standard_normal(3) * self.errors.velocity_noise_m_s).tolist()
        n, e, d = true.position
        vn, ve, vd = true.velocity
        return replace(
            true,
            position=(n + north, e + east, d + down),
            velocity=(vn + shake[0], ve + shake[1], vd + shake[2]),
            roll_rad=true.roll_rad + roll + noise[0],
            pitch_rad=true.pitch_rad + pitch + noise[1],
            yaw_rad=true.yaw_rad + yaw + noise[2],
            gimbal_roll_rad=true.gimbal_roll_rad + gimbal_roll + noise[3],
            gimbal_pitch_rad=true.gimbal_pitch_rad + gimbal_pitch + noise[4],
            # The gimbal knows its yaw from the vehicle's nose; north it has from the vehicle's heading.
            gimbal_yaw_rad=true.gimbal_yaw_rad + yaw + noise[5],
        )
