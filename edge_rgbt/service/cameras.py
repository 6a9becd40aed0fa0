"""Both cameras of the service, each read by a thread of its own into the inbox."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.feed import CameraFeed
from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.health.record import CameraNumbers
from edge_rgbt.service.inbox import Inbox
from edge_rgbt.service.settings import Cameras
from edge_rgbt.types import Modality

if TYPE_CHECKING:
    from edge_rgbt.cameras.flight_process import MakePoses

LOG = logging.getLogger(__name__)
MakeCamera = Callable[[CameraSettings, Modality, Playback], Camera]
_JOIN_S = 5.0
_AFTER_CRASH_S = 0.5


class CameraThreads:
    """Starts both at once; a camera that is not there is asked for again for as long as the service runs.

    make: what makes a camera of its settings, without opening it. vehicle: carries simulator cameras.
    """

    def __init__(
        self,
        cameras: Cameras,
        inbox: Inbox,
        make: MakeCamera = make_camera,
        vehicle: MakePoses | None = None,
    ) -> None:
        settings = cameras.by_modality()
        self._inbox = inbox
        self._stop = threading.Event()
        self.playback = Playback(settings, vehicle)
        self.feeds = {
            modality: CameraFeed(make(camera, modality, self.playback), self._stop)
            for modality, camera in settings.items()
        }
        self._faults: dict[Modality, EdgeRgbtError] = {}  # why a camera has ended, if not by its end
        self._crashed = dict.fromkeys(settings, 0)
        self._crash_told: set[str] = set()
        self._newest: dict[Modality, int] = {}  # when the last frame came
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
        self.playback.close()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def require_possible(self) -> None:
        """Raises what ended a camera that never gave a frame: no waiting will bring it."""
        for modality, error in list(self._faults.items()):
            if not self.feeds[modality].counters.frames:
                raise error

    def counters(self, modality: Modality) -> dict[str, int]:
        """The feed's, and crashed: how often the driver failed in a way that it should not."""
        return {**asdict(self.feeds[modality].counters), "crashed": self._crashed[modality]}

    def numbers(self, others: Mapping[Modality, Mapping[str, int]]) -> dict[str, CameraNumbers]:
        """For the health record. others: what else is counted of each camera."""
        now_ns = time.monotonic_ns()
        found = {}
        for modality in self.feeds:
            newest = self._newest.get(modality)
            since_ns = self._began_ns if newest is None else newest
            counters = {**self.counters(modality), **others[modality]}
            frames = counters.pop("frames")
            age_ms = max(0.0, (now_ns - since_ns) / 1e6)
            found[modality.value] = CameraNumbers(frames, round(age_ms, 1), counters)
        return found

    def _read(self, modality: Modality) -> None:
        try:
            while not self._stop.is_set():
                try:
                    for frame in self.feeds[modality].frames():
                        self._newest[modality] = time.monotonic_ns()
                        self._inbox.put(frame)
                    return
                except EdgeRgbtError as error:
                    self._faults[modality] = error
                    LOG.error("%s camera: %s", modality.value, error)
                    return
                except Exception as error:
                    self._note_crash(modality, error)
                    self._stop.wait(_AFTER_CRASH_S)
        finally:
            self._inbox.end(modality)

    def _note_crash(self, modality: Modality, error: Exception) -> None:
        """A driver's own mistake must not end the flight: it is asked again like a camera that broke off."""
        self._crashed[modality] += 1
        kind = f"{modality.value} camera: its driver failed ({type(error).__name__})"
        if kind not in self._crash_told:
            self._crash_told.add(kind)
            LOG.exception("%s and is asked again from now on where it does", kind)
