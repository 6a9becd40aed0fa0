"""Pairs RGB and thermal frames by capture time, never by index, and counts everything that goes wrong.

Without a partner a frame is handed out alone, in time, and says so: the tracker decides what that is worth.
"""

from edge_rgbt.sync.books import SyncCounters
from edge_rgbt.sync.clocks import CameraClock
from edge_rgbt.sync.pairing import QUEUE_LENGTH, PairSynchroniser

__all__ = ["QUEUE_LENGTH", "CameraClock", "PairSynchroniser", "SyncCounters"]
