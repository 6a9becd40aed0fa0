"""A stream from the drone as JPEG pictures for a browser, newest first come.

PyAV reads RTSP without a package of the system, so that the console needs nothing but pip.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import cv2

from edge_rgbt.errors import EdgeRgbtError

try:
    import av
    from av.error import FFmpegError
except ImportError as missing:  # the extra is optional, the sentence is not
    raise EdgeRgbtError(
        "the console needs PyAV, which is not installed: pip install 'edge-rgbt[gcs]'"
    ) from missing

LOG = logging.getLogger(__name__)
RETRY_S = (0.5, 1.0, 2.0)
_OPEN_TIMEOUT_S, _READ_TIMEOUT_S = 15.0, 5.0
_JPEG_QUALITY = 80
_OPTIONS = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay", "max_delay": "0"}
# What the stream is, its description says; to look at pictures for seconds first would only delay them.
_OPTIONS |= {"analyzeduration": "500000", "probesize": "100000"}


class VideoReader:
    """Keeps one RTSP stream open and its newest picture at hand; both end at `close`.

    Pictures are always decoded, so that the newest is new, and turned into JPEG only while somebody looks.
    """

    def __init__(self, name: str, uri: str) -> None:
        self.name, self.uri = name, uri
        self.problem = "connecting"
        self.pictures = 0
        self._frame: Any = None
        self._arrived_s = 0.0
        self._number = 0
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._fresh = threading.Condition()
        self._encoding = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"video-{name}", daemon=True)
        self._thread.start()

    @property
    def age_s(self) -> float | None:
        """Since the newest picture came; None before the first."""
        return time.monotonic() - self._arrived_s if self._number else None

    def newer_than(self, number: int, timeout_s: float) -> tuple[int, bytes] | None:
        """The newest picture's number and JPEG if it is newer than `number`; None after the time limit."""
        with self._fresh:
            if not self._fresh.wait_for(lambda: self._number > number or self._closing, timeout_s):
                return None
            if self._closing or self._frame is None:
                return None
            number, frame = self._number, self._frame
        with self._encoding:  # several browsers share one JPEG
            if self._jpeg[0] != number:
                image = frame.to_ndarray(format="bgr24")
                done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
                self._jpeg = number, data.tobytes() if done else b""
            return self._jpeg

    @property
    def closed(self) -> bool:
        return self._closing

    def close(self) -> None:
        with self._fresh:
            self._closing = True
            self._fresh.notify_all()

    def _run(self) -> None:
        failures = 0
        while not self._closing:
            try:
                self._read()
                failures = 0
            except (FFmpegError, OSError, ValueError, IndexError) as error:
                text = getattr(error, "strerror", None) or str(error)
                if text != self.problem:
                    LOG.warning("video %s: %s: %s; trying again", self.name, self.uri, text)
                self.problem = text
                with self._fresh:
                    self._fresh.wait_for(lambda: self._closing, RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    def _read(self) -> None:
        with av.open(self.uri, options=_OPTIONS, timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # threads over frames would hold some back
            for frame in container.decode(stream):
                self.problem = ""
                with self._fresh:
                    if self._closing:
                        return
                    self._frame, self._arrived_s = frame, time.monotonic()
                    self._number += 1
                    self.pictures += 1
                    self._fresh.notify_all()
        self.problem = "the stream ended"
