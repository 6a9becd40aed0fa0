"""What we ask the autopilot to tell us, until it does (section 8.2)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edge_rgbt.geolocation.settings import GeolocationSettings, MountSettings
from edge_rgbt.mavlink.dialect import common as dialect

_SETTLE_NS = 1_000_000_000
_ASK_AGAIN_NS = 10_000_000_000
_COUNTED_OVER_NS = 3_000_000_000


@dataclass
class Wanted:
    """A message and how often it should come. names: any of them will do; ids: asked for in turn."""

    names: tuple[str, ...]
    rate_hz: float
    arrivals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=256))
    asked: int = 0

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(getattr(dialect, f"MAVLINK_MSG_ID_{name}") for name in self.names)

    def comes(self, now_ns: int, since_ns: int) -> bool:
        """True if it comes at half its rate or more; once is enough where that is not even one."""
        over_ns = max(_COUNTED_OVER_NS, round(3e9 / self.rate_hz))
        start_ns = max(now_ns - over_ns, since_ns)
        count = sum(at >= start_ns for at in self.arrivals_ns)
        return count >= max(1, int(0.5 * self.rate_hz * (now_ns - start_ns) / 1e9))


def wanted_messages(mount: MountSettings, settings: GeolocationSettings) -> list[Wanted]:
    """Everything that geolocation and steering listen to; without what this vehicle does not use."""
    wanted = [
        Wanted(("ATTITUDE_QUATERNION", "ATTITUDE"), 20.0),
        Wanted(("GLOBAL_POSITION_INT",), 10.0),
        Wanted(("HOME_POSITION",), 0.2),
        Wanted(("GPS_RAW_INT",), 1.0),
        Wanted(("SYS_STATUS",), 1.0),
        Wanted(("SYSTEM_TIME",), 1.0),
        Wanted(("EXTENDED_SYS_STATE",), 1.0),
    ]
    if mount.kind == "gimbal":
        wanted.append(Wanted(("GIMBAL_DEVICE_ATTITUDE_STATUS", "MOUNT_ORIENTATION"), 20.0))
        wanted.append(Wanted(("GIMBAL_MANAGER_STATUS",), 2.0))
    if "rangefinder" in settings.heights:
        wanted.append(Wanted(("DISTANCE_SENSOR",), 5.0))
    if "terrain" in settings.heights:
        wanted.append(Wanted(("TERRAIN_REPORT",), 1.0))
    return wanted


class TelemetryRequests:
    """Counts what comes, and says what to ask for: a second after each connection, then every 10 s."""

    def __init__(self, wanted: list[Wanted]) -> None:
        self._wanted = wanted
        self._by_name = {name: one for one in wanted for name in one.names}
        self._since_ns: int | None = None
        self._next_ns = 0

    def restart(self) -> None:
        """A new connection, or an autopilot that has forgotten everything."""
        self._since_ns = None
        for one in self._wanted:
            one.arrivals_ns.clear()
            one.asked = 0

    def arrived(self, name: str, at_ns: int) -> None:
        one = self._by_name.get(name)
        if one is not None:
            one.arrivals_ns.append(at_ns)

    def missing(self, now_ns: int) -> list[str]:
        """The messages that do not come, or far too seldom."""
        since = now_ns if self._since_ns is None else self._since_ns
        return [one.names[0] for one in self._wanted if not one.comes(now_ns, since)]

    def due(self, now_ns: int) -> list[tuple[int, float]]:
        """Message ids and rates to ask for now."""
        if self._since_ns is None:
            self._since_ns, self._next_ns = now_ns, now_ns + _SETTLE_NS
        if now_ns < self._next_ns:
            return []
        self._next_ns = now_ns + _ASK_AGAIN_NS
        asks = []
        for one in self._wanted:
            if not one.comes(now_ns, self._since_ns):
                asks.append((one.ids[one.asked % len(one.ids)], one.rate_hz))
                one.asked += 1
        return asks
