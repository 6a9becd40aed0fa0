"""A rendered world seen by a visible and a thermal camera on a moving drone; see `make_scenario`."""

from edge_rgbt.sim.conditions import PRESETS, Conditions
from edge_rgbt.sim.drone import Pose
from edge_rgbt.sim.scenario import PoseSource, Scenario, World, make_scenario
from edge_rgbt.sim.truth import Truth

__all__ = ["PRESETS", "Conditions", "Pose", "PoseSource", "Scenario", "Truth", "World", "make_scenario"]
