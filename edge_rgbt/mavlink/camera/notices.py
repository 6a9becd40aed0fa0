"""STATUSTEXT: short sentences for the operator, few and never the same one twice in a row."""

from __future__ import annotations

from collections import deque
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect

CHUNK_BYTES = 50
_MOST_BYTES = 5 * CHUNK_BYTES
_PERIOD_NS = 1_000_000_000
_REPEAT_NS = 5_000_000_000
_WAITING = 8
_REMEMBERED = 16

EMERGENCY, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG = range(8)  # MAV_SEVERITY


def statustexts(severity: int, text: str, number: int) -> list[Any]:
    """The messages of one text: one up to 50 bytes, else chunks that share a number; letters stay whole."""
    data = text.encode()[:_MOST_BYTES]
    chunks = []
    while data or not chunks:
        cut = min(len(data), CHUNK_BYTES)
        while cut < len(data) and data[cut] & 0xC0 == 0x80:  # never inside a letter of several bytes
            cut -= 1
        chunks.append(data[:cut])
        data = data[cut:]
    if len(chunks) == 1:
        return [dialect.MAVLink_statustext_message(severity, chunks[0], 0, 0)]
    if len(chunks[-1]) == CHUNK_BYTES:  # a chunk that is not full ends the text
        chunks.append(b"")
    return [
        dialect.MAVLink_statustext_message(severity, chunk, number, place)
        for place, chunk in enumerate(chunks)
    ]


class Notices:
    """Texts that wait for their turn: one a second at most, none again within five (section 4.7)."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, str]] = deque(maxlen=_WAITING)
        self._said_ns: dict[str, int] = {}
        self._next_ns = 0
        self._number = 0

    def say(self, severity: int, text: str) -> None:
        """Takes a text unless it waits already; more than 8 push the oldest out."""
        if all(text != other for _, other in self._waiting):
            self._waiting.append((severity, text))

    def due(self, now_ns: int) -> list[Any]:
        """The messages of the next text, if its time has come; what was said just before is dropped."""
        if now_ns < self._next_ns:
            return []
        while self._waiting:
            severity, text = self._waiting.popleft()
            if now_ns - self._said_ns.get(text, -_REPEAT_NS) < _REPEAT_NS:
                continue
            self._next_ns = now_ns + _PERIOD_NS
            self._said_ns.pop(text, None)
            self._said_ns[text] = now_ns
            if len(self._said_ns) > _REMEMBERED:
                del self._said_ns[next(iter(self._said_ns))]
            self._number = self._number % 65535 + 1
            return statustexts(severity, text, self._number)
        return []
