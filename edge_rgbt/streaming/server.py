"""The RTSP server: every stream is encoded once, whoever watches, and not at all while nobody does.

The frame loop only leaves the newest moment here (`offer`). A thread draws and feeds the encoders,
GStreamer encodes and sends; a client that stalls loses packets and holds nobody up.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edge_rgbt.cameras.system_gi import load_gstreamer, load_rtsp_server
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.outputs.overlay import draw_chip
from edge_rgbt.streaming.encoder import choose_encoder
from edge_rgbt.streaming.pictures import Shown, StreamPictures
from edge_rgbt.streaming.settings import StreamSettings, VideoSettings

LOG = logging.getLogger(__name__)
_SILENT_S = 0.5  # without a new picture for so long, the ground is told
_STALLED_NS = 2_000_000_000
_QUEUED = 2  # pictures that may wait for an encoder; older ones are dropped
_CLEAN_UP_S = 2
_STOP_S = 2.0


@dataclass
class StreamCounters:
    """pictures: given to the encoder. dropped: taken by no encoder in time. faults: could not be drawn."""

    pictures: int = 0
    dropped: int = 0
    faults: int = 0


class VideoServer:
    """Serves the streams from `start` to `close`. `offer` may be called by one thread, at any rate."""

    def __init__(self, settings: VideoSettings, streams: tuple[StreamSettings, ...]) -> None:
        """Raises UsageError for streams that share a name or a path."""
        for what, values in (("name", [s.name for s in streams]), ("path", [s.mount for s in streams])):
            twice = sorted({v for v in values if values.count(v) > 1})
            if twice:
                raise UsageError(f"two streams have the {what} {twice[0]!r}; each needs one of its own")
        self.settings = settings
        self._outlets = [_Outlet(stream) for stream in streams]
        self._newest: Shown | None = None
        self._wake = threading.Condition()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._loop: Any = None
        self._server: Any = None
        self._clients = 0
        self.encoder = ""

    def start(self) -> None:
        """Binds the port. Raises UsageError or EdgeRgbtError: port in use, no encoder, package missing."""
        gst, rtsp = load_gstreamer(), load_rtsp_server()
        encoder = choose_encoder(gst, self.settings.encoder)
        self.encoder = encoder.element
        assert self.settings.address_and_port is not None
        host, port = self.settings.address_and_port
        server = rtsp.RTSPServer.new()
        server.set_address(host)
        server.set_service(str(port))
        # Clients are limited by their sessions: Python cannot answer a client's own signals, whose argument
        # PyGObject frees although it lies on GStreamer's stack.
        server.get_session_pool().set_max_sessions(self.settings.max_clients)
        server.connect("client-connected", self._client_connected)
        for outlet in self._outlets:
            factory = rtsp.RTSPMediaFactory.new()
            factory.set_launch(
                outlet.launch(encoder.launch(outlet.stream.bitrate_kbps, outlet.stream.rate_hz))
            )
            factory.set_shared(True)
            factory.set_latency(0)
            factory.connect("media-configure", outlet.configure, gst)
            server.get_mount_points().add_factory(outlet.stream.mount, factory)
        context = gst.GLib.MainContext.new()
        if not server.attach(context):
            raise UsageError(
                f"video.listen: {self.settings.listen} cannot be bound; is another program using the port?"
            )
        self._loop = gst.GLib.MainLoop.new(context, False)
        clean = gst.GLib.timeout_source_new_seconds(_CLEAN_UP_S)
        clean.set_callback(lambda *_: server.get_session_pool().cleanup() is not None)
        clean.attach(context)
        self._server, self._clean = server, clean
        for name, work in (("video-rtsp", self._loop.run), ("video-pictures", self._feed)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        LOG.info(
            "video: %s with %s on %s",
            ", ".join(o.stream.mount for o in self._outlets), self.encoder, self.settings.listen,
        )  # fmt: skip

    def offer(self, shown: Shown) -> None:
        """Leaves a moment for the ground; never waits. One that was not drawn yet is replaced."""
        with self._wake:
            self._newest = shown
            self._wake.notify()

    @property
    def streams(self) -> tuple[StreamSettings, ...]:
        return tuple(outlet.stream for outlet in self._outlets)

    @property
    def clients(self) -> int:
        """Open RTSP connections."""
        return self._clients

    def counters(self) -> dict[str, StreamCounters]:
        return {outlet.stream.name: outlet.counters for outlet in self._outlets}

    def running(self, name: str) -> bool:
        """False while this stream's encoder takes no pictures although somebody watches (R-VS-3)."""
        return any(o.stream.name == name and not o.stalled for o in self._outlets) and bool(self._threads)

    def close(self) -> None:
        """Ends all streams within bounded time; may be called twice."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._loop is not None:
            self._server.client_filter(lambda *_: _REMOVE)
            self._clean.destroy()
            self._loop.quit()
        for thread in self._threads:
            thread.join(_STOP_S)
        self._threads, self._loop, self._server = [], None, None

    def _client_connected(self, _server: Any, client: Any) -> None:
        self._clients += 1
        client.connect("closed", self._client_closed)

    def _client_closed(self, _client: Any) -> None:
        self._clients -= 1

    def _feed(self) -> None:
        pictures, last_s = StreamPictures(), time.monotonic()
        while True:
            with self._wake:
                if self._newest is None and not self._closing:
                    self._wake.wait(_SILENT_S)
                if self._closing:
                    return
                shown, self._newest = self._newest, None
            if shown is not None:
                last_s = time.monotonic()
            for outlet in self._outlets:
                if not outlet.watched:
                    continue
                if shown is None:
                    outlet.push(_card(outlet.stream, time.monotonic() - last_s), time.monotonic_ns())
                elif outlet.due(shown.pair.timestamp_ns):
                    outlet.show(pictures, shown)


_REMOVE = 0  # GstRtspServer.RTSPFilterResult.REMOVE


class _Outlet:
    """One stream's way into its encoder."""

    def __init__(self, stream: StreamSettings) -> None:
        self.stream = stream
        self.counters = StreamCounters()
        self._period_ns = 1e9 / stream.rate_hz
        self._next_ns = 0.0
        self._full_since_ns: int | None = None
        self._fault = ""
        self._gst: Any = None
        self._source: Any = None  # the encoder's mouth while somebody watches

    def launch(self, encoder: str) -> str:
        width, height = self.stream.size_px
        rate = round(self.stream.rate_hz * 1000)
        return (
            f"( appsrc name=source is-live=true format=time block=false max-buffers={_QUEUED} "
            f"leaky-type=downstream caps=video/x-raw,format=I420,width={width},height={height},"
            f"framerate={rate}/1000,colorimetry=bt601 ! {encoder} ! "
            "h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
        )

    def configure(self, _factory: Any, media: Any, gst: Any) -> None:
        """GStreamer made the pipeline for the first client. Called in one of its threads."""
        source = media.get_element().get_child_by_name("source")
        media.connect("unprepared", self._ended, source)
        self._gst, self._source = gst, source

    def _ended(self, _media: Any, source: Any) -> None:
        # The end of one pipeline may be told after the beginning of the next.
        if self._source is source:
            self._source = self._full_since_ns = None

    @property
    def watched(self) -> bool:
        return self._source is not None

    @property
    def stalled(self) -> bool:
        since = self._full_since_ns
        return since is not None and time.monotonic_ns() - since > _STALLED_NS

    def due(self, timestamp_ns: int) -> bool:
        """Thins frames to the stream's rate in steps of its period, so that 30 Hz become 20 and not 15."""
        early_ns = self._next_ns - timestamp_ns
        if 0.2 * self._period_ns < early_ns < 2 * self._period_ns:
            return False
        on_time = abs(early_ns) < self._period_ns
        self._next_ns = (self._next_ns if on_time else timestamp_ns) + self._period_ns
        return True

    def show(self, pictures: StreamPictures, shown: Shown) -> None:
        try:
            picture = pictures.draw(shown, self.stream)
        except (EdgeRgbtError, ValueError, cv2.error) as error:
            self.counters.faults += 1
            if str(error) != self._fault:
                self._fault = str(error)
                LOG.warning("stream %s: picture not drawn: %s", self.stream.name, self._fault)
            return
        self.push(picture, shown.pair.timestamp_ns)

    def push(self, picture: np.ndarray, timestamp_ns: int) -> None:
        """Hands over a picture with its time of capture, which players get as RTP time."""
        source, gst = self._source, self._gst
        # GStreamer's clock is CLOCK_MONOTONIC, as ours is. A pipeline that does not play yet has no
        # beginning, and a first picture stamped without it would be shown hours later.
        if source is None or not (begun_ns := source.get_base_time()):
            return
        planes: Any = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
        buffer = gst.Gst.Buffer.new_wrapped(planes.tobytes())
        buffer.pts = max(timestamp_ns - begun_ns, 0)
        level = source.get_property("current-level-buffers")
        if level < _QUEUED:
            self._full_since_ns = None
        else:
            self.counters.dropped += 1
            self._full_since_ns = self._full_since_ns or time.monotonic_ns()
        source.emit("push-buffer", buffer)
        self.counters.pictures += 1


def _card(stream: StreamSettings, silent_s: float) -> np.ndarray:
    """Instead of a picture that looks live and is not."""
    width, height = stream.size_px
    card = np.full((height, width, 3), 24, np.uint8)
    draw_chip(card, f"NO PICTURE FOR {silent_s:.0f} s", width / 640)
    return card
