"""A simulated flight, closed loop: rendered cameras are tracked, and the vehicle follows the track."""

from edge_rgbt.demo.flight import run_demo
from edge_rgbt.demo.options import DemoOptions

__all__ = ["DemoOptions", "run_demo"]
