"""The seam between everything that speaks MAVLink: what came in, what goes out, and who takes part.

Components do no input or output of their own. The station hands them what it received, asks them regularly
what is due, and sends what they answer; so each of them can be tested with exact times. What a component
wants to know beyond that it says by having the method of `LinkAware`, `VehicleAware` or `Closing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, Protocol, runtime_checkable


class Speaker(Enum):
    """Which of our identities says something (section 1.1 of the interface)."""

    CAMERA = "camera"
    COMPANION = "companion"
    BEACON = "beacon"


class Priority(IntEnum):
    """Who goes first when a link is slow (R-EP-6)."""

    ACK = 0
    HEARTBEAT = 1
    ONE_SHOT = 2
    SETPOINT = 3
    STATUS = 4
    DIAGNOSTIC = 5


@dataclass(frozen=True, slots=True)
class Received:
    """A valid message. message: of pymavlink's dialect. endpoint: URL of where it came in, where answers go.

    arrival_ns: when its last byte was read, on the monotonic clock. signed: with a right signature.
    address: the peer's IP address, local_address: ours as that peer reaches it; both empty on serial lines.
    """

    message: Any
    system: int
    component: int
    endpoint: str
    arrival_ns: int
    signed: bool = False
    address: str = ""
    local_address: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send. endpoint: only there; None: everywhere.

    What `receive` returns for the endpoint that asked goes to the peer that asked, where one endpoint has
    several; what is latest_wins, a stream, goes to all of them.

    latest_wins: a newer one of the same speaker, kind and endpoint replaces one that still waits; answers
    and one-shots are kept apart and all sent.
    """

    message: Any
    priority: Priority
    speaker: Speaker = Speaker.CAMERA
    endpoint: str | None = None
    latest_wins: bool = False


class Component(Protocol):
    """Something that takes part in the conversation. Called from one thread at a time."""

    def receive(self, received: Received) -> list[Outgoing]:
        """Takes in one message, whoever it is for, and answers. Never raises, whatever the message holds."""
        ...

    def due(self, now_ns: int) -> list[Outgoing]:
        """What is to be sent by now; asked at least every 20 ms. `now_ns` is on the monotonic clock."""
        ...


@runtime_checkable
class LinkAware(Protocol):
    """A component that is told when an endpoint begins and ceases to be heard (R-EP-8, R-EP-9)."""

    def link_changed(self, endpoint: str, up: bool) -> list[Outgoing]:
        """up: a valid message came after silence. Down: none for 5 s, or the autopilot restarted, in which
        case up follows at once."""
        ...


@runtime_checkable
class VehicleAware(Protocol):
    """A component that is told which vehicle we belong to (R-ID-1, R-ID-2)."""

    def vehicle_changed(self, system: int) -> list[Outgoing]:
        """system: the vehicle's id, and so that of the camera and the companion. First of all calls when it
        is configured; otherwise as soon as it is learned, before the heartbeat that told it."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A component with last words."""

    def closing(self) -> list[Outgoing]:
        """What to send before the endpoints close. No other call comes after it."""
        ...
