"""Real senders of video in processes of their own: RTP from gst-launch, an RTSP server."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.system_gi import load_gstreamer
from edge_rgbt.errors import CameraError

WIDTH, HEIGHT, RATE_HZ = 64, 48, 30.0
_RTSP_SERVER = """
import sys
from edge_rgbt.cameras.system_gi import load_gstreamer
gst = load_gstreamer()
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, GstRtspServer
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(launch=sys.argv[2], shared=True)
server.get_mount_points().add_factory("/thermal", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def require_elements(*names: str) -> None:
    """Skips the test where GStreamer or one of its elements is not installed."""
    try:
        gst = load_gstreamer().Gst
    except CameraError as error:
        pytest.skip(str(error))
    missing = [name for name in names if gst.ElementFactory.find(name) is None]
    if missing:
        pytest.skip(
            f"GStreamer has no {', '.join(missing)}: apt install gstreamer1.0-plugins-good, -bad, -libav"
        )


def settings(pipeline: str, pixel_format: str = "GRAY8", **changes: object) -> CameraSettings:
    """A GStreamer camera that promises pictures of WIDTH x HEIGHT, patient enough for a busy machine."""
    given = {"width_px": WIDTH, "height_px": HEIGHT, "rate_hz": RATE_HZ, "name": "cam"}
    given |= {"start_timeout_ms": 20_000.0, "stall_timeout_ms": 10_000.0} | changes
    return CameraSettings(kind="gstreamer", pipeline=pipeline, pixel_format=pixel_format, **given)  # type: ignore


def live_picture(pixel_format: str, rate_hz: int = 30, more: str = "") -> str:
    """Pipeline text of a live test picture."""
    caps = f"video/x-raw,format={pixel_format},width={WIDTH},height={HEIGHT},framerate={rate_hz}/1"
    return f"videotestsrc is-live=true {more} ! {caps}"


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rtp_receiver(port: int) -> str:
    """Pipeline text that takes what `rtp_sender` sends."""
    caps = "application/x-rtp,media=video,encoding-name=JPEG,payload=26,clock-rate=90000"
    return f'udpsrc address=127.0.0.1 port={port} caps="{caps}" ! rtpjpegdepay ! jpegdec ! videoconvert'


@contextmanager
def rtp_sender(port: int) -> Iterator[subprocess.Popen[str]]:
    """Sends motion JPEG over RTP to this port of the loopback until the block ends; yields once it sends."""
    source = f"{live_picture('I420')} ! jpegenc ! rtpjpegpay ! udpsink host=127.0.0.1 port={port} sync=false"
    with _process(["gst-launch-1.0", *source.split()], "PLAYING") as process:
        yield process


@contextmanager
def rtsp_server(port: int) -> Iterator[subprocess.Popen[str]]:
    """Serves H.264 as rtsp://127.0.0.1:PORT/thermal until the block ends; skips where it is not installed."""
    launch = (
        f"( {live_picture('I420')} ! openh264enc complexity=low ! rtph264pay name=pay0 config-interval=1 )"
    )
    with _process([sys.executable, "-c", _RTSP_SERVER, str(port), launch], "ready") as process:
        yield process


@contextmanager
def _process(command: list[str], word: str) -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=root)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if word in line:
                break
        else:
            pytest.skip(f"{command[0]} does not run here: {''.join(said)[-300:]}")
        yield process
    finally:
        process.kill()
        process.communicate()
