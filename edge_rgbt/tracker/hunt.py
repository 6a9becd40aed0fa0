"""The search for a lost target: where each crop goes, and when what it shows is the target again."""

from __future__ import annotations

import math

import numpy as np

from edge_rgbt.types import Box

# Crops are laid this far apart, in sides of the target; a crop shows four, so neighbours share a third.
_STEP = 2.5
# Every other crop stays this near, in steps: what hides usually comes back close to where it went.
_NEAR = 1.5
_LARGEST_RING = 40
# By how much a side may have changed since the target was last trusted, as a natural logarithm.
_SIZE_CHANGE, _SIZE_CHANGE_PER_S, _LARGEST_SIZE_CHANGE = math.log(1.6), 0.1, math.log(2.5)
# How far from the last trusted place it can be at first, in its sides; further as the region grows.
_FIRST_REACH = 1.0
# A candidate may move by so many of its own sides from one pair to the next.
_LARGEST_MOVE = 1.0
# A candidate is watched from this share of the confidence and this much less likeness on, and for so many
# times as long as a recognition takes.
_HALF_SURE, _LIKENESS_MARGIN, _PATIENCE = 0.5, 0.1, 4.0


class SearchPlan:
    """Lays crops of the usual size and cost over a disc around the place where the target was last trusted.

    The disc begins with the crop's own reach and grows by `growth_per_s` sides of the target per second, up
    to the whole picture. Every other crop goes through the nearest places only.
    """

    def __init__(self, growth_per_s: float) -> None:
        self._growth_per_s = growth_per_s
        reach = np.arange(-_LARGEST_RING, _LARGEST_RING + 1)
        places = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2)
        distances = np.hypot(places[:, 0], places[:, 1])
        order = np.argsort(distances, kind="stable")
        self._places, self._distances = places[order], distances[order]

    def start(self, last: Box) -> None:
        """The target was last trusted to be in this box."""
        self._last = last
        self._near: list[Box] = []
        self._far: list[Box] = []
        self._turn = 0

    def next(self, elapsed_s: float, width: int, height: int) -> Box:
        """The box around which to cut out next from a width x height picture."""
        self._turn += 1
        if self._turn % 2:
            self._near = self._near or self._round(_NEAR, width, height)
            return self._near.pop(0)
        self._far = self._far or self._round(1.0 + elapsed_s * self._growth_per_s / _STEP, width, height)
        return self._far.pop(0)

    def _round(self, radius: float, width: int, height: int) -> list[Box]:
        """Boxes of the last size at all places within `radius` steps whose middle lies in the picture."""
        box = self._last
        step = _STEP * (box.w * box.h) ** 0.5
        near = self._places[: np.searchsorted(self._distances, radius, "right")] * step
        middles = near + np.array([box.cx, box.cy])
        inside = ((middles >= 0) & (middles < (width, height))).all(axis=1)
        inside[0] = True  # the place itself, wherever it is
        return [Box(x - box.w / 2, y - box.h / 2, box.w, box.h) for x, y in middles[inside].tolist()]


class Watch:
    """Whether one candidate has been the target for long enough: a mean decides, not one frame.

    confidence, likeness: what their means must reach, over about `span_ms` and for at least as long.
    """

    def __init__(self, confidence: float, likeness: float, span_ms: float) -> None:
        self._confidence, self._likeness = confidence, likeness
        self._span_ns = span_ms * 1e6
        self.begin()

    def begin(self) -> None:
        """Another candidate, of which nothing is known."""
        self._frames, self._watched_ns = 0, 0
        self._means = (0.0, 0.0)

    def see(self, elapsed_ns: int, confidence: float, likeness: float) -> bool:
        """Takes in the next frame; True once the candidate is recognised."""
        self._frames += 1
        if self._frames == 1:
            self._means = confidence, likeness
        else:
            self._watched_ns += elapsed_ns
            kept = math.exp(-elapsed_ns / self._span_ns) if self._span_ns else 0.0
            now = confidence, likeness
            self._means = tuple(kept * m + (1.0 - kept) * n for m, n in zip(self._means, now, strict=True))
        sure, alike = self._means
        long_enough = self._watched_ns >= self._span_ns and self._frames > 2
        return long_enough and sure >= self._confidence and alike >= self._likeness

    @property
    def hopeless(self) -> bool:
        """True if the candidate is something else, or has not been recognised for too long."""
        sure, alike = self._means
        doubtful = sure < _HALF_SURE * self._confidence or alike < self._likeness - _LIKENESS_MARGIN
        return doubtful or self._watched_ns >= _PATIENCE * self._span_ns


class Hunt:
    """Searches until one candidate has looked like the target for long enough.

    found_above, found_likeness, found_ms: the limits of `Watch`. A candidate begins with half the confidence
    and a little less likeness; it is dropped when its means fall below that, or after it has been watched
    in vain. Where the target cannot be, or not with that size, there is no candidate.
    """

    def __init__(
        self, growth_per_s: float, found_above: float, found_likeness: float, found_ms: float
    ) -> None:
        self._plan = SearchPlan(growth_per_s)
        self._growth_per_s = growth_per_s
        self._watch = Watch(found_above, found_likeness, found_ms)

    def start(self, last: Box, ago_ns: int = 0) -> None:
        """The target was last trusted to be in this box, so long ago."""
        self._last = last
        self._plan.start(last)
        self._elapsed_ns = ago_ns  # it has moved since then, not since the loss was noticed
        self._candidate: Box | None = None

    @property
    def confirming(self) -> bool:
        """True while a candidate is being watched."""
        return self._candidate is not None

    def aim(self, width: int, height: int) -> Box:
        """The box around which to cut out of the next picture."""
        return self._candidate or self._plan.next(self._elapsed_ns / 1e9, width, height)

    def plausible(self, box: Box) -> bool:
        """True if the target can have this size and be here now, or the candidate while one is watched."""
        limit = min(_SIZE_CHANGE + _SIZE_CHANGE_PER_S * self._elapsed_ns / 1e9, _LARGEST_SIZE_CHANGE)
        last, before = self._last, self._candidate
        if max(abs(math.log(box.w / last.w)), abs(math.log(box.h / last.h))) > limit:
            return False
        reach = _LARGEST_MOVE if before else _FIRST_REACH + self._growth_per_s * self._elapsed_ns / 1e9
        origin = before or last
        moved = math.hypot(box.cx - origin.cx, box.cy - origin.cy)
        return moved <= reach * math.sqrt(origin.w * origin.h)

    def judge(self, elapsed_ns: int, box: Box, confidence: float, likeness: float) -> bool:
        """Hears what the crop showed, `elapsed_ns` after the one before; True if it is the target again."""
        self._elapsed_ns += elapsed_ns
        if self._candidate is None:
            self._watch.begin()
        plausible = self.plausible(box)
        found = self._watch.see(elapsed_ns, confidence if plausible else 0.0, likeness)
        if self._watch.hopeless:
            self._candidate = None
            return False
        if plausible:
            self._candidate = box
        return found and plausible
