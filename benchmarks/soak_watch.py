"""The service of a soak: the real one, and beside it a ledger of what became of each frame and track."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from soak_faults import BACK, CLOCK
from soak_world import TimeCheck, Truth, number_in

from edge_rgbt.service.inbox import Arrival
from edge_rgbt.service.intake import Intake, Judged
from edge_rgbt.service.service import Service
from edge_rgbt.types import FramePair, Modality, PictureFault, TrackState, TrackStatus

_INTAKE = ("misshapen", "untimely", *(fault.value for fault in PictureFault))
_SYNC = ("repeated", "disordered", "late")
_OTHER_CONTENT = ("frozen", "held", "torn", "black", "saturated", "noise")
_KEPT = 20


@dataclass
class Ledger:
    """seen: frames that the loop took, by camera and kind. counted: which counter rose with which kind.

    tracks, wrong_times, wrong_pictures: published tracks; those whose time is not the truth's, or whose
    picture is not the frame's. arrival_times: those that rest on times of arrival; worst_arrival_ns of them.
    recovered: kind, seconds from the end of an outage until a track used the camera again.
    """

    seen: dict[Modality, Counter[str]] = field(default_factory=lambda: {m: Counter() for m in Modality})
    counted: dict[Modality, Counter[tuple[str, str]]] = field(
        default_factory=lambda: {m: Counter() for m in Modality}
    )
    tracks: int = 0
    wrong_times: int = 0
    wrong_pictures: int = 0
    arrival_times: int = 0
    worst_arrival_ns: int = 0
    examples: list[str] = field(default_factory=list)
    recovered: list[tuple[str, float]] = field(default_factory=list)
    lost_ns: int | None = None  # since when the target is lost
    slot: int = 0  # of the newest track
    _last_slot: dict[Modality, int] = field(default_factory=dict)
    _outages: dict[Modality, list[tuple[str, int, int]]] = field(default_factory=dict)

    def watch(self, outages: dict[Modality, list[tuple[str, int, int]]]) -> None:
        """The lists of ended outages that the cameras write."""
        self._outages = outages

    def kind(self, truth: Truth) -> str:
        """The frame's kind as the loop can know it: without the frame that it repeats, or comes behind, it is
        an ordinary one."""
        last = self._last_slot.get(truth.modality, -1)
        self._last_slot[truth.modality] = truth.slot
        ordinary = last != truth.slot if truth.kind == "repeated" else last < truth.slot
        return "good" if ordinary and truth.kind in ("repeated", "reordered", "late") else truth.kind

    def note(self, modality: Modality, kind: str, name: str) -> None:
        """This counter rose with a frame of this kind."""
        self.counted[modality][kind, name] += 1
        if kind == "good":
            self._example(f"good {modality.value} frame counted as {name}")

    def track(self, state: TrackState, pair: FramePair) -> None:
        """One published track."""
        self.tracks += 1
        for modality in Modality:
            paces, frame = modality is pair.paced_by, pair.frame(modality)
            if not (paces or pair.usable.has(modality)):
                continue
            stamp_ns = state.timestamp_ns if paces else frame.timestamp_ns
            check = TimeCheck.of(frame.source, stamp_ns, frame.time_source.value, frame.time_uncertainty_ns)
            truth = Truth.of(frame.source)
            self._check(truth, check, number_in(frame.image))
            if paces:
                self.slot = truth.slot
            if pair.usable.has(modality):
                self._recover(modality, truth.slot)
        lost = state.status is TrackStatus.LOST
        self.lost_ns = (self.lost_ns or time.monotonic_ns()) if lost else None

    def _check(self, truth: Truth, check: TimeCheck, number: int) -> None:
        if check.allowed_ns:
            self.arrival_times += 1
            self.worst_arrival_ns = max(self.worst_arrival_ns, abs(check.error_ns))
        if check.wrong:
            self.wrong_times += 1
            self._example(f"{truth.kind} slot {truth.slot}: time off by {check.error_ns / 1e6:.3f} ms")
        if number != truth.slot and truth.kind not in _OTHER_CONTENT:
            self.wrong_pictures += 1
            self._example(f"{truth.kind} slot {truth.slot}: shows picture {number}")

    def _example(self, text: str) -> None:
        if len(self.examples) < _KEPT:
            self.examples.append(text)

    def _recover(self, modality: Modality, slot: int) -> None:
        for outage in list(self._outages[modality]):
            kind, end, back_ns = outage
            if slot >= end:
                self._outages[modality].remove(outage)
                self.recovered.append((kind, (time.monotonic_ns() - back_ns) / 1e9))


class _WatchedIntake(Intake):
    """Notes which of its counters rose with each frame."""

    ledger: Ledger

    def take(self, arrival: Arrival) -> Judged | None:
        frame = arrival.frame
        kind, before = self.ledger.kind(Truth.of(frame.source)), self.counters
        judged = super().take(arrival)
        after = self.counters
        self.ledger.seen[frame.modality][kind] += 1
        for name in _INTAKE:
            if after[name] > before[name]:
                self.ledger.note(frame.modality, kind, name)
        return judged


class WatchedService(Service):
    """The service with a ledger."""

    def __init__(self, *args: Any, ledger: Ledger, **named: Any) -> None:
        super().__init__(*args, **named)
        self.ledger = ledger
        for intake in self._intakes.values():
            intake.__class__ = _WatchedIntake
            intake.ledger = ledger  # type: ignore[attr-defined]
        self._push = self._sync.push
        self._sync.push = self._watched_push  # type: ignore[method-assign]

    def _watched_push(self, frame: Any, fault: Any = None, now_ns: int | None = None) -> list[FramePair]:
        counters = self._sync.counters
        before = asdict(counters)
        pairs = self._push(frame, fault, now_ns)
        kind = Truth.of(frame.source).kind
        for name in _SYNC:
            if risen := getattr(counters, name) - before[name]:
                self.ledger.counted[frame.modality][kind, name] += risen
        return pairs

    def _note(self, state: TrackState, pair: FramePair) -> None:
        super()._note(state, pair)
        self.ledger.track(state, pair)


def on_time(kind: str) -> bool:
    """True for frames whose time is not part of the fault."""
    return kind not in (*CLOCK, BACK)
