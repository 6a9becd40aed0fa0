"""Which messages go out on which link how often."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

OFF_US, UNAVAILABLE_US = -1, 0
_FASTEST_NS, _SLOWEST_NS = 5_000_000, 2_000_000_000_000  # MESSAGE_INTERVAL has no room for more


class Streams:
    """Intervals per port and message id. Times are nanoseconds on any clock, always the same one."""

    def __init__(
        self, ports: Iterable[str], defaults: Mapping[int, float], available: Collection[int]
    ) -> None:
        self._available = frozenset(available)
        self._defaults = {number: round(1e9 / rate) for number, rate in defaults.items()}
        self._intervals: dict[str, dict[int, int]] = {port: dict(self._defaults) for port in ports}
        self._next: dict[tuple[str, int], int] = {}

    def reset(self) -> None:
        """After a reboot."""
        for intervals in self._intervals.values():
            intervals.clear()
            intervals.update(self._defaults)
        self._next.clear()

    def set(self, port: str, number: int, interval_us: float, now_ns: int) -> bool:
        """-1 stops, 0 goes back to the default. False for a message that is never sent."""
        if number not in self._available:
            return False
        intervals = self._intervals[port]
        intervals.pop(number, None)
        self._next.pop((port, number), None)
        if interval_us > 0:
            intervals[number] = round(min(max(interval_us * 1000, _FASTEST_NS), _SLOWEST_NS))
            self._next[port, number] = now_ns
        elif interval_us == 0 and number in self._defaults:
            intervals[number] = self._defaults[number]
        return True

    def interval_us(self, port: str, number: int) -> int:
        """As MESSAGE_INTERVAL says it."""
        if number not in self._available:
            return UNAVAILABLE_US
        interval = self._intervals[port].get(number)
        return OFF_US if interval is None else interval // 1000

    def due(self, now_ns: int) -> list[tuple[str, int]]:
        """(port, message id) of what is to be sent by now; what was missed is not made up for."""
        found = []
        for port, intervals in self._intervals.items():
            for number, interval in intervals.items():
                planned = self._next.get((port, number), now_ns)
                if planned <= now_ns:
                    found.append((port, number))
                    self._next[port, number] = max(planned + interval, now_ns - interval)
        return found
