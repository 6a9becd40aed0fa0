"""Small pairs and states for the tests of what leaves the tracker."""

import numpy as np

from edge_rgbt.types import Box, Frame, FramePair, Modality, StageTiming, TrackState, TrackStatus

PERIOD_NS = 33_333_333


def grey_pair(index: int, width=64, height=48, level=60, skew_ns=2_000_000) -> FramePair:
    """An aligned pair of flat grey pictures."""
    time_ns = 5_000_000_000 + index * PERIOD_NS
    return FramePair(
        Frame(np.full((height, width, 3), level, np.uint8), Modality.RGB, time_ns, index),
        Frame(np.full((height, width), level, np.uint8), Modality.TIR, time_ns + skew_ns, index),
        aligned=True,
    )


def state_of(pair: FramePair, box=None, status=TrackStatus.TRACKING, score=0.75) -> TrackState:
    """A tracker's answer for a pair."""
    timings = (StageTiming("crop", 2_000_000), StageTiming("network", 9_500_000))
    return TrackState(box or Box(16, 12, 24, 20), score, status, pair.timestamp_ns, pair.skew_ns, timings)
