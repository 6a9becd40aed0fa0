"""Steering: what a gimbal and a vehicle may be asked for, when, and how much. Pure mathematics and state.

Everything here is off by default, engaged by an operator only, and never more than a request to the
autopilot. `edge_rgbt.mavlink.steering` speaks it.
"""

from edge_rgbt.steering.machine import SafetyMachine
from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.situation import Channel, Level, Situation, State

__all__ = ["Channel", "ControlSettings", "Level", "SafetyMachine", "Situation", "State"]
