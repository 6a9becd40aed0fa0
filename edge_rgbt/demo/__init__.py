"""A simulated flight, closed loop: rendered cameras are tracked, and the vehicle follows the track."""

from edge_rgbt.demo.flight import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
