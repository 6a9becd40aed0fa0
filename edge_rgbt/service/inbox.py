"""Where camera threads leave frames for the frame loop: bounded, newest first to stay, never waited for."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from edge_rgbt.types import Frame, Modality

# Two wait while the loop is busy with a third; a fourth would only be older than it need be.
LENGTH = 3


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame, and when it was left here."""

    frame: Frame
    arrived_ns: int


class Inbox:
    """One short queue per camera; a frame too many pushes out that camera's oldest, which is counted."""

    def __init__(self) -> None:
        self._waiting: dict[Modality, deque[Arrival]] = {m: deque() for m in Modality}
        self.dropped = dict.fromkeys(Modality, 0)
        self._ended: set[Modality] = set()
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> None:
        """From a camera's thread."""
        with self._changed:
            queue = self._waiting[frame.modality]
            if len(queue) >= LENGTH:
                queue.popleft()
                self.dropped[frame.modality] += 1
            queue.append(Arrival(frame, time.monotonic_ns()))
            self._changed.notify()

    def end(self, modality: Modality) -> None:
        """This camera will put nothing more."""
        with self._changed:
            self._ended.add(modality)
            self._changed.notify()

    @property
    def ended(self) -> bool:
        """True once both cameras have ended and everything is taken."""
        with self._changed:
            return len(self._ended) == len(Modality) and not any(self._waiting.values())

    def take(self, timeout_s: float) -> list[Arrival]:
        """Everything that waits, in the order of arrival; waits for the first one."""
        with self._changed:
            if not any(self._waiting.values()):
                self._changed.wait(timeout_s)
            taken = [arrival for queue in self._waiting.values() for arrival in queue]
            for queue in self._waiting.values():
                queue.clear()
        return sorted(taken, key=lambda arrival: arrival.arrived_ns)

    def filling(self, modality: Modality) -> tuple[int, float]:
        """How many wait, and for how many milliseconds the oldest of them has."""
        with self._changed:
            queue = self._waiting[modality]
            oldest_ns = queue[0].arrived_ns if queue else None
            waiting = len(queue)
        return waiting, 0.0 if oldest_ns is None else (time.monotonic_ns() - oldest_ns) / 1e6
