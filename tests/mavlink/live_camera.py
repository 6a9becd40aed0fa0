"""A camera on real sockets with a tracker that always succeeds, beside an autopilot's heartbeat."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.camera.about import StorageState, StreamState
from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.camera.control import Picture, StartRequest
from edge_rgbt.mavlink.camera.profile import CameraProfile, StreamProfile
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.mavlink.station import Station
from edge_rgbt.types import Box, TargetPosition, TrackState, TrackStatus

WIDTH, HEIGHT, RATE_HZ = 640, 512, 30
PROFILE = CameraProfile(
    vendor="edge-rgbt",
    model="RGB-T bench",
    streams=(
        StreamProfile("RGB", "rtsp://{host}:8554/rgb", (1280, 1024), hfov_deg=62, bitrate_kbit_s=2500),
        StreamProfile("Thermal", "rtsp://{host}:8554/thermal", (640, 512), hfov_deg=32, thermal=True),
    ),
    geolocates=True,
)


class LiveCamera:
    """Tracks whatever is selected, moving right by a pixel a picture; knows where it is on earth."""

    def __init__(self, url: str, system: int = 1, profile: CameraProfile = PROFILE) -> None:
        self.camera = CameraComponent(profile, self)
        self.camera.storage(StorageState(64_000, 48_000))
        for stream in profile.streams:
            self.camera.streaming(stream.name, StreamState(running=True))
        self.station = Station(
            MavlinkSettings(url=(url,), sysid=system),
            [self.camera],
            health=lambda: self.camera.health(time.monotonic_ns()),
        )
        self.autopilot = Identity(system, 1)
        self.requests: list[StartRequest] = []
        self._track: StartRequest | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._fly, name="live-camera", daemon=True)

    def picture(self) -> Picture | None:
        return Picture(WIDTH, HEIGHT, time.monotonic_ns())

    def start(self, request: StartRequest) -> None:
        self.requests.append(request)
        self._track = request

    def stop(self, requester: tuple[int, int]) -> None:
        self._track = None

    def __enter__(self) -> LiveCamera:
        self.station.start()
        self.camera.ready()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._thread.join()
        self.station.close()

    def _fly(self) -> None:
        """The autopilot's heartbeat once a second, a picture at RATE_HZ."""
        frame, next_s = 0, time.monotonic()
        while not self._closing.is_set():
            if frame % RATE_HZ == 0:
                beat = dialect.MAVLink_heartbeat_message(2, 12, 0x80 | 0x01, 0, 4, 3)
                self.station.send_as(self.autopilot, beat)
            track = self._track
            if track is not None:
                self._publish(track, frame)
            frame += 1
            next_s = max(next_s + 1 / RATE_HZ, time.monotonic())
            self._closing.wait(next_s - time.monotonic())

    def _publish(self, track: StartRequest, frame: int) -> None:
        now_ns = time.monotonic_ns()
        x = min(track.box.x + frame % 100, WIDTH - track.box.w)
        box = Box(x, track.box.y, track.box.w, track.box.h)
        state = TrackState(box, 0.9, TrackStatus.TRACKING, now_ns, confidence=0.9)
        self.camera.publish(state, WIDTH, HEIGHT, now_ns, track.track_id, captured_ns=now_ns)
        place = TargetPosition(
            track.track_id, now_ns, 47.4 + x * 1e-6, 8.5, 488.0, 4.0, 1.5, (9.0, 0.0, 9.0), 113.0
        )
        self.camera.position(place, now_ns)
        self.station.wake()


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def autopilot_beats(port: int, system: int, for_s: float = 0.5, within_s: float = 20.0) -> None:
    """An autopilot's heartbeats to a client on this port until it has heard them for a while, as in a vehicle
    whose camera starts last. MAVSDK 3 hangs now and then where a camera is the first that it hears of one."""
    encoder = dialect.MAVLink(None, system, 1)
    heard_s, end_s = None, time.monotonic() + within_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("127.0.0.1", port))
        while heard_s is None or time.monotonic() - heard_s < for_s:
            assert time.monotonic() < end_s, f"nobody listens on port {port}"
            try:
                line.send(dialect.MAVLink_heartbeat_message(2, 12, 0x81, 0, 4, 3).pack(encoder))
                time.sleep(0.05)
                line.send(b"")  # raises if nobody was there to take the heartbeat
                heard_s = heard_s or time.monotonic()
            except ConnectionRefusedError:
                heard_s = None


class GroundStation:
    """A UDP ground station that keeps every message with its arrival, read by pymavlink's own parser."""

    def __init__(self, system: int = 255, component: int = 190) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.heard: list[tuple[float, Any]] = []
        self.peer: Any = None
        self._encoder = dialect.MAVLink(None, system, component)
        self._arrived = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name="ground", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        parser = dialect.MAVLink(None)
        while not self._closing:
            try:
                data, self.peer = self.socket.recvfrom(4096)
            except (TimeoutError, OSError):
                continue
            found = parser.parse_buffer(data) or []
            with self._arrived:
                self.heard += [(time.monotonic(), message) for message in found]
                self._arrived.notify_all()

    def send(self, message: Any) -> float:
        """When it was sent."""
        sent_s = time.monotonic()
        self.socket.sendto(message.pack(self._encoder), self.peer)
        self._encoder.seq = (self._encoder.seq + 1) % 256
        return sent_s

    def command(self, number: int, *params: float, target: tuple[int, int] = (1, 100)) -> float:
        """Sends COMMAND_LONG, NaN in what is not given."""
        filled = [*params, *[float("nan")] * (7 - len(params))]
        return self.send(dialect.MAVLink_command_long_message(*target, number, 0, *filled))

    def expect(self, accept: Any, since_s: float = 0.0, within_s: float = 3.0) -> tuple[float, Any]:
        """The first message since then that `accept` takes: a kind or a function. Fails after the time."""
        wanted = (lambda message: message.get_type() == accept) if isinstance(accept, str) else accept
        end_s, seen = time.monotonic() + within_s, 0
        with self._arrived:
            while True:
                for when, message in self.heard[seen:]:
                    if when >= since_s and wanted(message):
                        return when, message
                seen = len(self.heard)
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    raise AssertionError(f"not heard within {within_s:g} s: {accept}")
                self._arrived.wait(left_s)

    def ack(self, number: int, since_s: float) -> tuple[float, Any]:
        """The acknowledgement of a command sent then, and how many seconds it took."""
        when, message = self.expect(
            lambda one: one.get_type() == "COMMAND_ACK" and one.command == number, since_s
        )
        return when - since_s, message

    def of(self, kind: str, since_s: float = 0.0) -> list[Any]:
        return [
            message for when, message in list(self.heard) if when >= since_s and message.get_type() == kind
        ]

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self.socket.close()

    def __enter__(self) -> GroundStation:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
