"""Autopilot and companion in one thread, step by step on one exact clock: closed loops faster than real time.

The companion's components are the real ones; between them and the autopilot run real bytes over cables
that delay and lose them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.autopilot.autopilot import COMPANION_PORT, GROUND_PORT, SimulatedAutopilot
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Component, LinkAware, Outgoing, Received, Speaker, VehicleAware
from edge_rgbt.mavlink.framing import Decoder, FrameCounters, FrameReader, FrameWriter
from edge_rgbt.mavlink.identity import (
    AUTOPILOT_COMPONENT,
    CAMERA_COMPONENT,
    ONBOARD_COMPUTER_COMPONENT,
    Identity,
)
from edge_rgbt.sim.noise import generator

ENDPOINT = "serial:/dev/simulated:921600"
STEP_NS = 10_000_000
_LINK_LOST_NS = 5_000_000_000


@dataclass(frozen=True)
class Cable:
    """One link. delay_ns: each way; jitter_ns: on top, evenly spread; loss: share of bursts that vanish."""

    delay_ns: int = 4_000_000
    jitter_ns: int = 2_000_000
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message as it was sent by somebody. t_ns: of the flight."""

    t_ns: int
    system: int
    component: int
    message: Any

    @property
    def kind(self) -> str:
        return self.message.get_type()


class _Wire:
    """One direction of a cable; what is sent in one step arrives together and in order."""

    def __init__(self, cable: Cable, seed: int, name: str) -> None:
        self._cable, self._rng = cable, generator(seed, "cable", name)
        self._under_way: list[tuple[int, bytes]] = []
        self._newest_ns = 0
        self.cut = False

    def put(self, data: bytes, now_ns: int) -> None:
        if self.cut or (self._cable.loss and self._rng.random() < self._cable.loss):
            return
        arrival = now_ns + self._cable.delay_ns
        if self._cable.jitter_ns:
            arrival += int(self._rng.integers(self._cable.jitter_ns))
        self._newest_ns = max(self._newest_ns, arrival)
        self._under_way.append((self._newest_ns, data))

    def take(self, now_ns: int) -> list[tuple[int, bytes]]:
        """(arrival, bytes) of what is there by now."""
        ready = [item for item in self._under_way if item[0] <= now_ns]
        self._under_way = self._under_way[len(ready) :]
        return ready


