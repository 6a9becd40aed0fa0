"""The pairs of a flight that are worth a picture in its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_rgbt.demo.record import VISIBLE_SHARE
from edge_rgbt.demo.simulator import TargetTruth
from edge_rgbt.outputs.overlay import Overlay, overlap
from edge_rgbt.types import FramePair, TrackState, TrackStatus

if TYPE_CHECKING:
    from edge_rgbt.report import Still

_Moment = tuple[FramePair, TrackState, TargetTruth]


class Moments:
    """Keeps references to a handful of pairs: start, worst, first hidden and lost one, end."""

    def __init__(self) -> None:
        self._start: _Moment | None = None
        self._end: _Moment | None = None
        self._hidden: _Moment | None = None
        self._lost: _Moment | None = None
        self._worst: _Moment | None = None
        self._worst_overlap = 2.0

    def offer(self, pair: FramePair, state: TrackState, truth: TargetTruth) -> None:
        """Looks at one tracked pair (aligned)."""
        moment = (pair, state, truth)
        self._end = moment
        if self._start is None:
            self._start = moment
        if state.status is TrackStatus.LOST and self._lost is None:
            self._lost = moment
        if truth.box is None:
            return
        if truth.visible < VISIBLE_SHARE:
            self._hidden = self._hidden or moment
        elif (now := overlap(state.box, truth.box)) < self._worst_overlap:
            self._worst, self._worst_overlap = moment, now

    def stills(self) -> list[Still]:
        """In order of time, drawn as in the video."""
        from edge_rgbt.report import still

        if self._start is None or self._end is None:
            return []
        named = [
            (self._start, "the operator's box starts the track"),
            (self._worst, f"the lowest overlap while the target can be seen, {self._worst_overlap:.2f}"),
            (self._hidden, "the target goes out of sight"),
            (self._lost, "the tracker says that it has lost the target"),
            (self._end, "the end"),
        ]
        overlay = Overlay(self._start[0].rgb.width, self._start[0].rgb.height)
        start_ns = self._start[0].timestamp_ns
        shown: dict[int, tuple[_Moment, str]] = {}
        for moment, caption in named:
            if moment is not None:
                shown.setdefault(moment[0].timestamp_ns, (moment, caption))
        pictures = []
        for time_ns in sorted(shown):
            (pair, state, truth), caption = shown[time_ns]
            time_s = (time_ns - start_ns) / 1e9
            picture = overlay.draw(pair, state, truth.box, time_s)
            pictures.append(still(picture, f"{time_s:.1f} s: {caption}"))
        return pictures
