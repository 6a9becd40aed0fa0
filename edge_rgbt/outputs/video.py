"""Annotated video: H.264 in an MP4 file that browsers play, drawn and encoded outside the timed path."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.files import atomic_path
from edge_rgbt.outputs.overlay import Overlay
from edge_rgbt.types import Box, FramePair, TrackState

try:
    import av
except ImportError as missing:  # the extra is optional, the sentence is not
    raise EdgeRgbtError(
        "video output needs PyAV, which is not installed: pip install 'edge-rgbt[report]'"
    ) from missing

TICKS_PER_S = 90_000
QUEUE_LENGTH = 16
_ENCODER_OPTIONS = {"preset": "ultrafast", "crf": "24", "tune": "zerolatency"}
_LIMITED_RANGE, _BT601 = 1, 6


class AnnotatedVideo:
    """Writes one MP4 file; frames are shown at the time of their capture, so dropped pairs leave a pause.

    `write` hands a pair to the encoder's thread and waits only while its queue (16 pairs) is full: no pair is
    left out. The file appears under its name at `close`; leaving a `with` block by an exception removes it.
    fps: the nominal rate, used where time stamps do not advance. threads: of the encoder.
    """

    def __init__(self, path: Path | str, fps: float, threads: int = 1) -> None:
        if not 0 < fps <= 1000:
            raise UsageError(f"{path}: a video of {fps} frames per second cannot be written")
        self.path = Path(path)
        self.frames = 0
        self._fps, self._threads = fps, threads
        self._queue: queue.Queue[tuple[FramePair, TrackState, Box | None] | None] = queue.Queue(QUEUE_LENGTH)
        self._error: BaseException | None = None
        self._closed = self._discard = False
        self._files = ExitStack()
        self._part = self._files.enter_context(atomic_path(self.path))
        self._thread = threading.Thread(target=self._run, name="video-encoder", daemon=True)
        self._thread.start()

    def write(self, pair: FramePair, state: TrackState, truth: Box | None = None) -> None:
        """Adds one pair. Raises EdgeRgbtError if the file cannot be written (disk full, for one)."""
        while not self._closed:
            self._raise_failure()
            try:
                self._queue.put((pair, state, truth), timeout=0.2)
                return
            except queue.Full:
                continue
        raise RuntimeError(f"{self.path} is closed")

    def close(self) -> None:
        """Finishes the file. May be called twice."""
        self._finish(None, None, None)

    def __enter__(self) -> AnnotatedVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard = kind is not None
        self._finish(kind, error, trace)

    def _finish(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue_end()
        self._thread.join()
        if kind is None and self._error is None and self.frames == 0:
            self._error = EdgeRgbtError(f"{self.path}: no frame was written, so there is no video")
        failure = self._error if kind is None else error
        if failure is None:
            self._files.close()
            return
        # The stack removes the unfinished file; an error of the disk becomes one line on the way.
        self._files.__exit__(type(failure), failure, trace)
        if kind is None:
            raise failure

    def _queue_end(self) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=0.2)
                return
            except queue.Full:
                continue

    def _raise_failure(self) -> None:
        if self._error is not None:
            self.close()

    def _run(self) -> None:
        try:
            self._encode()
        except Exception as error:  # carried to the caller's thread, whatever it is
            self._error = error
            self._drain()

    def _drain(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()

    def _encode(self) -> None:
        first = self._queue.get()
        if first is None:
            return
        pair = first[0]
        overlay = Overlay(pair.rgb.width, pair.rgb.height)
        with av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = self._open_stream(container, overlay.size)
            start_ns, last_ticks = pair.timestamp_ns, -1
            item: tuple[FramePair, TrackState, Box | None] | None = first
            while item is not None and not self._discard:
                pair, state, truth = item
                time_s = (pair.timestamp_ns - start_ns) / 1e9
                ticks = round(time_s * TICKS_PER_S)
                if ticks <= last_ticks:
                    ticks = last_ticks + round(TICKS_PER_S / self._fps)
                last_ticks = ticks
                frame = _video_frame(overlay.draw(pair, state, truth, time_s))
                frame.pts, frame.time_base = ticks, Fraction(1, TICKS_PER_S)
                container.mux(stream.encode(frame))
                self.frames += 1
                item = self._queue.get()
            container.mux(stream.encode())

    def _open_stream(self, container: Any, size: tuple[int, int]) -> Any:
        stream = container.add_stream("libx264", rate=Fraction(self._fps).limit_denominator(1001))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, TICKS_PER_S)
        codec = stream.codec_context
        codec.time_base = Fraction(1, TICKS_PER_S)
        codec.thread_count = self._threads
        codec.options = dict(_ENCODER_OPTIONS)
        # Said in the stream, or a player guesses from the picture's size and shifts the colours.
        codec.color_range, codec.colorspace = _LIMITED_RANGE, _BT601
        return stream


def _video_frame(picture: np.ndarray) -> Any:
    # OpenCV converts in a third of the time that the video library's own scaler takes.
    planes: Any = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")
