"""The tracker's side of the camera for a frame loop: what was asked for waits here until the next pair."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edge_rgbt.mavlink.camera.control import Picture, Requester, StartRequest


@dataclass(frozen=True, slots=True)
class StopRequest:
    """An operator let go."""

    requester: Requester


class PendingRequest:
    """A `TrackControl` that keeps the newest request only. Neither side ever waits for the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._newest: StartRequest | StopRequest | None = None

    # The frame loop.

    def shown(self, width: int, height: int, captured_ns: int) -> None:
        """A pair came that a track could start on; monotonic time of its newer picture."""
        with self._lock:
            self._picture = Picture(width, height, captured_ns)

    def take(self) -> StartRequest | StopRequest | None:
        """What was asked for last since the last call. A selection that was stopped before is not in it."""
        with self._lock:
            newest, self._newest = self._newest, None
            return newest

    # The camera component.

    def picture(self) -> Picture | None:
        with self._lock:
            return self._picture

    def start(self, request: StartRequest) -> None:
        with self._lock:
            self._newest = request

    def stop(self, requester: Requester) -> None:
        with self._lock:
            self._newest = StopRequest(requester)
