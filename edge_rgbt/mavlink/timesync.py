"""TIMESYNC and SYSTEM_TIME: whose clock says what (R-TM-1 to R-TM-3, R-EP-9)."""

from __future__ import annotations

from typing import Any

from edge_rgbt.geolocation.clock import AutopilotClock
from edge_rgbt.mavlink.autopilot_link import FollowsAutopilot
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Received, Speaker
from edge_rgbt.mavlink.identity import CAMERA_COMPONENT

_FAST_FOR_NS = 3_000_000_000
_FAST_PERIOD_NS = 100_000_000
_PERIOD_NS = 1_000_000_000
_LONGEST_RTT_NS = {"serial": 50_000_000}
_LONGEST_RTT_ELSEWHERE_NS = 20_000_000
_ANSWER_WITHIN_NS = 2_000_000_000
_SET_BACK_NS = 1_000_000_000
_ADDRESSED = "target_system" in dialect.MAVLink_timesync_message.fieldnames  # in newer dialects
_EARLIEST_UNIX_US = 10**15  # before 2001: the autopilot has no satellite time yet


class TimeSync(FollowsAutopilot):
    """Answers every question about our time, asks the autopilot for its own, and keeps `clock`.

    component: our own number. It runs beside whatever else the speaker says.
    """

    def __init__(
        self, clock: AutopilotClock, component: int = CAMERA_COMPONENT, speaker: Speaker = Speaker.CAMERA
    ) -> None:
        self.clock = clock
        self._component, self._speaker = component, speaker
        super().__init__()
        self._asked: dict[int, int] = {}  # what we asked with -> when
        self._fast_until_ns: int | None = None
        self._next_ns = 0
        self._resets = clock.resets
        self._newest_theirs_ns: int | None = None

    def receive(self, received: Received) -> list[Outgoing]:
        kind = received.message.get_type()
        autopilot = self._link.heard(received)
        if kind == "TIMESYNC":
            if not self._for_us(received.message):
                return []
            if received.message.tc1 == 0:
                return self._answer(received)
            if autopilot:
                self._take_answer(received)
        elif kind == "SYSTEM_TIME" and autopilot:
            self._take_system_time(received)
        return []

    def due(self, now_ns: int) -> list[Outgoing]:
        if self._link.endpoint is None or self._link.system is None:
            return []
        if self.clock.resets != self._resets:
            self._restart(reset=False)
        if self._fast_until_ns is None:
            self._fast_until_ns, self._next_ns = now_ns + _FAST_FOR_NS, now_ns
        if now_ns < self._next_ns:
            return []
        period = _FAST_PERIOD_NS if now_ns < self._fast_until_ns else _PERIOD_NS
        self._next_ns = max(self._next_ns + period, now_ns)
        self._asked = {ts1: at for ts1, at in self._asked.items() if now_ns - at < _ANSWER_WITHIN_NS}
        self._asked[now_ns] = now_ns
        return self._link.request(dialect.MAVLink_timesync_message(0, now_ns), self._speaker)

    def _restart(self, reset: bool = True) -> None:
        if reset:
            self.clock.reset()
        self._resets = self.clock.resets
        self._asked.clear()
        self._fast_until_ns = self._newest_theirs_ns = None

    def _for_us(self, message: Any) -> bool:
        """Newer dialects say whom a message is for; 0 means everybody."""
        system, component = getattr(message, "target_system", 0), getattr(message, "target_component", 0)
        return system in (0, self._link.system) and component in (0, self._component)

    def _answer(self, received: Received) -> list[Outgoing]:
        """Our time at once, with what they asked with, bit for bit (R-TM-1)."""
        if self._link.system is None:
            return []  # we have no number to speak with yet
        addressee = (received.system, received.component) if _ADDRESSED else ()
        asked_with = received.message.ts1
        reply = dialect.MAVLink_timesync_message(received.arrival_ns, asked_with, *addressee)
        return [Outgoing(reply, Priority.ACK, self._speaker, received.endpoint)]

    def _take_answer(self, received: Received) -> None:
        """An answer counts once, and only to what we asked ourselves a moment ago (R-TM-2)."""
        asked_ns = self._asked.pop(received.message.ts1, None)
        if asked_ns is None or received.arrival_ns - asked_ns > _ANSWER_WITHIN_NS:
            return
        theirs_ns = received.message.tc1
        if self._set_back(theirs_ns):
            return
        expected_ns = self.clock.offset_ns(received.arrival_ns)
        if expected_ns is not None and abs(theirs_ns - received.arrival_ns - expected_ns) > _SET_BACK_NS:
            self._restart()  # its time jumped, which clocks that run do not
            return
        scheme = received.endpoint.partition(":")[0]
        longest = _LONGEST_RTT_NS.get(scheme, _LONGEST_RTT_ELSEWHERE_NS)
        self.clock.add(asked_ns, received.arrival_ns, theirs_ns, longest)

    def _take_system_time(self, received: Received) -> None:
        message = received.message
        boot_ns = message.time_boot_ms * 1_000_000
        self._set_back(boot_ns)
        if message.time_unix_usec < _EARLIEST_UNIX_US:
            return
        at_ns = received.arrival_ns
        if self.clock.valid(at_ns):
            corrected = self.clock.ours_ns(boot_ns, at_ns)
            at_ns = at_ns if corrected is None else corrected
        self.clock.set_unix_time(message.time_unix_usec * 1000, at_ns)

    def _set_back(self, theirs_ns: int) -> bool:
        """True if the autopilot's time has gone back: it started anew (R-EP-9), and so do we."""
        newest = self._newest_theirs_ns
        if newest is not None and theirs_ns < newest - _SET_BACK_NS:
            self._restart()
            self._newest_theirs_ns = theirs_ns
            return True
        self._newest_theirs_ns = theirs_ns if newest is None else max(newest, theirs_ns)
        return False
