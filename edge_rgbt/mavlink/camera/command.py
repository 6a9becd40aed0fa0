"""Commands as they come in: what they hold, whom they mean, and which of them were sent before."""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from dataclasses import dataclass

from edge_rgbt.mavlink.camera.control import Requester
from edge_rgbt.mavlink.exchange import Received
from edge_rgbt.mavlink.identity import Identity

NAN = float("nan")
_UNKNOWN_INT = 2**31 - 1  # COMMAND_INT has no NaN in x and y
_SECOND_NS = 1_000_000_000
RETRANSMITTED_WITHIN_NS = 2 * _SECOND_NS
MOST_PER_SECOND = 50
_MOST_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Command:
    """COMMAND_LONG or COMMAND_INT. params: seven numbers, NaN where nothing is given (R-CMD-7).

    broadcast: to every component. received: the message as it came in.
    """

    number: int
    params: tuple[float, ...]
    broadcast: bool
    received: Received

    @property
    def sender(self) -> Requester:
        return self.received.system, self.received.component

    @property
    def endpoint(self) -> str:
        return self.received.endpoint

    @property
    def arrival_ns(self) -> int:
        return self.received.arrival_ns

    def given(self, position: int) -> bool:
        """True if parameter 1..7 holds a number."""
        return not math.isnan(self.params[position - 1])

    def number_at(self, position: int) -> int | None:
        """Parameter 1..7 as a whole number; 0 for NaN, None if it is none (1.5, infinite)."""
        value = self.params[position - 1]
        if math.isnan(value):
            return 0
        return int(value) if math.isfinite(value) and value == int(value) else None

    @property
    def infinite(self) -> bool:
        return any(map(math.isinf, self.params))

    @property
    def fingerprint(self) -> tuple[Requester, int, bytes]:
        """Equal for retransmissions, NaN included."""
        return self.sender, self.number, struct.pack("<7d", *self.params)


def read_command(received: Received, us: Identity) -> Command | None:
    """The command that a message holds, if it is one and meant for us (R-CMD-1)."""
    message, kind = received.message, received.message.get_type()
    if kind == "COMMAND_LONG":
        last = (message.param5, message.param6, message.param7)
    elif kind == "COMMAND_INT":
        last = (_from_int(message.x), _from_int(message.y), message.z)
    else:
        return None
    if message.target_system not in (us.system, 0) or message.target_component not in (us.component, 0):
        return None
    return Command(
        message.command,
        (message.param1, message.param2, message.param3, message.param4, *last),
        message.target_component == 0,
        received,
    )


def _from_int(value: int) -> float:
    return NAN if value == _UNKNOWN_INT else float(value)


class RateLimit:
    """Counts each sender's commands in windows of a second (R-CMD-9)."""

    def __init__(self) -> None:
        self._windows: OrderedDict[Requester, tuple[int, int]] = OrderedDict()
        self.refused = 0

    def admits(self, sender: Requester, now_ns: int) -> bool:
        began_ns, count = self._windows.pop(sender, (now_ns, 0))
        if now_ns - began_ns >= _SECOND_NS:
            began_ns, count = now_ns, 0
        self._windows[sender] = began_ns, count + 1
        if len(self._windows) > _MOST_REMEMBERED:
            self._windows.popitem(last=False)
        if count < MOST_PER_SECOND:
            return True
        self.refused += 1
        return False


class Answered:
    """Results of the last selections: the same one sent again is answered and not obeyed (R-CMD-8)."""

    def __init__(self) -> None:
        self._results: OrderedDict[tuple[Requester, int, bytes], tuple[int, int]] = OrderedDict()

    def before(self, command: Command) -> int | None:
        """What this very command was answered within the last 2 s."""
        answered_ns, result = self._results.get(command.fingerprint, (None, 0))
        if answered_ns is None or command.arrival_ns - answered_ns >= RETRANSMITTED_WITHIN_NS:
            return None
        return result

    def note(self, command: Command, result: int) -> None:
        self._results.pop(command.fingerprint, None)
        self._results[command.fingerprint] = command.arrival_ns, result
        if len(self._results) > _MOST_REMEMBERED:
            self._results.popitem(last=False)

    def clear(self) -> None:
        """After a stop the same selection is a new order."""
        self._results.clear()
