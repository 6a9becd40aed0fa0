"""What waits to be sent on one endpoint: bounded, the important first, no faster than the line (R-EP-6)."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.exchange import Priority
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.links import Peer

CAPACITY = 256
_RESERVE_S = 0.25  # of the budget is kept for what is worth more than a stream
_SAVED_S = 0.5  # of the budget may be spent at once after a pause


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message for one endpoint. peer: only for that one. frame: ready made, of somebody else."""

    priority: Priority
    identity: Identity | None = None
    message: Any = None
    latest_wins: bool = False
    peer: Peer | None = None
    frame: bytes = b""

    @property
    def kind(self) -> Hashable:
        """What a newer message replaces: same speaker, same kind and, where there are some, same instance."""
        field = self.message._instance_field  # pymavlink names it and has no other access
        instance = None if field is None else str(getattr(self.message, field, None))
        return self.identity, self.message.get_msgId(), instance, self.peer


class Budget:
    """Bytes per second of one endpoint (section 5.4). What matters most passes anyway and is paid back by
    the streams, which are so lowered first."""

    def __init__(self, bytes_per_s: float, now_ns: int) -> None:
        self._rate = bytes_per_s
        self._left = bytes_per_s * _SAVED_S
        self._at_ns = now_ns

    def allows(self, priority: Priority, now_ns: int) -> bool:
        earned = (now_ns - self._at_ns) * 1e-9 * self._rate
        self._left, self._at_ns = min(self._left + earned, self._rate * _SAVED_S), now_ns
        if priority <= Priority.HEARTBEAT:
            return True
        return self._left > (0 if priority <= Priority.SETPOINT else self._rate * _RESERVE_S)

    def spend(self, size: int) -> None:
        # The debt is bounded, or one burst of answers would silence the streams for long.
        self._left = max(self._left - size, -self._rate * _SAVED_S)


class Outbox:
    """Parcels of one endpoint by priority, oldest first; a full box loses the oldest of the least important.

    Any thread puts, the endpoint's own takes. dropped: replaced or lost so far.
    """

    def __init__(self, bytes_per_s: float, capacity: int = CAPACITY) -> None:
        self.budget = Budget(bytes_per_s, time.monotonic_ns())
        self.dropped = 0
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting: dict[Priority, OrderedDict[Hashable, Parcel]] = {p: OrderedDict() for p in Priority}
        self._numbers = itertools.count()

    def put(self, parcel: Parcel) -> None:
        """Never blocks."""
        with self._lock:
            queue = self._waiting[parcel.priority]
            key: Hashable = parcel.kind if parcel.latest_wins else next(self._numbers)
            if key in queue:
                self.dropped += 1
            elif sum(map(len, self._waiting.values())) >= self._capacity:
                queue[key] = parcel
                self._drop_oldest()
                return
            queue[key] = parcel

    def take(self, now_ns: int) -> Parcel | None:
        """The next that may go now; `budget.spend` has to follow with its size."""
        with self._lock:
            for priority, queue in self._waiting.items():
                if queue:
                    if not self.budget.allows(priority, now_ns):
                        return None
                    return queue.popitem(last=False)[1]
        return None

    def clear(self, but_heartbeats: bool = False) -> None:
        """Loses what waits: nobody wants it late."""
        with self._lock:
            for priority, queue in self._waiting.items():
                if not (but_heartbeats and priority is Priority.HEARTBEAT):
                    self.dropped += len(queue)
                    queue.clear()

    def clear_one_shots(self) -> None:
        """Loses what answered somebody who is not heard any more (R-EP-8)."""
        with self._lock:
            for priority in (Priority.ACK, Priority.ONE_SHOT):
                self.dropped += len(self._waiting[priority])
                self._waiting[priority].clear()

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def _drop_oldest(self) -> None:
        for priority in reversed(Priority):
            if self._waiting[priority]:
                self._waiting[priority].popitem(last=False)
                self.dropped += 1
                return
