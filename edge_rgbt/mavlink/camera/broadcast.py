"""What the camera sends without being asked each time: statuses, streams that somebody asked for, changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_rgbt.mavlink.camera.facts import (
    OF_COMPANION,
    STREAM,
    STREAM_STATUS,
    TARGET,
    TARGET_PLACE,
    Facts,
    Unavailable,
)
from edge_rgbt.mavlink.camera.intervals import Intervals
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Speaker
from edge_rgbt.mavlink.messages import TargetPhase

_CHANGE_NS = 50_000_000  # a status that flickers is told no faster than this
_STATUSES = {(TARGET, 0), (TARGET_PLACE, 0)}


class Broadcast:
    """Decides what is due, from the facts and the intervals, and remembers what was told last."""

    def __init__(self, facts: Facts, intervals: Intervals) -> None:
        self._facts, self._intervals = facts, intervals
        self._told_status: int | None = None  # of the last message 275; None: none was
        self._told_ns = 0
        self.changed_streams: set[int] = set()

    def due(self, hosts: Mapping[str, str], now_ns: int) -> list[Outgoing]:
        """hosts: per endpoint, our address as it is reached from there."""
        phase = self._facts.target.phase(now_ns)
        return [
            *self._status(phase, now_ns),
            *self._place(phase, now_ns),
            *self._changed(now_ns),
            *self._asked_for(hosts, now_ns),
        ]

    def end(self, now_ns: int) -> list[Outgoing]:
        """The track was stopped: one status 0, whatever the interval (R-TS-7); the solution ends too."""
        message = self._facts.target.message(now_ns)
        self._told_status, self._told_ns = message.tracking_status, now_ns
        ending = self._facts.solution.ending(TargetPhase.IDLE, now_ns)
        return [_latest(message), *([] if ending is None else [_latest(ending)])]

    def _status(self, phase: TargetPhase, now_ns: int) -> list[Outgoing]:
        """CAMERA_TRACKING_IMAGE_STATUS by its interval, with a new state where there are; changes at once
        (R-TS-5)."""
        kind, target, idle = (TARGET, 0), self._facts.target, phase is TargetPhase.IDLE
        if self._intervals.interval_us(kind) is None:
            self._told_status = None
            return []
        told = self._told_status
        if idle and told in (None, 0) and not self._intervals.is_leased(kind):
            return []
        message = target.message(now_ns)
        changed = message.tracking_status != told and now_ns - self._told_ns >= _CHANGE_NS
        has_news = target.fresh or phase in (TargetPhase.IDLE, TargetPhase.SENSOR_FAILURE)
        if not changed and not (has_news and self._intervals.is_due(kind, now_ns)):
            return []
        target.fresh = False
        self._intervals.sent(kind, now_ns)
        self._told_status, self._told_ns = message.tracking_status, now_ns
        return [_latest(message)]

    def _place(self, phase: TargetPhase, now_ns: int) -> list[Outgoing]:
        """CAMERA_TRACKING_GEO_STATUS by its interval, and the one that ends it (R-GS-2)."""
        kind, solution = (TARGET_PLACE, 0), self._facts.solution
        ending = solution.ending(phase, now_ns)
        if ending is not None:
            return [_latest(ending)]
        if not (solution.fresh and self._intervals.is_due(kind, now_ns)):
            return []
        message = solution.message(phase, now_ns)
        if message is None:
            return []
        self._intervals.sent(kind, now_ns)
        return [_latest(message)]

    def _changed(self, now_ns: int) -> list[Outgoing]:
        """Streams that began or ceased to run (R-VS-3)."""
        numbers = sorted(self.changed_streams)
        self.changed_streams.clear()
        statuses = [self._facts.messages(STREAM_STATUS, number, "", now_ns)[0] for number in numbers]
        return [Outgoing(message, Priority.ONE_SHOT) for message in statuses]

    def _asked_for(self, hosts: Mapping[str, str], now_ns: int) -> list[Outgoing]:
        """Everything else that somebody asked to have regularly, and the companion's numbers."""
        unasked = [(message_id, 0) for message_id in OF_COMPANION if self._facts.offers(message_id)]
        out = []
        for kind in sorted({*self._intervals.leased(), *unasked} - _STATUSES):
            if self._intervals.is_due(kind, now_ns):
                self._intervals.sent(kind, now_ns)
                out += self._streamed(kind, hosts, now_ns)
        return out

    def _streamed(self, kind: tuple[int, int], hosts: Mapping[str, str], now_ns: int) -> list[Outgoing]:
        message_id, which = kind
        companion = message_id in OF_COMPANION
        speaker = Speaker.COMPANION if companion else Speaker.CAMERA
        priority = Priority.DIAGNOSTIC if companion else Priority.STATUS
        # Addresses of streams differ from side to side; everything else is the same for all.
        places: list[str | None] = [None]
        if message_id == STREAM:
            places = [*sorted(self._intervals.endpoints(kind))]
        out = []
        for place in places:
            try:
                messages = self._facts.messages(message_id, which, hosts.get(place or "", ""), now_ns)
            except Unavailable:
                continue
            out += [Outgoing(m, priority, speaker, place, latest_wins=True) for m in messages]
        return out


def _latest(message: Any) -> Outgoing:
    """Never two of them in a queue, and the last one said is the last one sent."""
    return Outgoing(message, Priority.STATUS, latest_wins=True)
