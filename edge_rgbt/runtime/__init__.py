"""Drives the stages; start reading at `stages.py`."""

from edge_rgbt.runtime.loop import StageStatistics, TrackingLoop
from edge_rgbt.runtime.stages import STAGES, STEP_STAGES, Stage, open_loop, step_stages

__all__ = ["STAGES", "STEP_STAGES", "Stage", "StageStatistics", "TrackingLoop", "open_loop", "step_stages"]
