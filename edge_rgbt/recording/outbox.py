"""What waits to be written: bounded, in order, and never in the way of those who put something in."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from edge_rgbt.recording.topics import MAVLINK
from edge_rgbt.types import Frame

MOST_NOTES = 20_000  # about ten minutes without a disk; a note is a few hundred bytes
MOST_LINK_NOTES = 20_000  # of MAVLink; a lane of their own, so that a flooded link never costs tracks
_LINK_TOPICS = frozenset(MAVLINK.values())


@dataclass(slots=True)
class Note:
    """One message that is not a picture. value: what the writer makes plain; nobody changes it any more."""

    topic: str
    value: Any
    event_ns: int
    order: int = 0
    log_ns: int = 0


@dataclass(slots=True)
class Picture:
    """One camera frame and its number in this recording."""

    frame: Frame
    number: int
    order: int = 0
    log_ns: int = 0


class Outbox:
    """Pictures and notes in the order in which they were put; full, it drops the oldest picture or note.

    Pictures are bounded by their bytes and notes by their number, those of MAVLink and all others each for
    themselves, so that a slow disk costs pictures before it costs tracks. Any thread may put, one takes.
    """

    def __init__(self, picture_bytes: int) -> None:
        self._room = picture_bytes
        self._pictures: deque[Picture] = deque()
        self._notes: deque[Note] = deque()
        self._link_notes: deque[Note] = deque()
        self._bytes = 0
        self._order = 0
        self._wake = threading.Condition()
        self._waiting = False
        self.closed = False
        self.dropped_pictures = 0
        self.dropped_notes = 0
        self.dropped_link_notes = 0

    def put(self, *items: Note | Picture) -> None:
        """Takes in items that belong together; they get the same time. Ignored after `close`."""
        with self._wake:
            if self.closed:
                return
            now_ns = time.monotonic_ns()  # under the lock, or the file would not be in order of time
            for item in items:
                self._order += 1
                item.order, item.log_ns = self._order, now_ns
                if isinstance(item, Picture):
                    self._pictures.append(item)
                    self._bytes += item.frame.image.nbytes
                elif item.topic in _LINK_TOPICS:
                    self._link_notes.append(item)
                else:
                    self._notes.append(item)
            self._make_room()
            if self._waiting:
                self._wake.notify()

    def take(self, timeout_s: float) -> Note | Picture | None:
        """The oldest item; waits for one, and gives None when time is up or the box is closed and empty."""
        with self._wake:
            if not any(self._lanes()) and not self.closed and timeout_s > 0:
                self._waiting = True
                self._wake.wait(timeout_s)
                self._waiting = False
            oldest = min(filter(None, self._lanes()), key=lambda lane: lane[0].order, default=None)
            if oldest is None:
                return None
            item = oldest.popleft()
            if isinstance(item, Picture):
                self._bytes -= item.frame.image.nbytes
            return item

    def close(self) -> None:
        """Nothing more comes in; what is inside can still be taken."""
        with self._wake:
            self.closed = True
            self._wake.notify()

    @property
    def filling(self) -> tuple[int, int]:
        """Items and bytes of pictures inside."""
        return sum(map(len, self._lanes())), self._bytes

    def _lanes(self) -> tuple[deque[Picture], deque[Note], deque[Note]]:
        return self._pictures, self._notes, self._link_notes

    def _make_room(self) -> None:
        while self._bytes > self._room and len(self._pictures) > 1:
            self._bytes -= self._pictures.popleft().frame.image.nbytes
            self.dropped_pictures += 1
        while len(self._notes) > MOST_NOTES:
            self._notes.popleft()
            self.dropped_notes += 1
        while len(self._link_notes) > MOST_LINK_NOTES:
            self._link_notes.popleft()
            self.dropped_link_notes += 1
