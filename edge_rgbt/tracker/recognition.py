"""Whether a candidate looks like the target did, judged without the network."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.imageops import crop_geometry, crop_square
from edge_rgbt.types import Box, FramePair, Modality, Usable

_SIDE_PX = 16
_FACTOR = 1.2  # a little of what surrounds the target belongs to its pattern
_CORE = np.s_[3:13, 3:13]  # its colours are counted where there is hardly anything but target
_BIN_SHIFT, _BINS = 4, 16  # of 256 levels
# Share of the pattern in the likeness; the rest is colour and warmth, which say more about who it is: a thing
# turns and moves its legs, but it keeps its colours.
_PATTERN_SHARE = 0.3
_REMEMBER_EVERY_NS, _COMPARE_EVERY_NS = 500_000_000, 90_000_000
_RECENT = 3  # looks kept beside the first: the last one is often of a target that is half hidden already
_FAMILIAR = 0.7  # likeness below which a look is not learnt


@dataclass(frozen=True, slots=True)
class _Look:
    """One modality of the target. pattern: length 1 and mean 0, or zeros where there is no contrast.

    levels: smoothed histograms of all channels, sum 1.
    """

    pattern: np.ndarray
    levels: np.ndarray

    def likeness(self, other: _Look) -> float:
        """Weighted mean of the patterns' correlation and the histograms' overlap; 1 for the same picture."""
        overlap = float(np.minimum(self.levels, other.levels).sum())
        return _PATTERN_SHARE * float(self.pattern @ other.pattern) + (1.0 - _PATTERN_SHARE) * overlap


class Recognition:
    """Small pictures of the target: one from the start, a few from when it was last trusted.

    The network compares with the first template only and in features that also fit the target's like; this
    compares brightness patterns and colours, in both modalities, with how the target looked a moment before
    it was lost.
    """

    def __init__(self) -> None:
        self._known: list[dict[Modality, _Look]] = []
        self._renewed_ns = self._compared_ns = 0
        self._likeness = 1.0

    def start(self, pair: FramePair, box: Box, usable: Usable) -> None:
        """The given box is the target."""
        self._known = [_looks(pair, box, usable)]
        self._renewed_ns = self._compared_ns = pair.timestamp_ns
        self._likeness = 1.0

    def remember(self, pair: FramePair, box: Box, usable: Usable) -> None:
        """A box that is trusted; from time to time its look is the newest that is kept.

        A sudden change is not learnt: the box may have gone over to something else.
        """
        if abs(pair.timestamp_ns - self._renewed_ns) >= _REMEMBER_EVERY_NS:
            now = _looks(pair, box, usable)
            self._compared(pair, now)
            if self._likeness >= _FAMILIAR:
                self._known[1:] = [*self._known[1:], now][-_RECENT:]
                self._renewed_ns = pair.timestamp_ns

    def likeness(self, pair: FramePair, box: Box, usable: Usable) -> float:
        """Likeness to the most similar known look, -0.3..1, mean over the modalities that can be compared.

        1.0 where none can.
        """
        return self._compared(pair, _looks(pair, box, usable))

    def recent_likeness(self, pair: FramePair, box: Box, usable: Usable) -> float:
        """The same for a box that is followed, where an answer a tenth of a second old will do."""
        if abs(pair.timestamp_ns - self._compared_ns) >= _COMPARE_EVERY_NS:
            return self.likeness(pair, box, usable)
        return self._likeness

    def _compared(self, pair: FramePair, now: dict[Modality, _Look]) -> float:
        scores = []
        for known in self._known:
            shared = [now[m].likeness(known[m]) for m in now if m in known]
            if shared:
                scores.append(sum(shared) / len(shared))
        self._likeness, self._compared_ns = max(scores, default=1.0), pair.timestamp_ns
        return self._likeness


def _looks(pair: FramePair, box: Box, usable: Usable) -> dict[Modality, _Look]:
    """How the box looks now, per usable modality."""
    geometry = crop_geometry(box, _FACTOR, _SIDE_PX)
    return {m: _look(crop_square(pair.frame(m).image, geometry)) for m in Modality if usable.has(m)}


def _look(crop: np.ndarray) -> _Look:
    grey = crop if crop.ndim == 2 else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    pattern = grey.ravel() - grey.mean(dtype=np.float32)
    pattern /= max(float(np.linalg.norm(pattern)), 1.0)
    core = (crop[_CORE] >> _BIN_SHIFT).reshape(-1, 1 if crop.ndim == 2 else crop.shape[2])
    channels = core.shape[1]
    # One count over all channels, each in its own row of bins with an empty one at either end.
    rows = np.arange(channels) * (_BINS + 2) + 1
    counts = np.bincount((core + rows).ravel(), minlength=channels * (_BINS + 2)).astype(np.float32)
    smooth = 0.5 * counts
    smooth[1:] += 0.25 * counts[:-1]
    smooth[:-1] += 0.25 * counts[1:]
    return _Look(pattern, smooth / core.size)
