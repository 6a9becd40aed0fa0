"""The real service in a process of its own, on GStreamer's moving ball, for ground stations to speak to."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_rgbt.cameras.system_gi import load_gstreamer, load_rtsp_server
from edge_rgbt.errors import EdgeRgbtError

SIZE = (320, 240)


def ball_cameras(rgb_hz: int, tir_hz: int, tir_size: tuple[int, int] = SIZE) -> str:
    """The tables of two GStreamer cameras that see the same moving ball, in colour and in 16 bits."""
    seen = (("rgb", "BGR", "BGR", SIZE, rgb_hz), ("tir", "GRAY16", "GRAY16_LE", tir_size, tir_hz))
    return "".join(
        f'''
[cameras.{name}]
kind = "gstreamer"
pipeline = """videotestsrc is-live=true pattern=ball !
    video/x-raw,format={caps},width={width},height={height},framerate={rate_hz}/1"""
pixel_format = "{pixels}"
width_px = {width}
height_px = {height}
rate_hz = {rate_hz}
'''
        for name, pixels, caps, (width, height), rate_hz in seen
    )


_REST = """
[pairing]
tolerance_ms = 60

[mavlink]
url = ["udpout:127.0.0.1:{port}"]
sysid = {system}
companion = true

[video]
listen = "127.0.0.1:{video}"

[[stream]]
name = "RGB"
size_px = [320, 240]
rate_hz = 15

[[stream]]
name = "Thermal"
source = "thermal"
size_px = [320, 240]
rate_hz = 15
"""


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def flown(folder: Path, port: int, system: int = 1, more: str = "") -> Iterator[subprocess.Popen[str]]:
    """A service that speaks to `port`; its log lies in `folder`/service.log. Skips without GStreamer."""
    try:
        load_gstreamer()
        load_rtsp_server()
    except EdgeRgbtError as missing:
        pytest.skip(str(missing))
    path = folder / "service.toml"
    video = free_port(socket.SOCK_STREAM)
    path.write_text(ball_cameras(15, 15) + _REST.format(port=port, system=system, video=video) + more)
    call = [sys.executable, "-m", "edge_rgbt", "run", "--config", str(path), "--seconds", "200"]
    with (folder / "service.log").open("w") as log:
        process = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what, timeout_s: float = 60.0):
    """The first true answer of `what`; fails after the time limit."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {timeout_s:g} s")
