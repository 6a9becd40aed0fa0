"""Keeps a camera delivering: one that stalls or fails is closed and opened again, for as long as it takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from edge_rgbt.cameras.base import Camera
from edge_rgbt.errors import CameraError, CameraStalledError, SequenceError
from edge_rgbt.types import Frame

_log = logging.getLogger(__name__)
# With the last, a camera that comes back waits half a second at most until somebody asks for it again.
_PAUSES_S = (0.1, 0.2, 0.4, 0.5)
_MOST_DAMAGED_IN_A_ROW = 100


@dataclass(slots=True)
class FeedCounters:
    """What became of one camera so far. Written by its own thread only; others may read at any time.

    frames: handed over. opened: how often it could be opened. failed: how often it could not, or broke off.
    stalled: how often it delivered nothing in time. damaged: pictures of a recording that cannot be read.
    """

    frames: int = 0
    opened: int = 0
    failed: int = 0
    stalled: int = 0
    damaged: int = 0


class CameraFeed:
    """One camera's frames over all its faults. `frames` runs in the camera's own thread.

    stop: ends `frames` from any thread, within the camera's start and stall timeout.
    """

    def __init__(self, camera: Camera, stop: threading.Event) -> None:
        self.camera = camera
        self.counters = FeedCounters()
        self.live = False  # open, and a frame has come since
        self.fault = ""  # the last error's line; empty while frames come
        self._stop = stop
        self._failures = 0  # in a row

    def frames(self) -> Iterator[Frame]:
        """The camera's frames until `stop` is set or a recording ends.

        Opens the camera if it is not open, and closes it at the end. Raises SequenceError if a recording is
        not there or gives nothing but damage; other errors are logged, counted and answered by opening again.
        """
        try:
            while not self._stop.is_set():
                try:
                    yield from self._one_opening()
                    return
                except CameraError as error:
                    if self._stop.is_set():
                        return
                    self._note(error)
                    self.camera.close()
                    self._stop.wait(_PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1])
        finally:
            self.live = False
            self.camera.close()

    def _one_opening(self) -> Iterator[Frame]:
        """Frames until the end; CameraError when the camera must be opened again."""
        self.camera.open()
        self.counters.opened += 1
        damaged = 0
        while not self._stop.is_set():
            try:
                frame = self.camera.read()
            except SequenceError as error:
                damaged += 1
                self.counters.damaged += 1
                if damaged > _MOST_DAMAGED_IN_A_ROW:
                    raise
                if damaged == 1:
                    _log.warning("%s", error)
                continue
            if frame is None:
                return
            if not self.live:
                _log.info("camera %s delivers %dx%d %s, times from %s", self.camera.name, frame.width,
                    frame.height, frame.pixel_format.value, frame.time_source.value)  # fmt: skip
                self.live, self.fault, self._failures = True, "", 0
            damaged = 0
            self.counters.frames += 1
            yield frame

    def _note(self, error: CameraError) -> None:
        """Counts and logs; a camera that stays away is not logged at every attempt."""
        if isinstance(error, CameraStalledError):
            self.counters.stalled += 1
        else:
            self.counters.failed += 1
        self._failures += 1
        if self.live or str(error) != self.fault:
            _log.warning("%s", error)
        self.live, self.fault = False, str(error)
