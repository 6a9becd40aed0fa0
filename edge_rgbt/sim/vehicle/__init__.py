"""A multicopter with gimbal whose pose the simulator's cameras take; it knows nothing of MAVLink."""

from edge_rgbt.sim.vehicle.airframe import AirframeLimits, Wind
from edge_rgbt.sim.vehicle.condition import Condition, Sticks
from edge_rgbt.sim.vehicle.earth import Home
from edge_rgbt.sim.vehicle.gimbal import AngleCommand, GimbalLimits, PointCommand, RateCommand
from edge_rgbt.sim.vehicle.sensors import PERFECT, USUAL, SensorErrors
from edge_rgbt.sim.vehicle.setpoint import STAND_STILL, Setpoint
from edge_rgbt.sim.vehicle.state import VehicleState
from edge_rgbt.sim.vehicle.vehicle import Vehicle, VehicleSettings

__all__ = [
    "PERFECT",
    "STAND_STILL",
    "USUAL",
    "AirframeLimits",
    "AngleCommand",
    "Condition",
    "GimbalLimits",
    "Home",
    "PointCommand",
    "RateCommand",
    "SensorErrors",
    "Setpoint",
    "Sticks",
    "Vehicle",
    "VehicleSettings",
    "VehicleState",
    "Wind",
]
