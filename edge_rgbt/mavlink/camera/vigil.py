"""What an operator has to hear of without looking: target lost, sensor gone; and the tracker's numbers."""

from __future__ import annotations

from collections import deque

from edge_rgbt.mavlink.camera.diagnostics import TrackNumbers
from edge_rgbt.mavlink.camera.notices import ERROR, NOTICE, WARNING, Notices
from edge_rgbt.mavlink.messages import TargetPhase, status_flags
from edge_rgbt.types import TrackState, Usable

_SETTLED_NS = 2_000_000_000  # a thermal camera's shutter closes for less; nobody wants to hear of that
_FPS_OVER_NS = 1_000_000_000
_MOST_TIMES = 256
_SENSORS = {
    Usable.BOTH: (NOTICE, "Both cameras are back"),
    Usable.RGB: (WARNING, "Thermal camera lost, tracking with RGB"),
    Usable.TIR: (WARNING, "RGB camera lost, tracking with thermal"),
    Usable.NONE: (ERROR, "Both cameras lost"),
}


class Vigil:
    """Watches states go by and says what matters."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._phase = TargetPhase.IDLE
        self._usable = self._told_usable = Usable.BOTH
        self._usable_since_ns = 0
        self._times_ns: deque[int] = deque(maxlen=_MOST_TIMES)
        self._latency_ns: int | None = None
        self._confidence = 0.0

    def published(self, state: TrackState, latency_ns: int | None, now_ns: int) -> None:
        self._times_ns.append(now_ns)
        self._latency_ns, self._confidence = latency_ns, state.confidence

    def look(self, phase: TargetPhase, usable: Usable, now_ns: int) -> None:
        """Called often, with what is the case now."""
        if phase is not self._phase:
            followed = self._phase in (TargetPhase.TRACKING, TargetPhase.COASTING)
            if followed and phase is TargetPhase.LOST:
                self._notices.say(WARNING, "Target lost, searching")
            elif phase is TargetPhase.SENSOR_FAILURE:
                self._notices.say(ERROR, "Tracking stopped: no pictures")
            elif self._phase is TargetPhase.LOST and phase is TargetPhase.TRACKING:
                self._notices.say(NOTICE, "Target found again")
            self._phase = phase
        if usable is not self._usable:
            self._usable, self._usable_since_ns = usable, now_ns
        if usable is not self._told_usable and now_ns - self._usable_since_ns >= _SETTLED_NS:
            self._told_usable = usable
            self._notices.say(*_SENSORS[usable])

    def numbers(self, phase: TargetPhase, now_ns: int) -> TrackNumbers:
        """Over the last second."""
        while self._times_ns and now_ns - self._times_ns[0] > _FPS_OVER_NS:
            self._times_ns.popleft()
        alive = bool(self._times_ns)
        return TrackNumbers(
            float(len(self._times_ns)),
            self._latency_ns / 1e6 if alive and self._latency_ns is not None else None,
            self._confidence if alive else 0.0,
            status_flags(phase),
        )
