"""A simulated autopilot that speaks MAVLink as PX4 and as ArduCopter do, where they differ."""

from edge_rgbt.mavlink.autopilot.autopilot import (
    COMPANION_PORT,
    GROUND_PORT,
    AutopilotSettings,
    SimulatedAutopilot,
)
from edge_rgbt.mavlink.autopilot.modes import FlightMode
from edge_rgbt.mavlink.autopilot.pilot import Pilot
from edge_rgbt.mavlink.autopilot.stacks import ARDUCOPTER, PX4, STACKS, Stack

__all__ = [
    "ARDUCOPTER",
    "COMPANION_PORT",
    "GROUND_PORT",
    "PX4",
    "STACKS",
    "AutopilotSettings",
    "FlightMode",
    "Pilot",
    "SimulatedAutopilot",
    "Stack",
]
