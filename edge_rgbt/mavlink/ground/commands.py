"""Commands of a ground station: sent again until they are answered, as MAVSDK and QGroundControl do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect

RETRY_NS = 500_000_000
SENDS = 4
NAN = float("nan")
_RESULTS = {
    0: "accepted",
    1: "cannot now",
    2: "refused",
    3: "not supported",
    4: "failed",
    5: "in progress",
    6: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command. result: of MAV_RESULT; None: nobody answered within two seconds."""

    command: int
    result: int | None

    @property
    def accepted(self) -> bool:
        return self.result == 0

    @property
    def text(self) -> str:
        return "no answer" if self.result is None else _RESULTS.get(self.result, f"result {self.result}")


@dataclass
class _Pending:
    message: Any
    done: Callable[[Answer], None]
    sent: int
    again_ns: int


class PendingCommands:
    """Commands without an answer yet, by the component asked and the command; a newer one takes its place."""

    def __init__(self) -> None:
        self._pending: dict[tuple[int, int], _Pending] = {}

    def send(
        self,
        target: tuple[int, int],
        command: int,
        params: tuple[float, ...],
        done: Callable[[Answer], None],
        now_ns: int,
    ) -> Any:
        """The COMMAND_LONG to send now. params: up to seven, the others are not given (NaN)."""
        filled = params + (NAN,) * (7 - len(params))
        message = dialect.MAVLink_command_long_message(*target, command, 0, *filled)
        key = target[1], command
        replaced = self._pending.pop(key, None)
        self._pending[key] = _Pending(message, done, 1, now_ns + RETRY_NS)
        if replaced is not None:
            replaced.done(Answer(command, None))
        return message

    def answered(self, component: int, command: int, result: int) -> None:
        if result == dialect.MAV_RESULT_IN_PROGRESS:
            return
        pending = self._pending.pop((component, command), None)
        if pending is not None:
            pending.done(Answer(command, result))

    def due(self, now_ns: int) -> list[Any]:
        """Commands to send once more; those sent four times in vain are given up."""
        again = []
        for key, pending in list(self._pending.items()):
            if now_ns < pending.again_ns:
                continue
            if pending.sent >= SENDS:
                del self._pending[key]
                pending.done(Answer(key[1], None))
                continue
            pending.sent += 1
            pending.again_ns = now_ns + RETRY_NS
            again.append(pending.message)
        return again
