"""Steering over MAVLink: a gimbal by rates, a region of interest, a beacon to follow, velocities.

`edge_rgbt.steering` decides; what is here watches the vehicle and speaks. Off by default, engaged by an
operator only (`orders`), silent in a dry run, and guarded by a process of its own (`guard`).
"""

from edge_rgbt.mavlink.steering.component import SteeringComponent
from edge_rgbt.mavlink.steering.journal import ControlRecord
from edge_rgbt.mavlink.steering.senses import Senses

__all__ = ["ControlRecord", "Senses", "SteeringComponent"]
