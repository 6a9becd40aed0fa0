"""What operators ask of the tracker, kept until the frame loop takes it up with its next pair."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edge_rgbt.mavlink.camera.control import Picture, Requester, StartRequest
from edge_rgbt.types import Box, FramePair


@dataclass(frozen=True, slots=True)
class Wish:
    """box: to track from now on; None: to stop. track_id: of the selection; None: of the service's own."""

    box: Box | None
    track_id: int | None = None


class Selections:
    """The tracker's side of the camera component (its `TrackControl`): notes what is asked, blocks nobody.

    A newer wish takes the place of one that was not taken up yet.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wish: Wish | None = None
        self._picture: Picture | None = None
        self.started = self.stopped = 0

    def seen(self, pair: FramePair) -> None:
        """The newest pair with a picture, from the frame loop."""
        newest_ns = max(pair.rgb.timestamp_ns, pair.tir.timestamp_ns)
        with self._lock:
            self._picture = Picture(pair.rgb.width, pair.rgb.height, newest_ns)

    def ask(self, wish: Wish) -> None:
        with self._lock:
            self._wish = wish

    def take(self) -> Wish | None:
        """The wish of the moment, once."""
        with self._lock:
            wish, self._wish = self._wish, None
        return wish

    # Called by the station.

    def picture(self) -> Picture | None:
        with self._lock:
            return self._picture

    def start(self, request: StartRequest) -> None:
        self.started += 1
        self.ask(Wish(request.box, request.track_id))

    def stop(self, requester: Requester) -> None:
        self.stopped += 1
        self.ask(Wish(None))
