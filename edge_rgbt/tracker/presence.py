"""Whether the target is there: scores in, TRACKING or LOST out, slow to change its mind."""

from __future__ import annotations

from edge_rgbt.types import TrackStatus


class Presence:
    """Hysteresis counted in frames.

    TRACKING becomes LOST after `lost_frames` scores in a row under the threshold, and LOST becomes TRACKING
    after `found_frames` in a row at or above it.
    """

    def __init__(self, threshold: float, lost_frames: int, found_frames: int) -> None:
        self._threshold = threshold
        self._needed = {TrackStatus.TRACKING: lost_frames, TrackStatus.LOST: found_frames}
        self.reset()

    def reset(self) -> None:
        """A new target, present by definition."""
        self.status = TrackStatus.TRACKING
        self._against = 0  # scores in a row that contradict the status

    def update(self, score: float) -> TrackStatus:
        """Takes in the score of the next frame."""
        present = score >= self._threshold
        if present == (self.status is TrackStatus.TRACKING):
            self._against = 0
            return self.status
        self._against += 1
        if self._against >= self._needed[self.status]:
            self.status = TrackStatus.TRACKING if present else TrackStatus.LOST
            self._against = 0
        return self.status
