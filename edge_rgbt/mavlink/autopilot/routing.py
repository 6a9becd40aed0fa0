"""Which link a packet goes on to, and whether the autopilot reads it itself (section 1.4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.framing import Frame
from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT

_RADIO = ("RADIO", "RADIO_STATUS")


@dataclass(frozen=True, slots=True)
class Packet:
    """What came in on a port. message: None for one that is not in our dialect; it is sent on as well."""

    port: str
    frame: Frame
    message: Any | None

    @property
    def source(self) -> tuple[int, int]:
        return self.frame.system, self.frame.component

    @property
    def target(self) -> tuple[int, int]:
        """System and component, 0 where the message names none."""
        return getattr(self.message, "target_system", 0), getattr(self.message, "target_component", 0)

    @property
    def kind(self) -> str:
        return "" if self.message is None else self.message.get_type()


class Router(ABC):
    """Routes of one autopilot; those who were heard on a port can be reached there."""

    def __init__(self, ports: Iterable[str]) -> None:
        self.ports = tuple(ports)
        self.seen: dict[tuple[int, int], set[str]] = {}

    def forget(self) -> None:
        """After a reboot."""
        self.seen.clear()

    def route(self, packet: Packet, own: int) -> tuple[bool, list[str]]:
        """Whether the autopilot with system id `own` reads the packet, and the ports it is sent on to."""
        if packet.source == (own, AUTOPILOT_COMPONENT):
            return False, []  # its own, back over a loop
        if packet.source[0]:
            self.seen.setdefault(packet.source, set()).add(packet.port)
        return self._decide(packet, *packet.target, own)

    @abstractmethod
    def _decide(self, packet: Packet, system: int, component: int, own: int) -> tuple[bool, list[str]]: ...

    def _ports_of(self, system: int, component: int, port: str) -> list[str]:
        """Other ports where such a target has been heard; 0 stands for any."""
        found: set[str] = set()
        for (known_system, known_component), ports in self.seen.items():
            if system in (0, known_system) and component in (0, known_component):
                found |= ports
        found.discard(port)
        return [name for name in self.ports if name in found]


class ArduPilotRouter(Router):
    """Learns from every packet; heartbeats flood; what nobody known is meant by, it takes for its own."""

    def _decide(self, packet: Packet, system: int, component: int, own: int) -> tuple[bool, list[str]]:
        if packet.kind in _RADIO:
            return True, []
        if packet.kind == "HEARTBEAT":
            sources = self.seen.get(packet.source, {packet.port})
            return True, [name for name in self.ports if name not in sources]
        match_system = system in (0, own)
        local = match_system and component in (0, AUTOPILOT_COMPONENT)
        if local and system and component:
            return True, []
        other = system not in (0, own)
        onward = self._ports_of(system, 0 if other or not system else component, packet.port)
        return local or (not onward and match_system), onward


class Px4Router(Router):
    """Forwards only what came in on a port with MAV_n_FORWARD, and only where the target was heard."""

    def __init__(self, ports: Iterable[str], forwards: Callable[[str], bool]) -> None:
        super().__init__(ports)
        self._forwards = forwards

    def _decide(self, packet: Packet, system: int, component: int, own: int) -> tuple[bool, list[str]]:
        local = system in (0, own) and component in (0, AUTOPILOT_COMPONENT)
        only_here = system == own and component == AUTOPILOT_COMPONENT
        if only_here or not self._forwards(packet.port) or packet.kind in _RADIO:
            return local, []
        if not system:
            return local, [name for name in self.ports if name != packet.port]
        return local, self._ports_of(system, component, packet.port)
