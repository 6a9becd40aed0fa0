"""Puts the vehicle where the flight's own drone would start, its camera on the target."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge_rgbt.sim.drone import Pose
from edge_rgbt.sim.scenario import Scenario
from edge_rgbt.sim.vehicle.earth import Home
from edge_rgbt.sim.vehicle.vehicle import VehicleSettings


@dataclass(frozen=True)
class Start:
    """Where a flight begins; called with settings, gives them with that start."""

    home: Home
    pose: Pose

    def __call__(self, settings: VehicleSettings) -> VehicleSettings:
        east, north, up = self.pose.position
        return replace(
            settings,
            home=self.home,
            position=(north, east, -up),
            yaw_rad=math.radians(self.pose.yaw_deg),
            gimbal_pitch_rad=math.radians(self.pose.camera_pitch_deg),
            gimbal_yaw_rad=math.radians(math.remainder(self.pose.camera_yaw_deg - self.pose.yaw_deg, 360.0)),
        )


def starts_like(scenario: Scenario) -> Start:
    """The start of a flight's drone, above the same home."""
    plan = scenario.drone.plan
    home = Home(plan.home_lat_deg, plan.home_lon_deg, plan.home_alt_m)
    return Start(home, scenario.drone.pose(0))
