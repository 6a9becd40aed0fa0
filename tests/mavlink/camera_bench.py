"""A camera component on the bench: a tracker that only notes what is asked, and a station that says it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.camera.control import Picture, StartRequest
from edge_rgbt.mavlink.camera.profile import CameraProfile, StreamProfile
from edge_rgbt.mavlink.exchange import Outgoing, Received
from edge_rgbt.mavlink.framing import FrameWriter
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.types import Box, TrackState, TrackStatus, Usable

S = 1_000_000_000
MS = 1_000_000
NAN = float("nan")
WIDTH, HEIGHT = 640, 512
RGB = StreamProfile("RGB", "rtsp://{host}:8554/rgb", (1280, 1024), hfov_deg=62.0, bitrate_kbit_s=2500)
THERMAL = StreamProfile("Thermal", "rtsp://{host}:8554/thermal", (640, 512), hfov_deg=32.0, thermal=True)
ACCEPTED, LATER, DENIED, UNSUPPORTED = 0, 1, 2, 3


def read_back(message, identity: Identity = Identity(1, 100)):  # noqa: B008  frozen
    """The message as pymavlink's own parser finds it on the wire."""
    (found,) = dialect.MAVLink(None).parse_buffer(FrameWriter().write(identity, message))
    return found


@dataclass
class NotingControl:
    """The tracker's side: notes requests. The picture's age is of the bench's clock."""

    bench: Bench | None = None
    ready: bool = True
    age_ns: int = 20 * MS
    started: list[StartRequest] = field(default_factory=list)
    stopped: list[tuple[int, int]] = field(default_factory=list)

    def picture(self) -> Picture | None:
        assert self.bench is not None
        return Picture(WIDTH, HEIGHT, self.bench.now_ns - self.age_ns) if self.ready else None

    def start(self, request: StartRequest) -> None:
        self.started.append(request)

    def stop(self, requester: tuple[int, int]) -> None:
        self.stopped.append(requester)


class Bench:
    """A camera of vehicle 1, with a clock of its own. `sent`: everything that `run` and `ask` brought out."""

    def __init__(self, profile: CameraProfile | None = None, system: int = 1, **wiring) -> None:
        self.now_ns = 100 * S
        self.control = NotingControl()
        self.control.bench = self
        self.system = system
        self.camera = CameraComponent(
            profile or CameraProfile(streams=(RGB, THERMAL)), self.control, **wiring
        )
        self.camera.vehicle_changed(system)
        self.sent: list[tuple[int, Outgoing]] = []
        self.camera.due(self.now_ns)

    def hear(self, message, sender=(255, 190), endpoint="udpin:127.0.0.1:14550", local="10.0.0.5"):
        """The station hands over a message; what it answers."""
        received = Received(message, *sender, endpoint, self.now_ns, address="10.0.0.9", local_address=local)
        out = self.camera.receive(received)
        self.sent += [(self.now_ns, one) for one in out]
        return out

    def command(self, number, *params, target=None, **how):
        """COMMAND_LONG with NaN in what is not given; what is answered."""
        return self.hear(self.long(number, *params, target=target), **how)

    def long(self, number, *params, target=None, confirmation=0):
        params = [*params, *[NAN] * (7 - len(params))]
        return dialect.MAVLink_command_long_message(
            *(target or (self.system, 100)), number, confirmation, *params
        )

    def result(self, number, *params, **how):
        """The result of its acknowledgement, None for silence."""
        out = self.command(number, *params, **how)
        return out[0].message.result if out else None

    def run(self, seconds, every_ms=20, each=None):
        """Lets time pass; `each` is called before every look of the station. What came out meanwhile."""
        first, end_ns = len(self.sent), self.now_ns + round(seconds * S)
        while self.now_ns < end_ns:
            self.now_ns += every_ms * MS
            if each is not None:
                each()
            self.sent += [(self.now_ns, one) for one in self.camera.due(self.now_ns)]
        return self.sent[first:]

    def publish(self, status=TrackStatus.TRACKING, box=Box(64, 128, 320, 256), track_id=None, **more):  # noqa: B008
        self.camera.publish(state(status, box, **more), WIDTH, HEIGHT, self.now_ns, track_id)

    def tracking(self, seconds, hz=25, **more):
        """The tracker publishes at this rate while time passes."""
        period_ns = round(S / hz)
        next_ns = self.now_ns

        def frames():
            nonlocal next_ns
            if self.now_ns >= next_ns:
                next_ns += period_ns
                self.publish(**more)

        return self.run(seconds, each=frames)

    def beat(self, sender=(255, 190), endpoint="udpin:127.0.0.1:14550"):
        return self.hear(dialect.MAVLink_heartbeat_message(6, 8, 0, 0, 4, 3), sender, endpoint)


def state(status=TrackStatus.TRACKING, box=Box(64, 128, 320, 256), unconfirmed_ms=0, usable=Usable.BOTH):  # noqa: B008
    return TrackState(
        box, 0.5, status, timestamp_ns=0, confidence=0.7, usable=usable, unconfirmed_ns=unconfirmed_ms * MS
    )


def of(kind, sent):
    """The messages of a kind among what `run` or `ask` brought out."""
    found = [one[1] if isinstance(one, tuple) else one for one in sent]
    return [one.message for one in found if one.message.get_type() == kind]
