"""Windows of sequences and flights in which one camera fails, and a tracker that goes through them.

All lengths of a fault are one run: where a shorter one ends, a copy of the tracker goes on with both cameras.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rendered import Moment, render
from edge_rgbt.bundle import Bundle
from edge_rgbt.engine.base import Engine
from edge_rgbt.errors import SequenceError
from edge_rgbt.manifest import STAND_INS
from edge_rgbt.outputs.overlay import overlap
from edge_rgbt.register import Registration
from edge_rgbt.replay.layouts import Sequence as Recording
from edge_rgbt.replay.layouts import find_recordings
from edge_rgbt.replay.sources import decode_ahead
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, Frame, FramePair, Modality, TrackState, Usable

NOTHING = "nothing missing"
REMOVED, FROZEN, LATE = UNTOLD = ("black, untold", "frozen, untold", "late, untold")
WAYS = (NOTHING, *UNTOLD, *STAND_INS)
FIRST_SEED = 600  # training flights start at 10 000
RATE_HZ = 15.0  # of the simulated flights
LATE_S = 0.3
BEFORE_S, AFTER_S = 1.0, 2.0
APART_S = 2.0  # windows of one recorded sequence begin so far apart
VISIBLE = 0.3  # share of the target that must be in sight for its overlap to count
FULL_VIEW = 0.8  # and for a window to begin
RIGHT = SURE = 0.5  # overlap and confidence


@dataclass(frozen=True)
class Window:
    """A piece of a sequence that begins on a true box."""

    sequence: str
    begins_s: float
    moments: Sequence[Moment]

    @property
    def name(self) -> str:
        return f"{self.sequence} at {self.begins_s:.1f} s"


@dataclass
class Boxes:
    """What is known of the boxes of one stretch of a run. sure: confidence of one half or more."""

    overlaps: float = 0.0
    pairs: int = 0
    right: int = 0
    sure: int = 0
    sure_right: int = 0
    confidence: float = 0.0

    def add(self, state: TrackState, moment: Moment) -> None:
        if moment.truth is None or moment.visibility < VISIBLE:
            return
        met = overlap(state.box, moment.truth)
        right, sure = met > RIGHT, state.confidence >= SURE
        self.pairs, self.overlaps = self.pairs + 1, self.overlaps + met
        self.right, self.sure = self.right + right, self.sure + sure
        self.sure_right, self.confidence = (
            self.sure_right + (right and sure),
            self.confidence + state.confidence,
        )

    @property
    def mean(self) -> float | None:
        return self.overlaps / self.pairs if self.pairs else None


@dataclass(frozen=True)
class Fault:
    """One length of a fault: mean overlaps, None where no annotated frame lies."""

    seconds: float
    during: float | None
    after: float | None


@dataclass(frozen=True)
class Run:
    """One camera gone in one way in one window. boxes: while it was gone, in the longest fault."""

    window: str
    missing: str
    way: str
    faults: tuple[Fault, ...]
    boxes: Boxes

    @property
    def sequence(self) -> str:
        return self.window.split(" at ")[0]


@dataclass(frozen=True)
class RecordedStarts:
    """A recorded sequence and the numbers of the frames in which its windows begin: every two seconds."""

    recording: Recording
    boxes: dict[int, Box]
    frames: tuple[int, ...]


def recorded_starts(data: Path, only: Sequence[str] | None) -> Iterator[RecordedStarts]:
    """The recorded sequences below `data`; decodes nothing yet."""
    for found in find_recordings(str(data / "sequences")).recordings:
        if only and found.name not in only:
            continue
        recording = found.load()
        if recording.truth is None:
            raise SequenceError(f"{recording.name}: has no annotated boxes to compare with")
        rows = zip(recording.truth.frames().tolist(), recording.truth.visible.tolist(), strict=True)
        boxes = {frame: Box(*row) for frame, row in rows if row[2] > 0 and row[3] > 0}
        apart, starts = round(APART_S * recording.open().fps), []
        for frame in sorted(boxes):
            if not starts or frame >= starts[-1] + apart:
                starts.append(frame)
        yield RecordedStarts(recording, boxes, tuple(starts))


def recorded_windows(starts: RecordedStarts, longest_s: float) -> Iterator[Window]:
    """The windows of one recorded sequence."""
    moments = _aligned(starts.recording, starts.boxes)
    for frame in starts.frames:
        begins_s = moments[frame].pair.timestamp_ns / 1e9
        yield Window(starts.recording.name, begins_s, _within(moments[frame:], longest_s))


def flown_window(seed: int, longest_s: float) -> Window | None:
    """The window of a simulated flight, from where its target is in full view; None if it never is."""
    moments = list(render(seed, longest_s + 1.0, RATE_HZ))
    first = next((n for n, m in enumerate(moments) if m.truth and m.visibility > FULL_VIEW), None)
    if first is None:
        return None
    begins_s = moments[first].pair.timestamp_ns / 1e9
    return Window(flight_name(seed), begins_s, _within(moments[first:], longest_s))


def flight_name(seed: int) -> str:
    return f"flight {seed}"


def runs_of(
    window: Window, bundle: Bundle, engine: Engine, lengths: Sequence[float], ways: Sequence[str] = WAYS
) -> Iterator[Run]:
    """These ways and both cameras on one window."""
    for way in ways:
        settings = bundle.manifest.tracker
        if way in STAND_INS:
            settings = dataclasses.replace(settings, stand_in=way)
        before = Tracker(dataclasses.replace(bundle.manifest, tracker=settings), engine)
        moments = _seen_before(before, window)
        for missing in Modality:
            gone = _Gone(way, missing, window.moments[len(window.moments) - len(moments) - 1])
            faults, boxes = _go_through(_copied(before), moments, gone, lengths)
            yield Run(window.name, missing.value, way, faults, boxes)


def _seen_before(tracker: Tracker, window: Window) -> Sequence[Moment]:
    """Starts the tracker and lets it see both cameras for a while; what is left of the window."""
    first = window.moments[0]
    assert first.truth is not None
    tracker.start(first.pair, first.truth)
    for number, moment in enumerate(window.moments[1:], start=1):
        if _seconds_between(first, moment) >= BEFORE_S:
            return window.moments[number:]
        tracker.update(moment.pair)
    return []


def _go_through(
    tracker: Tracker, moments: Sequence[Moment], gone: _Gone, lengths: Sequence[float]
) -> tuple[tuple[Fault, ...], Boxes]:
    """The longest fault; where each shorter one ends, a copy of the tracker sees both cameras again."""
    waiting, faults, boxes = sorted(lengths), [], Boxes()
    for number, moment in enumerate(moments):
        while waiting and _seconds_between(moments[0], moment) >= waiting[0]:
            after = _with_both(_copied(tracker), moments[number:])
            faults.append(Fault(waiting.pop(0), boxes.mean, after.mean))
        if not waiting:
            break
        boxes.add(tracker.update(gone.pair(moment.pair)), moment)
    return tuple(faults), boxes


def _with_both(tracker: Tracker, moments: Sequence[Moment]) -> Boxes:
    boxes = Boxes()
    for moment in _within(moments, AFTER_S):
        boxes.add(tracker.update(moment.pair), moment)
    return boxes


def _copied(tracker: Tracker) -> Tracker:
    """Another tracker in the same state; the engine, which keeps none, serves both."""
    shared = {id(one): one for one in (tracker.engine, tracker.manifest)}
    return copy.deepcopy(tracker, shared)


class _Gone:
    """Turns pairs into what the tracker gets while a camera is gone."""

    def __init__(self, way: str, missing: Modality, last: Moment) -> None:
        self.way, self.missing = way, missing
        self._past: list[Frame] = [last.pair.frame(missing)]  # up to LATE_S old

    def pair(self, pair: FramePair) -> FramePair:
        if self.way == NOTHING:
            return pair
        frame = pair.frame(self.missing)
        black = dataclasses.replace(frame, image=np.zeros_like(frame.image))
        if self.way == REMOVED:
            return self._with(pair, black)
        if self.way not in UNTOLD:
            usable = Usable.RGB if self.missing is Modality.TIR else Usable.TIR
            return dataclasses.replace(self._with(pair, black), usable=usable)
        if self.way == LATE:
            self._past.append(frame)
            while frame.timestamp_ns - self._past[0].timestamp_ns > LATE_S * 1e9:
                self._past.pop(0)
        return self._with(pair, dataclasses.replace(self._past[0], timestamp_ns=frame.timestamp_ns))

    def _with(self, pair: FramePair, frame: Frame) -> FramePair:
        if self.missing is Modality.RGB:
            return dataclasses.replace(pair, rgb=frame)
        return dataclasses.replace(pair, tir=frame)


def _aligned(recording: Recording, boxes: dict[int, Box]) -> list[Moment]:
    """Aligned pairs of a recorded sequence with their annotated boxes."""
    registration: Registration | None = None
    moments = []
    for index, pair in enumerate(decode_ahead(recording.open())):
        sizes = (pair.tir.width, pair.tir.height), (pair.rgb.width, pair.rgb.height)
        registration = registration or Registration.stretch(*sizes)
        same = sizes[0] == sizes[1]
        aligned = dataclasses.replace(pair, aligned=True) if same else registration.apply(pair)
        moments.append(Moment(aligned, boxes.get(index), 1.0))
    return moments


def _within(moments: Sequence[Moment], seconds: float) -> Sequence[Moment]:
    end = next((n for n, m in enumerate(moments) if _seconds_between(moments[0], m) > seconds), None)
    return moments[:end]


def _seconds_between(first: Moment, second: Moment) -> float:
    # A thousandth: three steps of a tenth are no less than 0.3.
    return (second.pair.timestamp_ns - first.pair.timestamp_ns) / 1e9 + 1e-3


def longest_window_s(lengths: Iterable[float]) -> float:
    return BEFORE_S + max(lengths) + AFTER_S
