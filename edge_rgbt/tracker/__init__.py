"""Follows one target through aligned RGB-thermal pairs with a network it knows only by its manifest."""

from edge_rgbt.tracker.tracker import Tracker

__all__ = ["Tracker"]
