"""Recordings as cameras with their original timing: folders of pictures with a time file, video files."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.files import FolderCamera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.video import VideoCamera
from edge_rgbt.types import Frame, Modality

_RATE_HZ = 30.0
# Pictures that the reader of a slow disk or decoder leaves out in a row, to be up to date again.
_MOST_SKIPPED = 10


def make(settings: CameraSettings, modality: Modality, playback: Playback) -> Camera:
    """The kind's entry in `kinds.KINDS`: a video file where `path` is a file, else a folder."""
    path = Path(settings.path or "")
    if path.is_file():
        camera: Camera = VideoCamera(path, modality)
    else:
        camera = FolderCamera(path, modality, settings.rate_hz or _RATE_HZ, timestamps=settings.timestamps)
    return camera if settings.paced is False else PacedCamera(camera, playback)


class PacedCamera(Camera):
    """Plays a recording at its own speed on this computer's monotonic clock.

    As with a live camera, what nobody fetched before the next picture was due is left out.
    """

    def __init__(self, recording: Camera, playback: Playback) -> None:
        self.modality, self.name = recording.modality, recording.name
        self._recording = recording
        self._playback = playback
        self._next: Frame | None = None
        self._offset_ns: int | None = None

    def open(self) -> None:
        self._recording.open()
        self._next, self._offset_ns = None, None

    def read(self) -> Frame | None:
        """The picture that is due now, or the next one when it is; blocks as long as the recording paused."""
        frame = self._take()
        if frame is None:
            return None
        if self._offset_ns is None:
            self._offset_ns = self._playback.offset_ns(frame.timestamp_ns, self.name)
        for _ in range(_MOST_SKIPPED):
            self._next = frame  # in case that the picture after it is damaged
            self._next = self._recording.read()
            if self._next is None or self._due_in_ns(self._next) > 0:
                break
            frame = self._next
        else:
            self._next = None
        wait_ns = self._due_in_ns(frame)
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        return dataclasses.replace(frame, timestamp_ns=frame.timestamp_ns + self._offset_ns)

    def close(self) -> None:
        self._recording.close()
        self._next = None

    def _take(self) -> Frame | None:
        frame, self._next = self._next, None
        return frame if frame is not None else self._recording.read()

    def _due_in_ns(self, frame: Frame) -> int:
        return frame.timestamp_ns + (self._offset_ns or 0) - time.monotonic_ns()
