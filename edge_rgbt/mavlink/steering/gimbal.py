"""The gimbal's side of steering: take it, turn it, keep it still, give it back (R-GM-1 to R-GM-4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.steering.messages import gimbal_rates, release_gimbal, take_gimbal
from edge_rgbt.mavlink.steering.watch import VehicleWatch
from edge_rgbt.steering.gimbal_law import STILL, Rates
from edge_rgbt.steering.machine import Permission
from edge_rgbt.steering.settings import GimbalSettings
from edge_rgbt.steering.situation import Holder

BURST = 4  # zero rates, over 300 ms
BURST_EVERY_NS = 100_000_000
_KEEP_EVERY_NS = 400_000_000  # at least 2 Hz while it is ours
_ASK_AGAIN_NS = 500_000_000
_RELEASES = 3
_UNACKNOWLEDGED_NS = 1_000_000_000
_INHERITED_AGAIN_NS = 5_000_000_000


class _Phase(Enum):
    FREE = "free"
    OURS = "ours"
    LETTING_GO = "letting go"


@dataclass(frozen=True, slots=True)
class Move:
    """A message to the gimbal's manager. stream: a newer one may take its place."""

    message: Any
    stream: bool = False


class GimbalControl:
    """Messages in the right order and often enough. Whether it may steer is decided elsewhere."""

    def __init__(self, settings: GimbalSettings, watch: VehicleWatch, dry_run: bool = False) -> None:
        self._settings, self._watch, self._dry_run = settings, watch, dry_run
        self._phase = _Phase.FREE
        self._asked_ns = self._asked_first_ns = self._sent_ns = self._burst_ns = self._released_ns = 0
        self._confirmed_ns: int | None = None
        self._zeros_left = self._releases_left = 0
        self._last, self._was_ours = STILL, False
        self._inherited_ns = -_INHERITED_AGAIN_NS

    @property
    def quiet(self) -> bool:
        """True while the gimbal is not ours and nothing of ours is on its way to it."""
        return self._phase is _Phase.FREE

    def holder(self, now_ns: int) -> Holder:
        """Who controls the gimbal; what the manager said before it took our request says nothing."""
        holder = self._watch.holder(now_ns)
        if holder is Holder.UNKNOWN or self._phase is not _Phase.OURS:
            return holder
        if self._dry_run:
            return Holder.US
        since = (
            self._asked_first_ns + _UNACKNOWLEDGED_NS if self._confirmed_ns is None else self._confirmed_ns
        )
        assert self._watch.primary is not None
        return holder if self._watch.primary[0] >= since else Holder.NOBODY

    def acknowledged(self, component: int, result: int, at_ns: int) -> None:
        """COMMAND_ACK for DO_GIMBAL_MANAGER_CONFIGURE."""
        if self._watch.manager is None or component != self._watch.manager[0]:
            return
        if result == dialect.MAV_RESULT_ACCEPTED and self._phase is _Phase.OURS:
            self._confirmed_ns = at_ns if self._confirmed_ns is None else self._confirmed_ns
        elif result == dialect.MAV_RESULT_ACCEPTED and self._releases_left < _RELEASES:
            self._finish()

    def step(self, now_ns: int, permission: Permission, rates: Rates, yielded: bool) -> list[Move]:
        """What goes to the gimbal now. rates: of yaw as the gimbal is to take them, from north or nose."""
        if self._watch.manager is None:
            self._phase = _Phase.FREE
            return []
        if permission is Permission.NOTHING:
            return self._without(now_ns, yielded)
        if self._phase is not _Phase.OURS:
            self._phase, self._confirmed_ns, self._was_ours = _Phase.OURS, None, False
            self._asked_ns, self._asked_first_ns = now_ns - _ASK_AGAIN_NS, now_ns
            self._zeros_left, self._last = 0, STILL
            if self._dry_run:  # nobody will answer
                return self._asking(now_ns)
        ours = self.holder(now_ns) is Holder.US
        self._was_ours |= ours
        if not self._was_ours:
            return self._asking(now_ns) if self._confirmed_ns is None else []
        if ours and permission is Permission.STEER:
            return self._steering(now_ns, rates)
        return self._keeping(now_ns)

    def parting(self, yielded: bool = False) -> list[Move]:
        """Everything that has to be said at the very end, at once."""
        if self._phase is _Phase.FREE or self._watch.manager is None:
            return []
        self._finish()
        return [self._rates(STILL)] * 3 + ([] if yielded else [Move(release_gimbal(*self._address()))])

    def last_words(self) -> tuple[Any, Any] | None:
        """What somebody else has to say for us should we die now: zero rates, release. None: nothing."""
        if self._phase is _Phase.FREE or self._watch.manager is None or self._dry_run:
            return None
        return self._rates(STILL).message, release_gimbal(*self._address())

    def _asking(self, now_ns: int) -> list[Move]:
        if now_ns - self._asked_ns < _ASK_AGAIN_NS:
            return []
        self._asked_ns = now_ns
        return [Move(take_gimbal(*self._address()))]

    def _steering(self, now_ns: int, rates: Rates) -> list[Move]:
        self._zeros_left = 0
        period_ns = round(1e9 / self._settings.send_hz)
        if now_ns - self._sent_ns < period_ns:
            return []
        # Keeps the mean rate although cycles come every 20 ms; after a pause it starts anew.
        self._sent_ns = max(self._sent_ns + period_ns, now_ns - period_ns)
        self._last = rates
        return [self._rates(rates, stream=True)]

    def _keeping(self, now_ns: int) -> list[Move]:
        """Zero rates: a burst if it was turning, then often enough to stay in control."""
        if not self._last.zero:
            self._begin_burst(now_ns)
        if self._zeros_left:
            return self._bursting(now_ns)
        if now_ns - self._sent_ns < _KEEP_EVERY_NS:
            return []
        self._sent_ns = now_ns
        return [self._rates(STILL)]

    def _without(self, now_ns: int, yielded: bool) -> list[Move]:
        if self._phase is _Phase.OURS:
            if yielded:
                # Not a word after this one; without it ArduPilot would turn on with our last rate.
                turning, self._last = not self._last.zero, STILL
                self._finish()
                return [self._rates(STILL)] if turning else []
            self._phase = _Phase.LETTING_GO
            self._releases_left, self._released_ns = _RELEASES, 0
            self._begin_burst(now_ns)
        if self._phase is _Phase.LETTING_GO:
            return self._letting_go(now_ns)
        return self._inherited(now_ns)

    def _inherited(self, now_ns: int) -> list[Move]:
        """The manager says that the gimbal is ours though we never took it: an earlier run of ours died."""
        since_ns = now_ns - max(self._inherited_ns, self._released_ns)
        if self._dry_run or since_ns < _INHERITED_AGAIN_NS or self._watch.holder(now_ns) is not Holder.US:
            return []
        self._inherited_ns = now_ns
        self._phase = _Phase.LETTING_GO
        self._releases_left, self._released_ns = _RELEASES, 0
        self._begin_burst(now_ns)
        return self._letting_go(now_ns)

    def _letting_go(self, now_ns: int) -> list[Move]:
        if self._watch.holder(now_ns) is Holder.OTHERS:
            self._finish()
            return []
        if self._zeros_left:
            return self._bursting(now_ns)
        if now_ns - self._released_ns < _ASK_AGAIN_NS:
            return []
        if not self._releases_left:
            self._finish()
            return []
        self._releases_left -= 1
        self._released_ns = now_ns
        return [Move(release_gimbal(*self._address()))]

    def _begin_burst(self, now_ns: int) -> None:
        self._last, self._zeros_left, self._burst_ns = STILL, BURST, now_ns

    def _bursting(self, now_ns: int) -> list[Move]:
        if now_ns < self._burst_ns:
            return []
        self._zeros_left -= 1
        self._burst_ns = now_ns + BURST_EVERY_NS
        self._sent_ns = now_ns
        return [self._rates(STILL)]

    def _finish(self) -> None:
        self._phase, self._confirmed_ns = _Phase.FREE, None
        self._zeros_left = self._releases_left = 0
        self._last = STILL

    def _rates(self, rates: Rates, stream: bool = False) -> Move:
        return Move(gimbal_rates(*self._address(), rates, self._settings.yaw_lock), stream)

    def _address(self) -> tuple[int, int]:
        assert self._watch.system is not None
        assert self._watch.manager is not None
        return self._watch.system, self._watch.manager[0]
