"""Frames of two cameras in, pairs in order of time out."""

from __future__ import annotations

import bisect
import dataclasses

import numpy as np

from edge_rgbt.sync.books import RefusalLog, Stream, SyncCounters, Waiting
from edge_rgbt.types import ABSENT, Frame, FramePair, Modality, PictureFault, Usable

# Frames of one camera that wait for the other; one more drops the oldest, so live pictures never queue up.
# Enough for 60 Hz thermal beside an RGB stream that takes a quarter of a second longer to arrive.
QUEUE_LENGTH = 16
# A clock that goes back by more than this was restarted; less is a frame out of order.
CLOCK_RESTART_NS = 250_000_000
# One camera's frames so far behind the other's were never stamped by the same clock.
_OTHER_CLOCK_NS = 1_000_000_000
# RGB frames are not held back for longer than this for thermal pictures that take longer to arrive.
_LONGEST_LAG_NS = 100_000_000
# A camera is silent after so many of its usual intervals, but at most so long; or so long while unknown.
_SILENT_INTERVALS = 2.5
_SILENT_MOST_NS = 1_000_000_000
_SILENT_UNKNOWN_NS = 500_000_000


class PairSynchroniser:
    """Gives every RGB frame the thermal frame nearest in time, if one lies within the tolerance.

    tir_offset_ns is added to thermal times and brings them to the RGB camera's clock; pairs carry such times.
    A thermal frame serves several RGB frames when the thermal camera is the slower one. An RGB frame waits
    only while a nearer thermal frame can still be expected, and no longer than patience_ms from its arrival
    (default: the tolerance and by how much longer thermal pictures are seen to travel, up to 100 ms of that).
    Without a partner it is handed out alone. While RGB is silent or faulty, thermal frames are handed out
    alone; while both are faulty, pairs with no usable picture keep the pace. When both are silent, nothing
    comes. Pairs come in order of time until a clock restarts. rgb_size: of the blank for an RGB camera that
    has given nothing yet.

    In flight every push and poll is given the time, on the RGB camera's clock; in recordings the newest
    frame's time serves. Used from one thread.
    """

    def __init__(
        self,
        tolerance_ms: float,
        tir_offset_ns: int = 0,
        patience_ms: float | None = None,
        rgb_size: tuple[int, int] | None = None,
    ) -> None:
        if not tolerance_ms > 0:
            raise ValueError(f"pairing tolerance is {tolerance_ms} ms, expected more than 0")
        if patience_ms is not None and not patience_ms >= 0:
            raise ValueError(f"pairing patience is {patience_ms} ms, expected 0 or more")
        self.tolerance_ns = round(tolerance_ms * 1e6)
        self._patience_ns = None if patience_ms is None else round(patience_ms * 1e6)
        self.tir_offset_ns = tir_offset_ns
        self.rgb_size = rgb_size
        self.counters = SyncCounters()
        self._rgb, self._tir = Stream(), Stream()
        self._now_ns: int | None = None
        self._began_ns = 0
        self._last_out_ns: int | None = None
        self._blank: np.ndarray | None = None
        self._refusals = RefusalLog()

    @property
    def patience_ns(self) -> int:
        """For how long from its arrival an RGB frame may wait at present."""
        if self._patience_ns is not None:
            return self._patience_ns
        rgb_lag, tir_lag = self._rgb.lag_ns, self._tir.lag_ns
        if rgb_lag is None or tir_lag is None:
            return self.tolerance_ns
        return self.tolerance_ns + min(max(0, tir_lag - rgb_lag), _LONGEST_LAG_NS)

    @property
    def waiting(self) -> int:
        """Frames that have not been handed out and still may be."""
        return sum(not w.served for stream in (self._rgb, self._tir) for w in stream.waiting)

    @property
    def deadline_ns(self) -> int | None:
        """When `poll` should be called if no frame comes before; None if it would have nothing to do."""
        rgb, times = self._rgb, []
        if rgb.waiting:
            times.append(rgb.waiting[0].arrived_ns + self.patience_ns)
        elif self._tir.waiting and not self._tir.waiting[-1].served:
            since = self._began_ns if rgb.arrived_ns is None else rgb.arrived_ns
            times.append(since + self._silence_ns(rgb) + 1)
        return min((t for t in times if t > (self._now_ns or 0)), default=None)

    def fault(self, modality: Modality) -> PictureFault | None:
        """What is wrong with this camera's newest picture."""
        return self._stream(modality).fault

    def silent(self, modality: Modality) -> bool:
        """True while this camera delivers nothing, as far as the last push or poll can tell."""
        stream = self._stream(modality)
        since = self._began_ns if stream.arrived_ns is None else stream.arrived_ns
        return self._now_ns is not None and self._now_ns - since > self._silence_ns(stream)

    def push(
        self, frame: Frame, fault: PictureFault | None = None, now_ns: int | None = None
    ) -> list[FramePair]:
        """Takes in one frame of either camera; returns what is settled by it, in order of time."""
        self.counters.received += 1
        if frame.modality is Modality.TIR and self.tir_offset_ns:
            frame = dataclasses.replace(frame, timestamp_ns=frame.timestamp_ns + self.tir_offset_ns)
        stream = self._stream(frame.modality)
        if stream.newest_ns is not None and frame.timestamp_ns < stream.newest_ns - CLOCK_RESTART_NS:
            self._restart(frame, now_ns)
            stream = self._stream(frame.modality)
        self._tick(frame.timestamp_ns if now_ns is None else now_ns)
        accepted = self._accept(stream, frame, fault)
        if accepted and now_ns is not None:
            stream.lags.append(now_ns - frame.timestamp_ns)
        pairs = self._settle(handed_ns=now_ns)
        if accepted and fault is not None:
            pairs += self._blind(frame, now_ns)
        return pairs

    def poll(self, now_ns: int) -> list[FramePair]:
        """Hands out what has waited long enough; for when no frame comes."""
        self._tick(now_ns)
        return self._settle(handed_ns=now_ns)

    def flush(self) -> list[FramePair]:
        """Settles what still waits; for the end of a recording."""
        pairs = self._settle(final=True)
        for entry in self._tir.waiting:
            self._drop(entry)
        self._tir.waiting.clear()
        return pairs

    def _stream(self, modality: Modality) -> Stream:
        return self._rgb if modality is Modality.RGB else self._tir

    def _tick(self, now_ns: int) -> None:
        if self._now_ns is None:
            self._began_ns = self._now_ns = now_ns
        self._now_ns = max(self._now_ns, now_ns)

    def _silence_ns(self, stream: Stream) -> int:
        """For how long this camera may pause before it counts as silent."""
        interval = stream.interval_ns
        if interval is None:
            return _SILENT_UNKNOWN_NS
        return min(_SILENT_MOST_NS, self.patience_ns + round(_SILENT_INTERVALS * interval))

    def _live(self, modality: Modality) -> bool:
        return not self.silent(modality) and self.fault(modality) is None

    def _accept(self, stream: Stream, frame: Frame, fault: PictureFault | None) -> bool:
        """Keeps the camera's books and sorts the frame in; False if it is none of its newest frames."""
        time_ns, counters = frame.timestamp_ns, self.counters
        now_ns = self._now_ns or 0
        known = time_ns == stream.newest_ns or any(time_ns == w.time_ns for w in stream.waiting)
        in_order = stream.newest_ns is None or time_ns > stream.newest_ns
        if known or (in_order and frame.sequence == stream.last_sequence):
            counters.repeated += 1
            return False
        if in_order:
            self._note_news(stream, frame, fault)
        else:
            counters.disordered += 1
        late = stream.floor_ns is not None and time_ns <= stream.floor_ns
        if late or (frame.modality is Modality.RGB and self._behind(time_ns)):
            counters.late += 1
            return False
        if fault is not None:
            self._count_fault(frame.modality, fault)
            return in_order
        if in_order:
            stream.good = frame
        bisect.insort(stream.waiting, Waiting(frame, now_ns), key=lambda w: w.time_ns)
        if len(stream.waiting) > QUEUE_LENGTH:
            self._drop(stream.waiting.pop(0))
        return True

    def _note_news(self, stream: Stream, frame: Frame, fault: PictureFault | None) -> None:
        """A frame newer than all of its camera before: its number, rate and state."""
        if stream.last_sequence is not None and frame.sequence > stream.last_sequence + 1:
            self.counters.missing += frame.sequence - stream.last_sequence - 1
        if stream.newest_ns is not None:
            stream.intervals.append(frame.timestamp_ns - stream.newest_ns)
        stream.last_sequence, stream.newest_ns = frame.sequence, frame.timestamp_ns
        stream.arrived_ns, stream.fault = self._now_ns, fault

    def _count_fault(self, modality: Modality, fault: PictureFault) -> None:
        if modality is Modality.RGB:
            self.counters.faulty_rgb += 1
        else:
            self.counters.faulty_tir += 1
        self.counters.frozen += fault is PictureFault.FROZEN

    def _settle(self, final: bool = False, handed_ns: int | None = None) -> list[FramePair]:
        pairs: list[FramePair] = []
        waiting = self._rgb.waiting
        while waiting:
            entry = waiting[0]
            nearest = self._tir.nearest(entry.time_ns)
            if not final and self._worth_waiting(entry, nearest):
                return pairs
            waiting.pop(0)
            pairs.append(self._with_rgb(entry.frame, nearest, handed_ns))
            self._rgb.floor_ns = self._last_out_ns = entry.time_ns
            self._forget_before(nearest, entry.time_ns)
        if not final and not self._live(Modality.RGB):
            pairs += self._thermal_alone(handed_ns)
        return pairs

    def _worth_waiting(self, entry: Waiting, nearest: Waiting | None) -> bool:
        """True while a thermal frame nearer to this RGB frame than `nearest` may still come in time."""
        tir, time_ns = self._tir, entry.time_ns
        if not self._live(Modality.TIR) or (tir.newest_ns is not None and tir.newest_ns >= time_ns):
            return False
        due, interval = tir.expected_near(time_ns), tir.interval_ns
        if due is not None and interval is not None:
            gap_due = abs(due - time_ns)
            gap_now = self.tolerance_ns + 1 if nearest is None else abs(nearest.time_ns - time_ns)
            if gap_now <= min(gap_due, self.tolerance_ns) or gap_due > self.tolerance_ns + interval // 4:
                return False
        return (self._now_ns or 0) - entry.arrived_ns < self.patience_ns

    def _with_rgb(self, rgb: Frame, nearest: Waiting | None, handed_ns: int | None) -> FramePair:
        """The RGB frame with its thermal partner, or alone beside the last thermal picture there was."""
        if nearest is not None and abs(nearest.time_ns - rgb.timestamp_ns) <= self.tolerance_ns:
            self.counters.paired += 1
            self.counters.reused += nearest.served
            nearest.served = True
            return FramePair(rgb, nearest.frame, handed_ns=handed_ns)
        self.counters.single_rgb += 1
        newest_ns = self._tir.newest_ns if nearest is None else nearest.time_ns
        if self._live(Modality.TIR):  # else it is that camera's trouble, which others tell
            self._refusals.say(rgb.timestamp_ns, newest_ns, self.tolerance_ns, self._now_ns or 0)
        tir = nearest.frame if nearest is not None else self._companion(Modality.TIR, rgb)
        return FramePair(rgb, tir, usable=Usable.RGB, handed_ns=handed_ns)

    def _thermal_alone(self, handed_ns: int | None) -> list[FramePair]:
        """The newest thermal frame that nobody has seen, while RGB shows nothing; older ones are dropped."""
        waiting = self._tir.waiting
        if not waiting or waiting[-1].served or self._behind(waiting[-1].time_ns):
            return []
        for entry in waiting[:-1]:
            self._drop(entry)
        chosen = waiting[-1]
        chosen.served = True
        self._tir.waiting = [chosen]
        self._tir.floor_ns = self._last_out_ns = chosen.time_ns
        self.counters.single_tir += 1
        rgb = self._companion(Modality.RGB, chosen.frame)
        pair = FramePair(rgb, chosen.frame, usable=Usable.TIR, paced_by=Modality.TIR, handed_ns=handed_ns)
        return [pair]

    def _blind(self, frame: Frame, handed_ns: int | None) -> list[FramePair]:
        """Keeps the pace with a faulty frame while the other camera shows nothing either."""
        modality = frame.modality
        by_rgb = modality is Modality.RGB
        other_paces = self._live(Modality.TIR) if by_rgb else not self.silent(Modality.RGB)
        if other_paces or self._behind(frame.timestamp_ns):
            return []
        self._last_out_ns = frame.timestamp_ns
        self.counters.blind += 1
        other = self._companion(Modality.TIR if by_rgb else Modality.RGB, frame)
        rgb, tir = (frame, other) if by_rgb else (other, frame)
        return [FramePair(rgb, tir, usable=Usable.NONE, paced_by=modality, handed_ns=handed_ns)]

    def _companion(self, modality: Modality, frame: Frame) -> Frame:
        """The last good picture of a camera that has nothing for this frame, or a blank."""
        good = self._stream(modality).good
        if good is not None:
            return good
        width, height = frame.width, frame.height
        if modality is Modality.RGB:
            width, height = self.rgb_size or (width, height)
        shape = (height, width, 3) if modality is Modality.RGB else (height, width)
        if self._blank is None or self._blank.shape != shape:
            self._blank = np.zeros(shape, np.uint8)
        return Frame(self._blank, modality, frame.timestamp_ns, ABSENT, "absent")

    def _behind(self, time_ns: int) -> bool:
        """True for a time not later than what was handed out last, if both can be of one clock."""
        if self._last_out_ns is not None and time_ns < self._last_out_ns - _OTHER_CLOCK_NS:
            self.counters.restarts += 1
            self._last_out_ns = None
        return self._last_out_ns is not None and time_ns <= self._last_out_ns

    def _forget_before(self, nearest: Waiting | None, time_ns: int) -> None:
        """Drops thermal frames that no later RGB frame can want: all before the nearest to this one."""
        tir = self._tir
        limit = time_ns - self.tolerance_ns
        if nearest is not None:
            limit = max(limit, min(nearest.time_ns, time_ns))
        while tir.waiting and tir.waiting[0].time_ns < limit:
            self._drop(tir.waiting.pop(0))
        if tir.newest_ns is not None and limit <= tir.newest_ns:  # else its clock is another one
            tir.floor_ns = max(limit - 1, tir.floor_ns or limit - 1)

    def _drop(self, entry: Waiting) -> None:
        if entry.frame.modality is Modality.RGB:
            self.counters.dropped_rgb += 1
        elif not entry.served:
            self.counters.dropped_tir += 1

    def _restart(self, frame: Frame, now_ns: int | None) -> None:
        """A camera's clock was set back: nothing that waits of it can be compared with what comes."""
        self.counters.restarts += 1
        fresh = Stream()
        stream = self._stream(frame.modality)
        for entry in stream.waiting:
            self._drop(entry)
        fresh.good = stream.good
        if frame.modality is Modality.RGB:
            self._rgb = fresh
        else:
            self._tir = fresh
        self._last_out_ns = None
        if now_ns is None:  # the recording's time is the frames' own
            self._now_ns = self._began_ns = frame.timestamp_ns
            for other in (self._rgb, self._tir):
                other.arrived_ns = frame.timestamp_ns
                for entry in other.waiting:
                    entry.arrived_ns = frame.timestamp_ns
