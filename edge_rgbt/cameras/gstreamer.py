"""Any GStreamer pipeline as a camera: CSI (nvarguscamerasrc), USB (v4l2src), network (rtspsrc, udpsrc).

What is particular to nvarguscamerasrc and nvvidconv was not yet run on a device.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.planes import picture
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.system_gi import GStreamer, load_gstreamer
from edge_rgbt.errors import CameraError, CameraStalledError
from edge_rgbt.types import Frame, Modality, PixelFormat, TimeSource

_log = logging.getLogger(__name__)
_CAPS_FORMAT = {
    PixelFormat.RGB: "RGB",
    PixelFormat.BGR: "BGR",
    PixelFormat.NV12: "NV12",
    PixelFormat.YUYV: "YUY2",
    PixelFormat.GRAY8: "GRAY8",
    PixelFormat.GRAY16: "GRAY16_LE",
}
_POLL_S = 0.05  # how soon an error of the pipeline is noticed while no frame comes
_SLOW_JITTER_BUFFER_MS = 200
_STOP_S = 2.0  # how long a pipeline may take to end before it is left to itself
_REMEMBERED = 32  # buffers that may pass between a frame's arrival and its hand-over


def make(settings: CameraSettings, modality: Modality, playback: Playback) -> Camera:
    """The kind's entry in `kinds.KINDS`."""
    return GStreamerCamera(settings, modality)


class GStreamerCamera(Camera):
    """Runs the pipeline of the settings and takes the newest frame from its appsink.

    Times are the buffers' presentation times brought to CLOCK_MONOTONIC; network sources stamp at arrival.
    `sequence` counts what reached the appsink: frames lost before it show in the times only.
    """

    def __init__(self, settings: CameraSettings, modality: Modality) -> None:
        self.modality = modality
        self.name = settings.name or f"gstreamer-{modality.value}"
        self._settings = settings
        self._stream: _Stream | None = None
        self._ending: threading.Thread | None = None  # ends the last pipeline, in vain where a driver hangs
        self._first: Any = None  # the sample that proved the stream good, until a newer one is there

    def open(self) -> None:
        self.close()
        if self._ending is not None and self._ending.is_alive():
            raise CameraError(
                f"camera {self.name}: its last pipeline hangs and does not end; if that lasts, restart the "
                "camera's service (nvargus-daemon) or plug the camera in again"
            )
        stream = _Stream(load_gstreamer(), self._settings, self.name)
        try:
            stream.start(self._settings.start_timeout_s)
            self._first = stream.wait(self._settings.start_timeout_s)
            if self._first is None:
                raise CameraError(
                    f"camera {self.name}: no frame within {self._settings.start_timeout_s:g} s of starting "
                    "the pipeline; is the camera connected and sending?"
                )
            stream.image(self._first)
            stream.inspect()
        except BaseException:
            self._first, self._ending = None, stream.stop()
            raise
        self._stream = stream

    def read(self) -> Frame | None:
        """The newest frame; blocks for `stall_timeout_ms` at most."""
        stream = self._stream
        if stream is None:
            raise CameraError(f"camera {self.name} is not open")
        sample, first, self._first = stream.wait(0.0), self._first, None
        if sample is None:
            sample = first if first is not None else stream.wait(self._settings.stall_timeout_s)
        if sample is None:
            raise CameraStalledError(
                f"camera {self.name}: no frame for {self._settings.stall_timeout_s * 1e3:g} ms"
            )
        sequence, stamp_ns, source = stream.timing(sample)
        return Frame(
            stream.image(sample),
            self.modality,
            stamp_ns + self._settings.capture_offset_ns,
            sequence,
            self.name,
            self._settings.promised,
            source,
            self._settings.uncertainty_ns(source),
        )

    def close(self) -> None:
        stream, self._stream, self._first = self._stream, None, None
        if stream is not None:
            self._ending = stream.stop()


