"""The autopilot's clock against ours, from timed questions and answers (R-TM-2)."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

WINDOW_NS = 20_000_000_000
_SAMPLES_NEEDED = 5
_MOST_SAMPLES = 256
# Drift is fitted over the best answers of blocks: within one window the jitter of a link hides it.
_BLOCK_NS = 10_000_000_000
_BLOCKS = 12
_BLOCKS_FOR_DRIFT = 4
_LARGEST_DRIFT = 200e-6  # of one; crystals keep 100 parts per million


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int  # ours, half way between question and answer
    offset_ns: int  # theirs minus ours
    rtt_ns: int


class AutopilotClock:
    """Offset and drift of the autopilot's time since boot. Written by one thread, read by any.

    The answer that came back fastest within 20 s counts: half its way there and back bounds its error.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unix_minus_ours_ns: int | None = None
        self.resets = -1  # how often the offset was forgotten since the first
        self.reset()

    def reset(self) -> None:
        """Forgets the offset: the autopilot started anew, or another one is spoken to."""
        with self._lock:
            self.resets += 1
            self._window: deque[_Sample] = deque(maxlen=_MOST_SAMPLES)
            self._blocks: deque[_Sample] = deque(maxlen=_BLOCKS)
            self._accepted = 0
            self._best: _Sample | None = None
            self._drift = 0.0

    def add(self, asked_ns: int, answered_ns: int, theirs_ns: int, longest_rtt_ns: int) -> bool:
        """Takes in one answer; False if it took too long, or came before its question."""
        rtt = answered_ns - asked_ns
        if not 0 <= rtt < longest_rtt_ns:
            return False
        middle = asked_ns + rtt // 2
        sample = _Sample(middle, theirs_ns - middle, rtt)
        with self._lock:
            self._window.append(sample)
            self._accepted += 1
            while self._window and middle - self._window[0].at_ns > WINDOW_NS:
                self._window.popleft()
            self._best = min(self._window, key=lambda s: (s.rtt_ns, -s.at_ns))
            self._fit_drift(sample)
        return True

    def valid(self, now_ns: int) -> bool:
        """True from the fifth answer on, as long as answers keep coming."""
        with self._lock:
            enough = self._accepted >= _SAMPLES_NEEDED and len(self._window) > 0
            return enough and now_ns - self._window[-1].at_ns <= WINDOW_NS

    def offset_ns(self, at_ns: int) -> int | None:
        """Theirs minus ours at one of our times; None before the first answer."""
        with self._lock:
            best = self._best
            if best is None:
                return None
            return best.offset_ns + round(self._drift * (at_ns - best.at_ns))

    def sigma_ns(self) -> int:
        """How uncertain the offset is: half the way there and back."""
        with self._lock:
            return 0 if self._best is None else self._best.rtt_ns // 2

    def ours_ns(self, boot_ns: int, near_ns: int) -> int | None:
        """Our time of a moment on the autopilot's clock. near_ns: our time about then, for the drift."""
        offset = self.offset_ns(near_ns)
        return None if offset is None else boot_ns - offset

    def boot_ms(self, now_ns: int) -> int | None:
        """The autopilot's `time_boot_ms` at one of our times; None while the offset is not valid."""
        offset = self.offset_ns(now_ns) if self.valid(now_ns) else None
        return None if offset is None else max(0, (now_ns + offset) // 1_000_000)

    def set_unix_time(self, unix_ns: int, at_ns: int) -> None:
        """What the time of day was at one of our times, says the autopilot (R-TM-3)."""
        self._unix_minus_ours_ns = unix_ns - at_ns

    def unix_ns(self, at_ns: int) -> int | None:
        """UTC of one of our times, for stamps in logs and for signatures; None while there is no GPS time."""
        difference = self._unix_minus_ours_ns
        return None if difference is None else at_ns + difference

    def _fit_drift(self, sample: _Sample) -> None:
        """Called with the lock held."""
        blocks = self._blocks
        if blocks and sample.at_ns // _BLOCK_NS == blocks[-1].at_ns // _BLOCK_NS:
            if sample.rtt_ns < blocks[-1].rtt_ns:
                blocks[-1] = sample
        else:
            blocks.append(sample)
        if len(blocks) < _BLOCKS_FOR_DRIFT:
            return
        times = [b.at_ns - blocks[0].at_ns for b in blocks]
        offsets = [b.offset_ns - blocks[0].offset_ns for b in blocks]
        mean_t, mean_o = sum(times) / len(times), sum(offsets) / len(offsets)
        spread = sum((t - mean_t) ** 2 for t in times)
        slope = sum((t - mean_t) * (o - mean_o) for t, o in zip(times, offsets, strict=True)) / spread
        self._drift = min(max(slope, -_LARGEST_DRIFT), _LARGEST_DRIFT)
