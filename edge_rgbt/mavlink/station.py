"""All of our MAVLink: endpoints, identities, heartbeats, and the components that converse through them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_rgbt.mavlink.connection import Connection, Ears, Heard, LinkCounters, LinkState
from edge_rgbt.mavlink.conversation import Conversation
from edge_rgbt.mavlink.exchange import Component, Outgoing, Priority, Received, Speaker
from edge_rgbt.mavlink.forwarding import Forwarder
from edge_rgbt.mavlink.framing import FrameCounters
from edge_rgbt.mavlink.heartbeat import Metronome, heartbeat
from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT, Identity, SystemIdLearner
from edge_rgbt.mavlink.links import Outlet, Peer
from edge_rgbt.mavlink.messages import Health
from edge_rgbt.mavlink.outbox import Parcel
from edge_rgbt.mavlink.reboot import RebootWatch
from edge_rgbt.mavlink.settings import EndpointSettings, MavlinkSettings
from edge_rgbt.mavlink.signing import SignatureCounters
from edge_rgbt.mavlink.signing_setup import SigningSetup
from edge_rgbt.mavlink.tap import OnBytes, Tap

LOG = logging.getLogger(__name__)
_TOLD_EVERY_NS = 10_000_000_000
_TOLD_AFTER_BEATS = 10
_STUCK_AFTER_S = 0.5
_SPEAKS_FIRST = ("udpout", "tcp", "serial")  # the other side cannot know us before we send
_SETUP_SIGNING = 256
_GUARD_LINK = 255  # link id of who speaks for us, counted down for each endpoint
OnOutlets = Callable[[str, list[Outlet], Callable[[bytes], bytes] | None], None]
"""an endpoint's URL, where its frames go, and what signs them in a stream of its own"""


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint as it is now."""

    url: str
    role: str
    state: LinkState
    problem: str
    peers: int
    waiting: int
    counters: LinkCounters
    frames: FrameCounters
    signatures: SignatureCounters


@dataclass(frozen=True, slots=True)
class StationStatus:
    """vehicle: its system id, None while not known. faults: times that a component raised. overrun: messages
    heard faster than the components took them. own_ids_heard: messages of somebody who speaks with our
    numbers. unheard: messages of ours that had no number yet to be sent with. tap_lost: frames that the tap's
    listener did not get. loops: frames that came round again."""

    vehicle: int | None
    endpoints: tuple[EndpointStatus, ...]
    faults: int
    overrun: int
    own_ids_heard: int
    unheard: int
    tap_lost: int
    loops: int

    @property
    def problem(self) -> str:
        """The last trouble of each endpoint that is not connected, or nothing."""
        return "; ".join(f"{one.url}: {one.problem}" for one in self.endpoints if one.problem)

    def flat(self) -> dict[str, int]:
        """Every counter by its name; those that endpoints have are sums (R-EP-10)."""
        found = {
            name: getattr(self, name)
            for name in ("faults", "overrun", "own_ids_heard", "unheard", "tap_lost", "loops")
        }
        for endpoint in self.endpoints:
            names = {f"signatures_{name}": n for name, n in asdict(endpoint.signatures).items()}
            for name, count in {**asdict(endpoint.counters), **asdict(endpoint.frames), **names}.items():
                found[name] = found.get(name, 0) + count
        return found


class Station:
    """Owns connections and threads; everything that has something to say is a component (see `exchange`).

    Heartbeats go out from `start` on, as BOOT, from a thread that waits for nobody. Components are called one
    at a time from one other thread; one that raises is told, counted and called again.
    """

    def __init__(
        self,
        settings: MavlinkSettings,
        components: Sequence[Component] = (),
        *,
        base: Path = Path(),
        health: Callable[[], Health] | None = None,
        on_bytes: OnBytes | None = None,
        on_outlets: OnOutlets | None = None,
    ) -> None:
        """base: where relative paths of the settings start. health: asked before each turn of the components;
        left out, `health` is set from outside. on_bytes: gets every valid frame but keys, and cannot hold up
        or break a link. on_outlets: what somebody else needs to speak for us, from the endpoints' threads.
        Opens nothing. Raises UsageError for a key that cannot be read."""
        self.settings = settings
        self._identities = settings.identities()
        self._learner = SystemIdLearner()
        self._ask_health, self.health = health, Health.BOOT
        self._signing = SigningSetup(settings, base)
        self._tap_listener = on_bytes
        self._tap: Tap | None = None
        self._on_outlets = on_outlets
        self._connections: dict[str, Connection] = {}
        self._roles: dict[str, EndpointSettings] = {}
        self._reboots: dict[str, RebootWatch] = {}
        for link_id, endpoint in enumerate(settings.endpoints):
            signer = self._signing.signer(endpoint, link_id)
            ears = Ears(
                self._heard,
                self._linked,
                self._tapped if on_bytes is not None else None,
                self._changed_outlets if on_outlets is not None else None,
            )
            connection = Connection(endpoint.parsed, endpoint.bytes_per_s, ears, signer)
            self._connections[connection.url] = connection
            self._roles[connection.url] = endpoint
            self._reboots[connection.url] = RebootWatch()
        named = any(endpoint.role == "autopilot" for endpoint in settings.endpoints)
        self._learns_from = ("autopilot",) if named else ("any",)
        self._forwarder = Forwarder(list(self._connections)) if settings.forward else None
        self._lock = threading.Lock()
        self._started = self._closed = False
        self._own_ids_heard = self._unheard = 0
        self._conflict_told_ns = -_TOLD_EVERY_NS
        self._unknown_beats = 0
        self._metronome = Metronome(self._beat)
        self._conversation = Conversation(components, self._send, self._update_health)

    # Life.

    def start(self) -> None:
        """Takes our ports and begins to speak. Raises UsageError if another program holds one of them."""
        try:
            for connection in self._connections.values():
                connection.bind()
        except Exception:
            for connection in self._connections.values():
                connection.close(0.0)
            raise
        if self._tap_listener is not None:
            self._tap = Tap(self._tap_listener)
        if self._identities.system is not None:
            self._conversation.vehicle_changed(self._identities.system)
        for connection in self._connections.values():
            connection.start()
        self._metronome.start()
        self._signing.start()
        self._conversation.start()
        self._started = True

    def close(self, timeout_s: float = 1.0) -> None:
        """The components' last words and a POWEROFF heartbeat, then closes within the time and a little.

        May be called twice, and without `start`.
        """
        with self._lock:
            already, self._closed = self._closed, True
        if already:
            return
        if self._started:
            self._conversation.close(_STUCK_AFTER_S)
            self._metronome.stop()
            self._beat_as(Health.POWEROFF)
        for connection in self._connections.values():
            connection.finish(timeout_s)
        for connection in self._connections.values():
            connection.close(timeout_s)
        self._signing.close()
        if self._tap is not None:
            self._tap.close()

    def __enter__(self) -> Station:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # What the rest of the service says and asks.

    def add(self, component: Component) -> None:
        """One more that takes part, told of the vehicle if it is known. From any thread."""
        self._conversation.add(component)

    def wake(self) -> None:
        """Asks the components now what is due, as for a new track. From any thread."""
        self._conversation.wake()

    def identity(self, speaker: Speaker) -> Identity | None:
        """None while it may not speak."""
        return self._identities.of(speaker)

    def send_as(self, identity: Identity, message: Any) -> None:
        """Sends for somebody who is simulated beside us, on every endpoint, newest of its kind only."""
        for connection in self._connections.values():
            connection.post(Parcel(Priority.STATUS, identity, message, latest_wins=True))

    def status(self) -> StationStatus:
        """As of now; cheap, from any thread."""
        endpoints = tuple(
            EndpointStatus(
                url, self._roles[url].role, one.state, one.problem, one.peers, one.waiting, one.counters,
                one.frames, one.signatures,
            )
            for url, one in self._connections.items()
        )  # fmt: skip
        return StationStatus(
            self._identities.system,
            endpoints,
            self._conversation.faults,
            self._conversation.overrun,
            self._own_ids_heard,
            self._unheard,
            0 if self._tap is None else self._tap.lost,
            0 if self._forwarder is None else self._forwarder.loops,
        )

    # In the heartbeat's thread.

    def _beat(self) -> None:
        self._beat_as(self.health)

    def _beat_as(self, health: Health) -> None:
        if self._identities.system is None:
            if health is not Health.POWEROFF:
                self._open_the_path()
            return
        speakers = (Speaker.CAMERA, Speaker.COMPANION) if self.settings.companion else (Speaker.CAMERA,)
        for speaker in speakers:
            identity = self._identities.of(speaker)
            if identity is not None:
                for connection in self._connections.values():
                    connection.post(_beat_of(speaker, identity, health))

    def _open_the_path(self) -> None:
        """Until the vehicle is known, where the other side waits for us (R-ID-1, R-HB-2)."""
        self._unknown_beats += 1
        if self._unknown_beats == _TOLD_AFTER_BEATS:
            LOG.warning("no autopilot heard; the camera stays silent until one is or mavlink.sysid is set")
        for connection in self._connections.values():
            if connection.endpoint.scheme in _SPEAKS_FIRST:
                connection.post(_beat_of(Speaker.COMPANION, self._identities.provisional, Health.BOOT))

    # In the connections' threads.

    def _heard(self, connection: Connection, heard: Heard) -> None:
        frame, message = heard.frame, heard.message
        if self._identities.includes(frame.system, frame.component):
            self._conflict(connection, frame.system, frame.component)
            return
        if frame.message_id == _SETUP_SIGNING:
            self._signing.offered(connection.endpoint, message, self._identities.system)
            return
        if self._forwarder is not None:
            self._forward(self._forwarder, connection, heard)
        if message is None:
            return
        if message.get_type() == "HEARTBEAT":
            self._learn(connection, frame.system, frame.component, message.autopilot)
        if (frame.system, frame.component) == (self._identities.system, AUTOPILOT_COMPONENT):
            self._watch_for_reboot(connection, message)
        received = Received(
            message,
            frame.system,
            frame.component,
            connection.url,
            heard.arrival_ns,
            heard.signed,
            heard.address,
            heard.local_address,
        )
        self._conversation.heard(received, heard.peer)

    def _watch_for_reboot(self, connection: Connection, message: Any) -> None:
        if self._reboots[connection.url].restarted(message):
            LOG.warning("%s: the autopilot has started again", connection.url)
            self._linked(connection, False)
            self._linked(connection, True)

    def _learn(self, connection: Connection, system: int, component: int, autopilot: int) -> None:
        """The vehicle's system id, where the configuration does not say it (R-ID-1, R-ID-2)."""
        learns = self._roles[connection.url].role in self._learns_from
        if self.settings.vehicle_system is not None or not learns:
            return
        with self._lock:
            self._learner.heard(system, component, autopilot, time.monotonic())
            learned = self._learner.system
            if learned is None or learned == self._identities.system:
                return
            self._identities.system = learned
        LOG.info("%s: the vehicle is system %d", connection.url, learned)
        self._conversation.vehicle_changed(learned)

    def _conflict(self, connection: Connection, system: int, component: int) -> None:
        """Our own frames come round, or somebody else speaks with our numbers; neither is ever answered."""
        self._own_ids_heard += 1
        now_ns = time.monotonic_ns()
        if now_ns - self._conflict_told_ns >= _TOLD_EVERY_NS:
            self._conflict_told_ns = now_ns
            LOG.warning(
                "%s: heard %d/%d, which are our own numbers: a loop, or another component of the same id",
                connection.url, system, component,
            )  # fmt: skip

    def _forward(self, forwarder: Forwarder, connection: Connection, heard: Heard) -> None:
        for url in forwarder.route(connection.url, heard.frame, heard.message, heard.arrival_ns):
            self._connections[url].post(Parcel(Priority.ONE_SHOT, frame=heard.frame.data))

    def _linked(self, connection: Connection, up: bool) -> None:
        LOG.info("%s: %s", connection.url, "heard" if up else "not heard any more")
        self._conversation.link_changed(connection.url, up)

    def _changed_outlets(self, connection: Connection, outlets: list[Outlet]) -> None:
        if self._on_outlets is not None:
            signer = connection.signer
            link_id = _GUARD_LINK - list(self._connections).index(connection.url)
            sign = None if signer is None else signer.beside(link_id).sign
            self._on_outlets(connection.url, outlets, sign)

    def _tapped(self, connection: Connection, outgoing: bool, data: bytes, t_ns: int) -> None:
        if self._tap is not None:
            self._tap.put(connection.url, outgoing, data, t_ns)

    # In the conversation's thread.

    def _send(self, outgoing: Outgoing, endpoint: str | None, peer: Peer | None) -> None:
        identity = self._identities.of(outgoing.speaker)
        if identity is None:
            self._unheard += 1
            return
        # An answer is for who asked: two ground stations on one endpoint match answers by command only, and
        # would take each other's. A stream is for everybody.
        answers = outgoing.endpoint is not None and outgoing.endpoint == endpoint and not outgoing.latest_wins
        parcel = Parcel(
            outgoing.priority,
            identity,
            outgoing.message,
            outgoing.latest_wins,
            peer if answers else None,
        )
        if outgoing.endpoint is None:
            for connection in self._connections.values():
                connection.post(parcel)
        else:
            self._connections[outgoing.endpoint].post(parcel)

    def _update_health(self) -> None:
        if self._ask_health is not None:
            self.health = self._ask_health()


def _beat_of(speaker: Speaker, identity: Identity, health: Health) -> Parcel:
    return Parcel(Priority.HEARTBEAT, identity, heartbeat(speaker, health), latest_wins=True)
