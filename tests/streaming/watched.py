"""A server on a free port, pictures with a clock in them, and clients that are the kit's own RTSP camera."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.picture_clock import draw_clock
from edge_rgbt.cameras.gstreamer import GStreamerCamera
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.streaming import Shown, StreamSettings, VideoServer, VideoSettings
from edge_rgbt.types import Frame, FramePair, Modality, TrackState

SIZE = (320, 240)
RATE_HZ = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def moment(sequence: int, state: TrackState | None = None) -> Shown:
    """A pair of this moment, its time written into both pictures; thermal is darker."""
    now_ns = time.monotonic_ns()
    rgb, tir = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8), np.full((SIZE[1], SIZE[0]), 40, np.uint8)
    draw_clock(rgb, now_ns)
    pair = FramePair(Frame(rgb, Modality.RGB, now_ns, sequence), Frame(tir, Modality.TIR, now_ns, sequence))
    return Shown(pair, state)


@contextmanager
def serving(*streams: StreamSettings, feed: bool = True, max_clients: int = 16) -> Iterator[VideoServer]:
    """A started server that is offered a moment 30 times a second."""
    server = VideoServer(VideoSettings(f"127.0.0.1:{free_port()}", max_clients=max_clients), streams)
    server.start()
    stop = threading.Event()

    def offer() -> None:
        sequence = 0
        while not stop.wait(1 / RATE_HZ):
            server.offer(moment(sequence))
            sequence += 1

    thread = threading.Thread(target=offer)
    if feed:
        thread.start()
    try:
        yield server
    finally:
        stop.set()
        if feed:
            thread.join()
        server.close()


def stream(name: str = "RGB", **given: object) -> StreamSettings:
    return StreamSettings(name, **({"size_px": SIZE, "overlay": False} | given))  # type: ignore[arg-type]


@contextmanager
def watching(server: VideoServer, mount: str, size: tuple[int, int] = SIZE) -> Iterator[GStreamerCamera]:
    """An open client over TCP that takes the newest picture."""
    uri = f"rtsp://{server.settings.listen}{mount}"
    camera = GStreamerCamera(
        CameraSettings(
            kind="gstreamer",
            name=f"client of {mount}",
            pipeline=f"rtspsrc location={uri} latency=0 protocols=tcp ! rtph264depay ! h264parse "
            "! avdec_h264 max-threads=1 ! videoconvert ! video/x-raw,format=RGB",
            pixel_format="RGB",
            width_px=size[0],
            height_px=size[1],
            rate_hz=RATE_HZ,
            start_timeout_ms=20_000.0,
            stall_timeout_ms=10_000.0,
        ),
        Modality.RGB,
    )
    camera.open()
    try:
        yield camera
    finally:
        camera.close()
