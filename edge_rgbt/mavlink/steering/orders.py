"""Engage and disengage as a MAVLink command to the companion (191): MAV_CMD_USER_1.

Any ground station can send it: QGroundControl's custom actions (`mavCmd` 31010, `compId` 191), Mission
Planner and MAVProxy from a script, and `edge-rgbt gcs`.

    param1  1 engage, 0 disengage
    param2  level: 1 gimbal, 2 roi, 3 beacon, 4 guided; 0 or NaN: the configured one
    param3  track id that is meant; 0 or NaN: whichever is tracked

Answered ACCEPTED; TEMPORARILY_REJECTED while a condition is not met, with the reason as a text; DENIED for
who may not, and for what is not configured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.camera.command import Answered, Command, RateLimit, read_command
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Received, Speaker
from edge_rgbt.mavlink.identity import ONBOARD_COMPUTER_COMPONENT, Identity
from edge_rgbt.mavlink.sources import SourcePolicy
from edge_rgbt.steering.situation import Level

ENGAGE = dialect.MAV_CMD_USER_1
ACCEPTED, REJECTED = dialect.MAV_RESULT_ACCEPTED, dialect.MAV_RESULT_TEMPORARILY_REJECTED
DENIED, UNSUPPORTED = dialect.MAV_RESULT_DENIED, dialect.MAV_RESULT_UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asked for. level None: the configured one. track_id None: whichever is tracked."""

    engage: bool
    level: Level | None
    track_id: int | None
    system: int
    component: int
    at_ns: int


Obey = Callable[[Order], int]


class Orders:
    """Answers every command that is addressed to the companion."""

    def __init__(
        self, obey: Obey, stands: Callable[[Order], bool], policy: SourcePolicy | None = None
    ) -> None:
        """obey: does it and says with which MAV_RESULT. stands: whether what an order asked for is the case.
        policy: who may start anything at all."""
        self._obey, self._stands, self._policy = obey, stands, policy
        self._limit, self._answered = RateLimit(), Answered()

    def receive(self, received: Received, system: int) -> list[Outgoing]:
        command = read_command(received, Identity(system, ONBOARD_COMPUTER_COMPONENT))
        # USER_1 to everybody may mean anybody; only who is addressed obeys.
        if command is None or command.broadcast:
            return []
        return [self._answer(command, self._result(command, received))]

    def _result(self, command: Command, received: Received) -> int:
        if not self._limit.admits(command.sender, received.arrival_ns):
            return REJECTED
        if command.number != ENGAGE:
            return UNSUPPORTED
        wanted, level, track = (command.number_at(position) for position in (1, 2, 3))
        known = not command.infinite and command.given(1) and wanted in (0, 1)
        if not known or level is None or track is None or not 0 <= level <= Level.GUIDED:
            return DENIED
        if (
            wanted
            and self._policy is not None
            and not self._policy.allows(command.sender, received.address, received.endpoint)
        ):
            return DENIED
        order = Order(
            bool(wanted), Level(level) if level else None, track or None, *command.sender, received.arrival_ns
        )
        if wanted and self._answered.before(command) == ACCEPTED:
            # Sent again because the answer was lost: what has ended since is not begun by it once more.
            return ACCEPTED if self._stands(order) else REJECTED
        result = self._obey(order)
        if not wanted:
            self._answered.clear()  # the same engagement again is a new wish
        self._answered.note(command, result)
        return result

    @staticmethod
    def _answer(command: Command, result: int) -> Outgoing:
        ack: Any = dialect.MAVLink_command_ack_message(command.number, result, 0, 0, *command.sender)
        return Outgoing(ack, Priority.ACK, Speaker.COMPANION, command.endpoint)
