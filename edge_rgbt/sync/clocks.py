"""A camera's clock, held against the arrival of its frames: one that jumps is found out and made up for."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque

from edge_rgbt.types import Frame, TimeSource

LOG = logging.getLogger(__name__)
# A frame may be so much older than the newest one before it, or stamped so far ahead of its arrival: disorder
# on the way, and clocks read a little apart. More is a time that cannot be.
DISORDER_NS = 100_000_000
# A live picture is never so much older at its arrival than its camera's pictures usually are.
_STALE_NS = 5_000_000_000
# Impossible times that agree with one another to this are those of a clock that was set, not of a slow way.
_AGREEMENT_NS = 20_000_000
_CONFIRMED_BY, _REMEMBERED = 3, 10
_LAGS = 30
# By so much the least lag ever seen is let go of with every frame, for clocks that drift apart.
_LEAK_NS = 30_000


class CameraClock:
    """Passes frames whose times can be, and puts right those of a clock that has jumped.

    A frame with a time that cannot be is refused. When, of such frames in a row, the quickest to arrive agree
    with one another, the camera's clock was set: from then on its times are moved so that frames take as long
    to arrive as they did before, and say so (TimeSource.ARRIVAL, with the uncertainty of that). A clock that
    is set back again is trusted again. Clocks that jump ahead by less than the usual way from capture to
    arrival, or back by less than `DISORDER_NS`, cannot be told from a way of changing length.

    offset_ns: added to times to bring them to this computer's clock. Used from one thread.
    """

    def __init__(self, name: str, offset_ns: int = 0) -> None:
        self.name = name
        self.refused = 0
        self.jumps = 0
        self.correction_ns = 0
        self._offset_ns = offset_ns
        self._newest_ns: int | None = None
        self._least_lag_ns: int | None = None
        self._lags: deque[int] = deque(maxlen=_LAGS)  # from capture to arrival
        self._suspects: deque[int] = deque(maxlen=_REMEMBERED)  # the same, by the camera's own clock

    def check(self, frame: Frame, arrived_ns: int) -> Frame | None:
        """The frame with its right time, or None for one that has none."""
        raw_lag_ns = arrived_ns - frame.timestamp_ns - self._offset_ns
        time_ns = frame.timestamp_ns + self.correction_ns
        if self._suspected(raw_lag_ns) or not self._possible(time_ns, raw_lag_ns - self.correction_ns):
            self._suspects.append(raw_lag_ns)
            if not self._confirmed():
                self.refused += 1
                return None
            self._adopt(min(self._suspects))
            time_ns = frame.timestamp_ns + self.correction_ns
        self._suspects.clear()
        self._learn(time_ns, raw_lag_ns - self.correction_ns)
        if not self.correction_ns:
            return frame
        uncertain_ns = frame.time_uncertainty_ns + max(self._lags) - min(self._lags) + _AGREEMENT_NS
        return dataclasses.replace(
            frame,
            timestamp_ns=time_ns,
            time_source=TimeSource.ARRIVAL,
            time_uncertainty_ns=uncertain_ns,
        )

    def _possible(self, time_ns: int, lag_ns: int) -> bool:
        least_ns = self._least_lag_ns or 0
        if self._newest_ns is not None and time_ns < self._newest_ns - DISORDER_NS:
            return False
        return min(0, least_ns) - DISORDER_NS <= lag_ns <= least_ns + _STALE_NS

    def _suspected(self, raw_lag_ns: int) -> bool:
        """True for a frame stamped as an impossible one just before it, if possible itself."""
        return any(abs(raw_lag_ns - suspect) <= _AGREEMENT_NS for suspect in self._suspects)

    def _confirmed(self) -> bool:
        """Delays only add: of frames by one clock, the quickest agree, however the others were held up."""
        quickest = sorted(self._suspects)[:_CONFIRMED_BY]
        return len(quickest) == _CONFIRMED_BY and quickest[-1] - quickest[0] <= _AGREEMENT_NS

    def _adopt(self, raw_lag_ns: int) -> None:
        """Takes the clock as it is now; frames arrive after as long a way as ever."""
        before_ns = self.correction_ns
        usual_ns = min(self._lags, default=0)
        self.correction_ns = raw_lag_ns - usual_ns
        if abs(self.correction_ns) <= _AGREEMENT_NS:
            self.correction_ns = 0
        self.jumps += 1
        self._newest_ns = None
        jump_s = (before_ns - self.correction_ns) / 1e9
        what = (
            "is right again" if not self.correction_ns else "jumped; times are those of arrival from now on"
        )
        LOG.warning("%s: its clock went by %+.3f s; %s", self.name, jump_s, what)

    def _learn(self, time_ns: int, lag_ns: int) -> None:
        if self._newest_ns is None or time_ns > self._newest_ns:
            self._newest_ns = time_ns
            self._lags.append(lag_ns)
            least_ns = lag_ns if self._least_lag_ns is None else self._least_lag_ns + _LEAK_NS
            self._least_lag_ns = min(lag_ns, least_ns)
