"""The camera as it takes part in the conversation: commands in, answers, streams and news out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from edge_rgbt.mavlink.camera.about import CameraView, StorageState, StreamState
from edge_rgbt.mavlink.camera.broadcast import Broadcast
from edge_rgbt.mavlink.camera.command import Command, read_command
from edge_rgbt.mavlink.camera.commands import Answer, CommandDesk
from edge_rgbt.mavlink.camera.control import NothingToControl, Requester, TrackControl
from edge_rgbt.mavlink.camera.diagnostics import ComputerStatus
from edge_rgbt.mavlink.camera.facts import (
    COMPUTER,
    INFORMATION,
    NUMBERS,
    OF_COMPANION,
    STREAM,
    TARGET,
    TARGET_PLACE,
    Facts,
)
from edge_rgbt.mavlink.camera.intervals import Intervals
from edge_rgbt.mavlink.camera.notices import Notices
from edge_rgbt.mavlink.camera.profile import CameraProfile
from edge_rgbt.mavlink.camera.selection import Selector
from edge_rgbt.mavlink.camera.solution import Solution
from edge_rgbt.mavlink.camera.target import FOLLOWED, WHOLE, TargetReport
from edge_rgbt.mavlink.camera.vigil import Vigil
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Received, Speaker
from edge_rgbt.mavlink.identity import CAMERA_COMPONENT, Identity
from edge_rgbt.mavlink.messages import Health, TargetPhase
from edge_rgbt.types import TargetPosition, TrackState, Usable

_CHANGE_NS = 50_000_000  # a status that flickers is told no faster than this
_MOST_SESSIONS = 64
NOBODYS = 0  # number of a track that is not told to anybody
_SECOND_US = 1_000_000


class CameraComponent:
    """One camera with its tracker, as MAVLink has it. Does no input or output and has no clock of its own.

    What the station calls (`receive`, `due`, ...) comes from its thread; everything else may come from any
    thread, takes microseconds and never waits for the network. All times are monotonic nanoseconds.
    """

    def __init__(
        self,
        profile: CameraProfile | None = None,
        control: TrackControl | None = None,
        component: int = CAMERA_COMPONENT,
        boot_ms: Callable[[int], int] | None = None,
        may_start: Callable[[Received], bool] | None = None,
        outward_host: Callable[[], str] | None = None,
    ) -> None:
        """control: who owns the tracker; without one, selections are refused for now. boot_ms: milliseconds
        of the autopilot since its boot at a moment of our clock; left out, our own. may_start: which sources
        may select (R-SEC-5). outward_host: our address in the network, for peers whose side is not seen.
        """
        self.profile = profile = profile or CameraProfile()
        self._component = component
        self._us: Identity | None = None
        self._lock = threading.Lock()
        self._began_ns: int | None = None
        self._boot_ms = boot_ms
        self._outward_host = outward_host or (lambda: "")
        main = profile.main
        self._target = TargetReport(profile.reporting, WHOLE if main is None else main.view)
        self._solution = Solution()
        self._facts = Facts(
            profile, control or NothingToControl(), self._target, self._solution, self._time_boot_ms
        )
        self._intervals = Intervals(_defaults_us(profile))
        self._notices = Notices()
        selector = Selector(profile.start, self._target.view)
        self._desk = CommandDesk(
            self._facts,
            self._intervals,
            self._notices,
            selector,
            component,
            may_start or (lambda received: True),
        )
        self._vigil = Vigil(self._notices)
        self._sessions: OrderedDict[tuple[Requester, str], None] = OrderedDict()
        self._hosts: dict[str, str] = {}
        self._ready, self._degraded = False, False
        self._usable = Usable.BOTH
        self._broadcast = Broadcast(self._facts, self._intervals)
        self._now_ns = 0

    # What the frame loop and the rest of the service say.

    def ready(self) -> None:
        """Model and cameras are there."""
        with self._lock:
            self._ready = True

    def degrade(self, degraded: bool) -> None:
        """The service runs below what is promised: too slow, or throttled by heat."""
        with self._lock:
            self._degraded = degraded

    def publish(
        self,
        state: TrackState,
        width: int,
        height: int,
        now_ns: int,
        track_id: int | None = None,
        captured_ns: int | None = None,
    ) -> None:
        """Reports a state; width and height are those of the picture whose pixels the box counts (R-TS-8).

        track_id: of the request that the state belongs to; states of a track that was replaced or stopped
        meanwhile are passed over. None: of whatever is tracked now. captured_ns: of the newer picture.
        """
        with self._lock:
            self._ready = True
            self._facts.published_px = (width, height)
            if self._target.published(state, width, height, track_id, now_ns):
                self._usable = state.usable
                latency_ns = None if captured_ns is None else now_ns - captured_ns
                self._vigil.published(state, latency_ns, now_ns)

    def begin(self) -> int:
        """The service starts a track of its own accord; the number that its states are published with.

        While a selection waits to be taken up, that goes before it: the number is then nobody's.
        """
        with self._lock:
            if self._target.waits:
                return NOBODYS
            self._solution.discard()
            self._intervals.resume((TARGET, TARGET_PLACE))
            return self._target.begin()

    def position(self, position: TargetPosition | None, now_ns: int) -> None:
        """Where on earth the target is; None while no solution passes the gates (R-GS-1)."""
        with self._lock:
            if position is None or position.track_id == self._target.track_id:
                self._solution.found(position, now_ns)

    def looking(self, view: CameraView | None) -> None:
        """Where the camera is and looks, for CAMERA_FOV_STATUS."""
        with self._lock:
            self._facts.view = view

    def seeing(self, usable: Usable) -> None:
        """Which cameras can be believed, while there is no track to tell it."""
        with self._lock:
            self._usable = usable

    def streaming(self, name: str, state: StreamState) -> None:
        """What the encoder of a stream really does (R-VS-3). A name that is not advertised is passed over."""
        with self._lock:
            for number, stream in enumerate(self.profile.numbered_streams, 1):
                if stream.name == name:
                    before = self._facts.streams.get(number)
                    if before is None or before.running != state.running:
                        self._broadcast.changed_streams.add(number)
                    self._facts.streams[number] = state

    def storage(self, storage: StorageState | None) -> None:
        """Where the flight is recorded; None: it is not."""
        with self._lock:
            self._facts.storage = storage

    def computer(self, status: ComputerStatus) -> None:
        """The machine's own numbers, for ONBOARD_COMPUTER_STATUS."""
        with self._lock:
            self._facts.computer = status

    def say(self, severity: int, text: str) -> None:
        """A sentence for the operator (MAV_SEVERITY); one a second at most, none again within five."""
        with self._lock:
            self._notices.say(severity, text)

    def health(self, now_ns: int) -> Health:
        """What the heartbeat says."""
        with self._lock:
            phase = self._target.phase(now_ns)
            if not self._ready:
                return Health.BOOT
            if self._degraded or self._usable is not Usable.BOTH or phase is TargetPhase.SENSOR_FAILURE:
                return Health.CRITICAL
            return Health.ACTIVE if phase in FOLLOWED else Health.STANDBY

    @property
    def refused(self) -> int:
        """Commands refused because their sender sent too many (R-CMD-9)."""
        return self._desk.limit.refused

    # What the station calls.

    def vehicle_changed(self, system: int) -> list[Outgoing]:
        """The camera's system id is the vehicle's (R-ID-1); silent until this is called."""
        with self._lock:
            self._us = Identity(system, self._component)
        return []

    def link_changed(self, endpoint: str, up: bool) -> list[Outgoing]:
        """Leases of requesters heard only there end with the link (R-EP-8)."""
        if not up:
            with self._lock:
                self._intervals.link_lost(endpoint)
                for session in [one for one in self._sessions if one[1] == endpoint]:
                    del self._sessions[session]
        return []

    def receive(self, received: Received) -> list[Outgoing]:
        """Answers commands that are meant for us; everything else is a sign of life of whoever sent it."""
        with self._lock:
            us, sender = self._us, (received.system, received.component)
            if us is None or sender == (us.system, us.component):
                return []
            now_ns = received.arrival_ns
            beats = received.message.get_type() == "HEARTBEAT"
            self._intervals.heard(sender, received.endpoint, now_ns, beats)
            command = read_command(received, us)
            if command is None:
                return []
            self._hosts[received.endpoint] = self._host(received)
            answer = self._desk.answer(command, self._hosts[received.endpoint])
            return [] if answer is None else self._sent(command, answer)

    def due(self, now_ns: int) -> list[Outgoing]:
        """Streams, changes and news whose time has come."""
        with self._lock:
            if self._began_ns is None:
                self._began_ns = now_ns
            self._now_ns = now_ns
            self._intervals.expire(now_ns)
            phase = self._target.phase(now_ns)
            self._vigil.look(phase, self._usable, now_ns)
            self._facts.numbers = self._vigil.numbers(phase, now_ns)
            if self._us is None:
                return []
            texts = [Outgoing(m, Priority.ONE_SHOT) for m in self._notices.due(now_ns)]
            return self._broadcast.due(self._hosts, now_ns) + texts

    def closing(self) -> list[Outgoing]:
        """The last status is idle (R-TS-7)."""
        with self._lock:
            if self._us is None or not self._target.shown:
                return []
            self._target.stopped()
            return self._broadcast.end(self._now_ns)

    # The parts of the above; called with the lock held.

    def _sent(self, command: Command, answer: Answer) -> list[Outgoing]:
        """The acknowledgement to its sender, then what it asked for, then what everybody is to know."""
        there = command.endpoint
        ack = dialect.MAVLink_command_ack_message(command.number, answer.result, 0, 0, *command.sender)
        out = [Outgoing(ack, Priority.ACK, endpoint=there)]
        for message in answer.messages:
            speaker = Speaker.COMPANION if message.get_msgId() in OF_COMPANION else Speaker.CAMERA
            where = None if answer.to_all else there
            out.append(Outgoing(message, Priority.ONE_SHOT, speaker, where))
        if any(message.get_msgId() == INFORMATION for message in answer.messages):
            out += self._introduction(command)
        if answer.ended:
            out += self._broadcast.end(command.arrival_ns)
        return out

    def _introduction(self, command: Command) -> list[Outgoing]:
        """All streams, unasked, to whoever saw the camera for the first time (R-VS-2)."""
        session = command.sender, command.endpoint
        known = session in self._sessions
        self._sessions[session] = None
        self._sessions.move_to_end(session)
        if len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        if known or not self.profile.streams:
            return []
        streams = self._facts.messages(STREAM, 0, self._hosts[command.endpoint], command.arrival_ns)
        return [Outgoing(m, Priority.ONE_SHOT, endpoint=command.endpoint) for m in streams]

    def _host(self, received: Received) -> str:
        """Our address as the ground reaches it. Behind a serial line or a router on this machine, that is not
        the one which the message came to."""
        local = received.local_address
        if local and not local.startswith("127.") and local != "::1":
            return local
        return self.profile.public_host or self._outward_host() or local

    def _time_boot_ms(self, now_ns: int) -> int:
        if self._boot_ms is not None:
            return self._boot_ms(now_ns)
        return (now_ns - (now_ns if self._began_ns is None else self._began_ns)) // 1_000_000


def _defaults_us(profile: CameraProfile) -> dict[int, int]:
    rates = {TARGET: profile.reporting.image_status_hz, TARGET_PLACE: profile.reporting.geo_status_hz}
    if profile.diagnostics:
        rates |= dict.fromkeys((COMPUTER, NUMBERS), 1.0)
    every_state = {message_id: 0 for message_id, hz in rates.items() if hz is None}
    return every_state | {message_id: round(_SECOND_US / hz) for message_id, hz in rates.items() if hz}
