"""Which messages are passed on between our endpoints, where the configuration asks for it (section 1.4)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from edge_rgbt.mavlink.framing import Frame

_SETUP_SIGNING = 256
_MOST_ROUTES = 256
_MOST_REMEMBERED = 2048
_LOOPS_WITHIN_NS = 2_000_000_000


class Forwarder:
    """Routes as an autopilot does: what is for all goes to all others, what is addressed goes where its
    target was heard. The same bytes are passed on once, so that a ring of routers does not circulate them."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._endpoints = tuple(endpoints)
        self._lock = threading.Lock()
        self._heard_on: OrderedDict[tuple[int, int], set[str]] = OrderedDict()
        self._passed: OrderedDict[bytes, int] = OrderedDict()
        self.loops = 0

    def route(self, endpoint: str, frame: Frame, message: Any, now_ns: int) -> list[str]:
        """The endpoints that a frame from `endpoint` goes to. message: None for one that we do not know.
        Keys are passed on to nobody (R-SEC-4)."""
        if frame.message_id == _SETUP_SIGNING:
            return []
        with self._lock:
            if self._is_loop(frame.data, now_ns):
                self.loops += 1
                return []
            self._learn((frame.system, frame.component), endpoint)
            system = getattr(message, "target_system", 0)
            component = getattr(message, "target_component", 0)
            return [
                other
                for other in self._endpoints
                if other != endpoint and (not system or self._leads_to(other, system, component))
            ]

    def _is_loop(self, data: bytes, now_ns: int) -> bool:
        while self._passed:
            oldest, passed_ns = next(iter(self._passed.items()))
            if len(self._passed) < _MOST_REMEMBERED and now_ns - passed_ns <= _LOOPS_WITHIN_NS:
                break
            del self._passed[oldest]
        if data in self._passed:
            return True
        self._passed[data] = now_ns
        return False

    def _learn(self, source: tuple[int, int], endpoint: str) -> None:
        self._heard_on.setdefault(source, set()).add(endpoint)
        self._heard_on.move_to_end(source)
        if len(self._heard_on) > _MOST_ROUTES:
            self._heard_on.popitem(last=False)

    def _leads_to(self, endpoint: str, system: int, component: int) -> bool:
        return any(
            endpoint in heard_on
            for (one, part), heard_on in self._heard_on.items()
            if one == system and component in (0, part)
        )
