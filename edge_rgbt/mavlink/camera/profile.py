"""What the camera says about itself and which rules it follows: settings that are checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from edge_rgbt import __version__

RTSP, RTP_UDP, TCP_MPEG, MPEG_TS, WHEP = range(5)  # VIDEO_STREAM_TYPE
_SCHEMES = {
    "rtsp": RTSP, "rtsps": RTSP, "udp": RTP_UDP, "udp265": RTP_UDP, "tcp": TCP_MPEG, "mpegts": MPEG_TS,
    "http": WHEP, "https": WHEP,
}  # fmt: skip
NAME_BYTES, URI_BYTES = 32, 160
HOST = "{host}"
_HOST_BYTES = 41  # an IPv6 address in brackets, less the placeholder


@dataclass(frozen=True)
class StreamProfile:
    """One video stream as the ground is told of it.

    uri: `{host}` in it becomes the address of ours that faces the asking peer. A bare port means RTP over UDP
    to that port. size_px: as encoded. view: the part of the RGB picture that the stream shows, as fractions
    (left, top, right, bottom); values outside 0..1 are bars round the picture.
    """

    name: str
    uri: str
    size_px: tuple[int, int]
    rate_hz: float = 30.0
    encoding: Literal["h264", "h265"] = "h264"
    hfov_deg: float | None = None
    thermal: bool = False
    bitrate_kbit_s: int = 0
    rotation_deg: int = 0
    view: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        _text("name", self.name, NAME_BYTES)
        _text("uri", self.uri, URI_BYTES - (_HOST_BYTES if HOST in self.uri else 0))
        if self.transport is None:
            raise ValueError(
                f"uri is '{self.uri}', expected rtsp://..., a port for RTP over UDP, udp://, tcp:// or mpegts://"
            )
        if not all(1 <= side <= 65535 for side in self.size_px):
            raise ValueError(f"size_px is {list(self.size_px)}, expected two numbers from 1 to 65535")
        _range("rate_hz", self.rate_hz, 0.1, 1000)
        _range("bitrate_kbit_s", self.bitrate_kbit_s, 0, 4_000_000)
        _range("rotation_deg", self.rotation_deg, 0, 359)
        if self.hfov_deg is not None:
            _range("hfov_deg", self.hfov_deg, 0.1, 360)
        left, top, right, bottom = self.view
        if not (right > left and bottom > top):
            raise ValueError(f"view is {list(self.view)}, expected left, top, right, bottom in this order")

    @property
    def transport(self) -> int | None:
        """VIDEO_STREAM_TYPE; None if the address says none."""
        scheme, separator, _ = self.uri.partition("://")
        if not separator:
            return RTP_UDP if self.uri.isascii() and self.uri.isdigit() else None
        return _SCHEMES.get(scheme)


@dataclass(frozen=True)
class StartRules:
    """Which selections are taken (section 3.3).

    min_side_px, min_share: the least smaller side in pixels of the tracker's picture, and the least share of
    that picture. point_radius: half the width of the box round a point without a radius, as a share of the
    picture's width. click_latency_ms: how old the picture is that an operator clicks on; 0 takes the newest.
    """

    min_side_px: float = 8.0
    min_share: float = 0.0002
    point_radius: float = 0.03
    click_latency_ms: float = 0.0

    def __post_init__(self) -> None:
        _range("min_side_px", self.min_side_px, 1, 1000)
        _range("min_share", self.min_share, 0, 0.5)
        _range("point_radius", self.point_radius, 0.001, 0.5)
        _range("click_latency_ms", self.click_latency_ms, 0, 5000)


@dataclass(frozen=True)
class Reporting:
    """How often and how a target is reported.

    image_status_hz, geo_status_hz: until somebody asks for another rate; 0: only when asked, None: every
    published state. coasting: flag boxes that no picture confirms, as the standard says; QGroundControl up to
    5.0 hides them then (R-TS-4). report_point: POINT instead of RECTANGLE (R-TS-1). drawn_in_video: the
    stream already shows the box. coasting_s: how long an unconfirmed box is shown at most (R-TS-5).
    """

    image_status_hz: float | None = 5.0
    geo_status_hz: float | None = 2.0
    coasting: bool = True
    report_point: bool = False
    drawn_in_video: bool = False
    coasting_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("image_status_hz", "geo_status_hz"):
            if getattr(self, name) is not None:
                _range(name, getattr(self, name), 0, 50)
        _range("coasting_s", self.coasting_s, 0.1, 10)


@dataclass(frozen=True)
class CameraProfile:
    """The camera as it is advertised, fixed for the life of the process (R-CI-2).

    size_px: of the tracker's picture, for a camera without streams; None: as the pictures show. geolocates:
    intrinsics and a source of attitude are configured. gimbal_device_id: 1 to 6 for a gimbal that the
    autopilot drives, else the gimbal's component. diagnostics: send the companion's status messages.
    public_host: what `{host}` becomes for peers whose network we do not see, as behind a serial line or a
    local router.
    """

    vendor: str = "edge-rgbt"
    model: str = "RGB-T tracker"
    streams: tuple[StreamProfile, ...] = ()
    size_px: tuple[int, int] | None = None
    focal_length_mm: float | None = None
    sensor_size_mm: tuple[float, float] | None = None
    gimbal_device_id: int = 0
    geolocates: bool = False
    diagnostics: bool = False
    public_host: str = ""
    start: StartRules = field(default_factory=StartRules)
    reporting: Reporting = field(default_factory=Reporting)

    def __post_init__(self) -> None:
        _text("vendor", self.vendor, NAME_BYTES)
        _text("model", self.model, NAME_BYTES)
        _range("gimbal_device_id", self.gimbal_device_id, 0, 255)
        names = [stream.name for stream in self.streams]
        if len(set(names)) < len(names):
            raise ValueError(f"stream names {names} are not unique; ground stations tell streams by name")
        if len(names) > 8:
            raise ValueError(f"{len(names)} streams, expected 8 at most")

    @property
    def numbered_streams(self) -> tuple[StreamProfile, ...]:
        """Stream 1, 2, ...: the main one, which operators see and click, thermal, then others (R-VS-1)."""
        colour = [stream for stream in self.streams if not stream.thermal]
        thermal = [stream for stream in self.streams if stream.thermal]
        return (*colour[:1], *thermal, *colour[1:])

    @property
    def main(self) -> StreamProfile | None:
        return self.numbered_streams[0] if self.streams else None


def firmware_version(text: str = __version__) -> int:
    """The release as CAMERA_INFORMATION packs it: major in the lowest byte, then minor, then patch."""
    numbers = [int("".join(c for c in part if c.isdigit()) or 0) for part in text.split(".")[:3]]
    return sum(min(number, 255) << (8 * i) for i, number in enumerate(numbers))


def _text(name: str, text: str, most: int) -> None:
    size = len(text.encode())
    if not text.strip() or size > most or not text.isprintable():
        raise ValueError(f"{name} is '{text}', expected 1 to {most} bytes of printable text")


def _range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} is {value:g}, expected {low:g} to {high:g}")
