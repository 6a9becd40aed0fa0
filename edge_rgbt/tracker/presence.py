"""Whether the target is there: confidences in, TRACKING, UNCERTAIN or LOST out, slow to change its mind."""

from __future__ import annotations

import math

from edge_rgbt.manifest import TrackerSettings
from edge_rgbt.types import TrackStatus

# A pause in the pictures counts as no more than this: one frame alone never decides.
_LONGEST_STEP_NS = 150_000_000


class Presence:
    """Hysteresis in time, the same at 9 and at 60 frames per second.

    A running average of the confidences over `memory_ms` decides, so that one bad frame changes nothing and
    a target that flickers in and out of recognition does not make the status flicker. TRACKING ends below
    `uncertain_below` and comes back only at `certain_above`. UNCERTAIN becomes LOST below `lost_below`, and
    in any case after `uncertain_ms`. From LOST only `find` leads back.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self.start(0)

    def start(self, now_ns: int) -> None:
        """A new target, present by definition."""
        self._enter(TrackStatus.TRACKING)
        self._average, self._seen_ns = 1.0, now_ns

    def find(self, now_ns: int) -> None:
        """A lost target was found again."""
        self._enter(TrackStatus.TRACKING)
        self._average, self._seen_ns = self._settings.certain_above, now_ns

    def update(self, now_ns: int, confidence: float) -> TrackStatus:
        """Takes in the confidence of the next frame."""
        settings = self._settings
        elapsed_ns = max(0, now_ns - self._seen_ns)  # a clock that was set back costs one frame
        self._seen_ns = now_ns
        kept = math.exp(-min(elapsed_ns, _LONGEST_STEP_NS) / (settings.memory_ms * 1e6))
        self._average = kept * self._average + (1.0 - kept) * confidence
        if self.status is TrackStatus.TRACKING and self._average < settings.uncertain_below:
            self._enter(TrackStatus.UNCERTAIN)
        elif self.status is TrackStatus.UNCERTAIN:
            self._lasted_ns += elapsed_ns
            if self._average >= settings.certain_above:
                self._enter(TrackStatus.TRACKING)
            elif self._average < settings.lost_below or self._lasted_ns >= settings.uncertain_ms * 1e6:
                self._enter(TrackStatus.LOST)
        return self.status

    def _enter(self, status: TrackStatus) -> None:
        self.status, self._lasted_ns = status, 0
