"""Both cameras of the service, each read by a thread of its own into the inbox."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict

from edge_rgbt.cameras.feed import CameraFeed
from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.health.record import CameraNumbers
from edge_rgbt.service.inbox import Inbox
from edge_rgbt.service.settings import Cameras
from edge_rgbt.types import Frame, Modality

LOG = logging.getLogger(__name__)
_JOIN_S = 5.0


class CameraThreads:
    """Starts both at once; a camera that is not there is asked for again for as long as the service runs."""

    def __init__(self, cameras: Cameras, inbox: Inbox) -> None:
        settings = cameras.by_modality()
        self._inbox = inbox
        self._stop = threading.Event()
        self.playback = Playback(settings)
        self.feeds = {
            modality: CameraFeed(make_camera(camera, modality, self.playback), self._stop)
            for modality, camera in settings.items()
        }
        self._newest: dict[Modality, Frame] = {}
        self._began_ns = time.monotonic_ns()
        self._threads = [
            threading.Thread(
                target=self._read, args=(modality,), name=f"camera-{modality.value}", daemon=True
            )
            for modality in settings
        ]

    def start(self) -> None:
        self._began_ns = time.monotonic_ns()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends both; a driver that hangs is left behind after a while."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def numbers(self) -> dict[str, CameraNumbers]:
        """For the health record."""
        now_ns = time.monotonic_ns()
        found = {}
        for modality, feed in self.feeds.items():
            newest = self._newest.get(modality)
            since_ns = self._began_ns if newest is None else newest.timestamp_ns
            counters = asdict(feed.counters)
            frames = counters.pop("frames")
            age_ms = max(0.0, (now_ns - since_ns) / 1e6)
            found[modality.value] = CameraNumbers(frames, round(age_ms, 1), counters)
        return found

    def _read(self, modality: Modality) -> None:
        try:
            for frame in self.feeds[modality].frames():
                self._newest[modality] = frame
                self._inbox.put(frame)
        except EdgeRgbtError as error:
            LOG.error("%s camera: %s", modality.value, error)
        finally:
            self._inbox.end(modality)
