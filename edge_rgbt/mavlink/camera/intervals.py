"""Who asked for which message how often: a lease per requester, the shortest one counts (section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge_rgbt.mavlink.camera.control import Requester

LEASE_NS = 60_000_000_000  # a requester that sent nothing for so long is gone
MIN_US, MAX_US = 20_000, 120_000_000
OFF, DEFAULT = -1, 0
_MOST_REQUESTERS = 32
_MOST_LEASES = 64

Kind = tuple[int, int]  # message id, and which of several: the stream of 269 and 270, else 0


@dataclass(slots=True)
class _Requester:
    heard_ns: int
    endpoints: set[str] = field(default_factory=set)
    beats: bool = False  # sends heartbeats, so that its silence means something
    leases: dict[Kind, int] = field(default_factory=dict)


class Intervals:
    """Leases and defaults, and when each message is due. Intervals are in microseconds, as on the wire."""

    def __init__(self, defaults_us: Mapping[int, int]) -> None:
        """defaults_us: messages that are sent unasked, and how often; 0: with every published state."""
        self._defaults_us = dict(defaults_us)
        self._stopped: set[Kind] = set()
        self._requesters: dict[Requester, _Requester] = {}
        self._next_ns: dict[Kind, int] = {}

    def heard(self, who: Requester, endpoint: str, now_ns: int, beat: bool = False) -> None:
        """Notes a sign of life. Of more than 32 requesters the one silent for longest is forgotten."""
        known = self._requesters.get(who)
        if known is None:
            known = self._requesters[who] = _Requester(now_ns)
            if len(self._requesters) > _MOST_REQUESTERS:
                self._forget(self._least_needed())
        known.heard_ns = now_ns
        known.endpoints.add(endpoint)
        known.beats |= beat

    def ask(self, who: Requester, kind: Kind, interval_us: int, now_ns: int) -> bool:
        """Takes a request of a requester that was heard: a time, OFF or DEFAULT. False if there are too many
        leases already. A new rate begins at once."""
        leases = self._requesters[who].leases
        if interval_us > 0:
            if kind not in leases and sum(len(r.leases) for r in self._requesters.values()) >= _MOST_LEASES:
                return False
            leases[kind] = min(max(interval_us, MIN_US), MAX_US)
            self._next_ns[kind] = now_ns
            return True
        leases.pop(kind, None)
        if interval_us == DEFAULT:
            self._stopped.discard(kind)
        elif self._shortest_us(kind) is None:
            self._stopped.add(kind)
        return True

    def resume(self, message_ids: Iterable[int]) -> None:
        """A new track: defaults that somebody had switched off flow again, and all of them at once."""
        for message_id in message_ids:
            self._stopped.discard((message_id, 0))
            self._next_ns.pop((message_id, 0), None)

    def interval_us(self, kind: Kind) -> int | None:
        """What counts now; None if the message does not flow, 0 for every published state."""
        shortest = self._shortest_us(kind)
        if shortest is not None:
            return shortest
        return None if kind in self._stopped or kind[1] else self._defaults_us.get(kind[0])

    def shortest_us(self, message_id: int) -> int | None:
        """What counts now for a message, whichever of several."""
        kinds = {(message_id, 0), *(kind for kind in self.leased() if kind[0] == message_id)}
        flowing = [us for us in map(self.interval_us, kinds) if us is not None]
        return min(flowing, default=None)

    def is_leased(self, kind: Kind) -> bool:
        return self._shortest_us(kind) is not None

    def leased(self) -> list[Kind]:
        """Everything that somebody asked for."""
        return sorted({kind for requester in self._requesters.values() for kind in requester.leases})

    def endpoints(self, kind: Kind) -> set[str]:
        """Where those who asked for it were heard."""
        return {e for r in self._requesters.values() if kind in r.leases for e in r.endpoints}

    def is_due(self, kind: Kind, now_ns: int) -> bool:
        return self.interval_us(kind) is not None and now_ns >= self._next_ns.get(kind, 0)

    def sent(self, kind: Kind, now_ns: int) -> None:
        """Plans the next one in steps of the interval, so that a timer's jitter does not thin the stream."""
        interval_us = self.interval_us(kind)
        if interval_us is None:
            return
        planned = self._next_ns.get(kind, 0)
        step_ns = interval_us * 1000
        on_time = now_ns - planned < step_ns
        self._next_ns[kind] = (planned if on_time else now_ns) + step_ns

    def expire(self, now_ns: int) -> None:
        """Forgets requesters that fell silent, and with them what they asked for."""
        for who, requester in list(self._requesters.items()):
            if now_ns - requester.heard_ns > LEASE_NS:
                self._forget(who)

    def link_lost(self, endpoint: str) -> None:
        """Forgets whoever was heard only there (R-EP-8). A requester that never sent a heartbeat may well be
        alive and silent; its lease lasts its minute."""
        for who, requester in list(self._requesters.items()):
            if requester.beats:
                requester.endpoints.discard(endpoint)
                if not requester.endpoints:
                    self._forget(who)

    def _shortest_us(self, kind: Kind) -> int | None:
        asked = [r.leases[kind] for r in self._requesters.values() if kind in r.leases]
        return min(asked, default=None)

    def _least_needed(self) -> Requester:
        def rank(who: Requester) -> tuple[bool, int]:
            return bool(self._requesters[who].leases), self._requesters[who].heard_ns

        return min(self._requesters, key=rank)

    def _forget(self, who: Requester) -> None:
        del self._requesters[who]