class _Stream:
    """One running pipeline."""

    def __init__(self, gst: GStreamer, settings: CameraSettings, name: str) -> None:
        self._gst = gst
        self._settings = settings
        self._name = name
        self._pipeline = self._parse(settings.pipeline or "")
        self._sink = self._only_appsink()
        self._probe = 0
        self._hangs = False
        self._bus = self._pipeline.get_bus()
        self._source = TimeSource.DRIVER
        self._caps: Any = None
        self._video: tuple[int, int, list[int], list[int]] = (0, 0, [], [])  # size, strides, offsets
        self._arrived = 0
        # presentation time, number, arrival: appsink does not tell which of the buffers a sample is
        self._arrivals: deque[tuple[int, int, int]] = deque(maxlen=_REMEMBERED)

    def _parse(self, text: str) -> Any:
        if not re.search(r"\bappsink\b", text):
            text = f"{text} ! appsink"
        try:
            pipeline = self._gst.Gst.parse_launch(text)
        except self._gst.GLib.Error as error:
            fault = _one_line(error.message)
            raise CameraError(
                f"camera {self._name}: mistake in the pipeline: {fault}; gst-launch-1.0 tries it"
            ) from None
        if not isinstance(pipeline, self._gst.Gst.Pipeline):
            raise CameraError(f"camera {self._name}: the pipeline has no source before its appsink")
        return pipeline

    def _only_appsink(self) -> Any:
        sinks = [e for e in self._elements() if _factory(e) == "appsink"]
        if len(sinks) != 1:
            raise CameraError(f"camera {self._name}: the pipeline has {len(sinks)} appsinks, expected one")
        s = self._settings
        caps = f"video/x-raw,format={_CAPS_FORMAT[s.promised]},width={s.width_px},height={s.height_px}"
        (sink,) = sinks
        for key, value in (
            ("caps", self._gst.Gst.Caps.from_string(caps)),
            ("drop", True),
            ("max-buffers", 1),
            ("sync", False),
            ("emit-signals", False),
        ):
            sink.set_property(key, value)
        return sink

    def _elements(self) -> Iterator[Any]:
        """Every element, those inside bins too."""
        found = self._pipeline.iterate_recurse()
        while True:
            result, element = found.next()
            if result == self._gst.Gst.IteratorResult.OK:
                yield element
            elif result == self._gst.Gst.IteratorResult.RESYNC:
                found.resync()
            else:
                return

    def _note_arrival(self, pad: Any, info: Any) -> Any:
        """Called in GStreamer's thread for every buffer, before a newer one can push it out of the sink."""
        self._arrivals.append((info.get_buffer().pts, self._arrived, time.monotonic_ns()))
        self._arrived += 1
        return self._gst.Gst.PadProbeReturn.OK

    def start(self, timeout_s: float) -> None:
        """Sets the pipeline going on the monotonic clock; raises CameraError if it refuses or hangs."""
        gst = self._gst.Gst
        pad = self._sink.get_static_pad("sink")
        self._probe = pad.add_probe(gst.PadProbeType.BUFFER, self._note_arrival)
        self._pipeline.use_clock(gst.SystemClock.obtain())
        answers: list[Any] = []
        # In a thread, as every change of state: where a driver hangs, it hangs in there.
        starting = self._aside(lambda: answers.append(self._pipeline.set_state(gst.State.PLAYING)))
        starting.join(timeout_s)
        if not answers:
            self._hangs = True
            raise CameraError(f"camera {self._name}: the pipeline hangs in its start, after {timeout_s:g} s")
        if answers[0] == gst.StateChangeReturn.FAILURE:
            self._raise_failure()
            raise CameraError(f"camera {self._name}: the pipeline does not start; try it with gst-launch-1.0")

    def stop(self) -> threading.Thread:
        """Ends the pipeline for good; the thread that is alive if that takes longer than it may."""
        ending = self._aside(self._end)
        ending.join(0.0 if self._hangs else _STOP_S)
        if ending.is_alive():
            _log.warning("camera %s: the pipeline hangs and does not end", self._name)
        return ending

    def _end(self) -> None:
        self._pipeline.set_state(self._gst.Gst.State.NULL)
        if self._probe:  # which holds this object, and so everything, in memory
            self._sink.get_static_pad("sink").remove_probe(self._probe)
            self._probe = 0
        self._bus.set_flushing(True)

    def _aside(self, work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=work, name=f"gstreamer-{self._name}", daemon=True)
        thread.start()
        return thread

    def wait(self, timeout_s: float) -> Any:
        """The newest sample that was not fetched yet, or None. Raises CameraError if the pipeline failed."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._raise_failure()
            left_s = max(0.0, min(_POLL_S, deadline - time.monotonic()))
            sample = self._sink.try_pull_sample(round(left_s * 1e9))
            if sample is not None:
                return sample
            if time.monotonic() >= deadline:
                self._raise_failure()
                return None

    def _raise_failure(self) -> None:
        """Looks at what the pipeline reports; whatever else is on its bus is thrown away."""
        kinds = self._gst.Gst.MessageType
        message = self._bus.timed_pop_filtered(0, kinds.ERROR | kinds.EOS)
        if message is None:
            return
        if message.type == kinds.EOS:
            raise CameraError(f"camera {self._name}: the stream has ended")
        error, debug = message.parse_error()
        where = message.src.get_name() if message.src is not None else "pipeline"
        if "not-negotiated" in (debug or "") or "not-negotiated" in str(error):
            raise CameraError(self._other_format(where))
        detail = _one_line(debug or "").rpartition(": ")[2]
        text = _one_line(error.message)
        raise CameraError(f"camera {self._name}: {where}: {text}" + (f" ({detail})" if detail else ""))

    def _other_format(self, refused_by: str) -> str:
        """The line for a format that does not fit, with the one that came or could come to the appsink."""
        promised = self._sink.get_property("caps")
        peer = self._sink.get_static_pad("sink").get_peer()
        found = [] if peer is None else [peer.get_current_caps(), peer.query_caps(None)]
        unfit = [c for c in found if c is not None and c.get_size() and not c.is_subset(promised)]
        said = _short_caps(promised.get_structure(0).to_string())
        text = f"{refused_by} cannot deliver {said}, which the configuration promises"
        if unfit:
            delivered = _short_caps(unfit[0].get_structure(0).to_string())
            text = f"the pipeline delivers {delivered} where the configuration promises {said}"
        return (
            f"camera {self._name}: {text}; correct one of them, or convert with `! videoconvert ! videoscale`"
        )

    def inspect(self) -> None:
        """Finds out, once the stream runs, who takes its times; warns of a source that may wait."""
        given = self._settings.time_source
        for element in self._elements():
            factory = element.get_factory()
            if "Source/Network" in (factory.get_metadata("klass") or "" if factory is not None else ""):
                self._source = TimeSource.ARRIVAL
            if _factory(element) == "rtspsrc" and element.get_property("latency") > _SLOW_JITTER_BUFFER_MS:
                _log.warning(
                    "camera %s: rtspsrc may wait %d ms for a lost packet; set latency=0 in the pipeline",
                    self._name, element.get_property("latency"),
                )  # fmt: skip
        if given is not None:
            self._source = TimeSource(given)

    def timing(self, sample: Any) -> tuple[int, int, TimeSource]:
        """Number and monotonic time of a sample, and who took it; without a usable time, its arrival's."""
        gst = self._gst.Gst
        pts = sample.get_buffer().pts
        known = next((a for a in reversed(self._arrivals) if a[0] == pts), None)
        _, number, arrival_ns = known or (pts, self._arrived - 1, time.monotonic_ns())
        if pts == gst.CLOCK_TIME_NONE:
            return number, arrival_ns, TimeSource.ARRIVAL
        running_ns = sample.get_segment().to_running_time(gst.Format.TIME, pts)
        stamp_ns = self._pipeline.get_base_time() + running_ns
        if running_ns == gst.CLOCK_TIME_NONE or stamp_ns > arrival_ns:
            return number, arrival_ns, TimeSource.ARRIVAL
        return number, stamp_ns, self._source

    def image(self, sample: Any) -> np.ndarray:
        """The sample's pixels, copied out of GStreamer's memory. Raises CameraError if they do not fit."""
        video = self._gst.GstVideo
        caps = sample.get_caps()
        if self._caps is None or not caps.is_equal(self._caps):
            info = video.VideoInfo.new_from_caps(caps)
            self._caps = caps
            self._video = (info.width, info.height, list(info.stride), list(info.offset))
        width, height, strides, offsets = self._video
        buffer = sample.get_buffer()
        meta = video.buffer_get_video_meta(buffer)
        if meta is not None:
            strides, offsets = meta.stride, meta.offset
        data = self._copied(buffer)
        try:
            return picture(data, self._settings.promised, width, height, strides, offsets)
        except CameraError as error:
            raise CameraError(f"camera {self._name}: {error}") from None

    def _copied(self, buffer: Any) -> bytes:
        """The buffer's bytes. `extract_dup` would do, but takes ten times as long (measured at 1920x1080)."""
        mapped = buffer.map(self._gst.Gst.MapFlags.READ)
        # Where Debian's python3-gst-1.0 is installed, its own `map` answers without the success flag.
        info = mapped[1] if isinstance(mapped, tuple) else mapped
        try:
            return bytes(info.data)
        finally:
            buffer.unmap(info)


def _factory(element: Any) -> str:
    factory = element.get_factory()
    return factory.get_name() if factory is not None else ""


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _short_caps(text: str) -> str:
    """`video/x-raw, format=(string)GRAY8, width=(int)64, ...` down to what a user compares."""
    _, _, rest = text.partition(",")
    kept = re.findall(r"\b(format|width|height)=(?:\([a-z]+\))?(\{[^}]*\}|\[[^]]*\]|[^,;]+)", rest)
    return " ".join(f"{key}={value.strip()}" for key, value in kept) or text
