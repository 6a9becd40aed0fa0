"""An autopilot that starts again, told by its clock (R-EP-9)."""

from __future__ import annotations

from typing import Any

_BACK_MS = 1000
_WRAP_MS = 2**32


class RebootWatch:
    """One autopilot's time since its boot, from SYSTEM_TIME and TIMESYNC, each with a clock of its own."""

    def __init__(self) -> None:
        self._newest_ms: dict[str, int] = {}

    def restarted(self, message: Any) -> bool:
        """Takes in a message of the autopilot; True if its clock went back by more than a second."""
        kind = message.get_type()
        if kind == "SYSTEM_TIME":
            now_ms = message.time_boot_ms
        elif kind == "TIMESYNC":
            # A reply has the sender's time in tc1, a request in ts1.
            now_ms = (message.tc1 or message.ts1) // 1_000_000
        else:
            return False
        before_ms = self._newest_ms.get(kind)
        self._newest_ms[kind] = now_ms
        if before_ms is None or now_ms >= before_ms - _BACK_MS:
            self._newest_ms[kind] = max(now_ms, before_ms or 0)
            return False
        wrapped = kind == "SYSTEM_TIME" and before_ms - now_ms > _WRAP_MS // 2  # after 49 days
        if not wrapped:
            self._newest_ms = {kind: now_ms}
        return not wrapped