class Lockstep:
    """Plays autopilot, companion and an operator. `run` goes on where the last call ended.

    heard: what the companion received, said: what it sent, ground: what came out at the ground station.
    ticks: called in every step with the monotonic time before the components are asked what is due.
    """

    def __init__(
        self,
        autopilot: SimulatedAutopilot,
        components: Sequence[Component] = (),
        *,
        cable: Cable | None = None,
        seed: int = 0,
        camera_component: int = CAMERA_COMPONENT,
        beacon_system: int = 200,
    ) -> None:
        self.autopilot, self.components = autopilot, list(components)
        self.now_ns = autopilot.began_ns
        self.heard: list[Spoken] = []
        self.said: list[Spoken] = []
        self.ground: list[Spoken] = []
        self.ticks: list[Callable[[int], None]] = []
        self.system: int | None = None
        self._camera_component, self._beacon_system = camera_component, beacon_system
        cable = cable or Cable()
        self._down, self._up = _Wire(cable, seed, "down"), _Wire(cable, seed, "up")
        self._from_ground: list[bytes] = []
        self._readers = {port: FrameReader(FrameCounters()) for port in (COMPANION_PORT, GROUND_PORT)}
        self._writer, self._decoder = FrameWriter(), Decoder()
        self._others: dict[tuple[int, int], Any] = {}
        self._link_up, self._heard_ns = False, 0

    @property
    def t_ns(self) -> int:
        """Time of the flight."""
        return self.now_ns - self.autopilot.began_ns

    def cut_cable(self, cut: bool = True) -> None:
        """Nothing passes between autopilot and companion."""
        self._down.cut = self._up.cut = cut

    def say(self, message: Any, system: int = 255, component: int = 190) -> None:
        """As somebody on the ground station's link, with the next step; any source is allowed."""
        source = self._others.get((system, component))
        if source is None:  # no Identity of ours may have a ground station's numbers
            source = dialect.MAVLink(None, srcSystem=system, srcComponent=component)
            self._others[system, component] = source
        self._from_ground.append(bytes(message.pack(source)))
        source.seq = (source.seq + 1) % 256

    def run(self, seconds: float) -> None:
        """Plays on."""
        end_ns = self.now_ns + round(seconds * 1e9)
        while self.now_ns < end_ns:
            self.now_ns += STEP_NS
            self._step()

    def last(self, kind: str, spoken: Sequence[Spoken] | None = None) -> Any:
        """The newest message of a kind that the companion heard (or of other records). Raises LookupError."""
        for entry in reversed(self.heard if spoken is None else spoken):
            if entry.kind == kind:
                return entry.message
        raise LookupError(f"no {kind} so far")

    def _step(self) -> None:
        now = self.now_ns
        for arrival, data in self._up.take(now):
            self.autopilot.receive(COMPANION_PORT, data, arrival)
        for data in self._from_ground:
            self.autopilot.receive(GROUND_PORT, data, now)
        self._from_ground.clear()
        bursts = {COMPANION_PORT: bytearray(), GROUND_PORT: bytearray()}
        for port, frame in self.autopilot.due(now):
            bursts[port] += frame
        if bursts[COMPANION_PORT]:
            self._down.put(bytes(bursts[COMPANION_PORT]), now)
        self.ground += self._read(GROUND_PORT, bytes(bursts[GROUND_PORT]), now)
        for arrival, data in self._down.take(now):
            for spoken in self._read(COMPANION_PORT, data, arrival):
                self._hand_over(spoken, arrival)
        self._watch_link()
        for tick in self.ticks:
            tick(now)
        for component in self.components:
            self._send(component.due(now))

    def _read(self, port: str, data: bytes, now_ns: int) -> list[Spoken]:
        found = []
        for frame in self._readers[port].feed(data, now_ns):
            message = self._decoder.decode(frame)
            if message is not None:
                t_ns = now_ns - self.autopilot.began_ns
                found.append(Spoken(t_ns, frame.system, frame.component, message))
        return found

    def _hand_over(self, spoken: Spoken, arrival_ns: int) -> None:
        self.heard.append(spoken)
        self._heard_ns = arrival_ns
        if not self._link_up:
            self._change_link(True)
        is_autopilot = spoken.kind == "HEARTBEAT" and spoken.component == AUTOPILOT_COMPONENT
        if self.system is None and is_autopilot:
            self.system = spoken.system
            for component in self.components:
                if isinstance(component, VehicleAware):
                    self._send(component.vehicle_changed(spoken.system))
        received = Received(spoken.message, spoken.system, spoken.component, ENDPOINT, arrival_ns)
        for component in self.components:
            self._send(component.receive(received))

    def _watch_link(self) -> None:
        if self._link_up and self.now_ns - self._heard_ns > _LINK_LOST_NS:
            self._change_link(False)

    def _change_link(self, up: bool) -> None:
        self._link_up = up
        for component in self.components:
            if isinstance(component, LinkAware):
                self._send(component.link_changed(ENDPOINT, up))

    def _send(self, outgoing: list[Outgoing]) -> None:
        if self.system is None or not outgoing:
            return
        burst = bytearray()
        for item in outgoing:
            identity = self._identity(item.speaker, self.system)
            burst += self._writer.write(identity, item.message)
            self.said.append(Spoken(self.t_ns, identity.system, identity.component, item.message))
        self._up.put(bytes(burst), self.now_ns)

    def _identity(self, speaker: Speaker, system: int) -> Identity:
        if speaker is Speaker.CAMERA:
            return Identity(system, self._camera_component)
        if speaker is Speaker.COMPANION:
            return Identity(system, ONBOARD_COMPUTER_COMPONENT)
        return Identity(self._beacon_system, ONBOARD_COMPUTER_COMPONENT)
