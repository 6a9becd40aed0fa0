"""A soak's findings: what was injected against what was counted, and whether that is as it must be."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from soak_faults import BOTH, KINDS, Injected
from soak_outside import MemoryWatch, Troubles
from soak_recordings import Janitor
from soak_watch import Ledger

from edge_rgbt.service.service import ServiceReport
from edge_rgbt.types import Modality, PictureFault

GROWTH_MB = 5.0
BACK_S = 2.0
_UNNOTICED_PER_FREEZE = 3
_PICTURE = tuple(fault.value for fault in PictureFault)


@dataclass(frozen=True)
class Row:
    """One comparison. relation: how counted must stand to injected."""

    what: str
    injected: float
    counted: float
    relation: str
    why: str

    @property
    def good(self) -> bool:
        pairs = {
            "=": self.counted == self.injected,
            ">=": self.counted >= self.injected,
            "<=": self.counted <= self.injected,
        }
        return pairs[self.relation]


@dataclass
class Findings:
    """Everything that a soak found. warm_up_s: after which memory may not grow. busy: share of a core.

    terminated: how often SIGTERM was sent.
    """

    report: ServiceReport
    injected: dict[Modality, Injected]
    ledger: Ledger
    troubles: Troubles
    memory: MemoryWatch
    janitor: Janitor
    escapes: list[str]
    warm_up_s: float
    busy: float
    terminated: int

    @property
    def good(self) -> bool:
        return all(row.good for row in self.rows())

    @property
    def counters(self) -> dict[str, int]:
        return self.report.counters

    @property
    def growth_mb(self) -> float:
        """From the median of the minute after warm-up to that of the last minute (of a third, if shorter)."""
        end_s = self.memory.samples[-1][0] if self.memory.samples else 0.0
        span_s = min(60.0, self.warm_up_s)
        last = self.memory.between(end_s - span_s, end_s + 1)
        return round(last - self.memory.between(self.warm_up_s, self.warm_up_s + span_s), 2)

    def rows(self) -> list[Row]:
        return [*self._demands(), *self._cameras(), *self._frames(), *self._around()]

    def _sum(self, name: str) -> int:
        """A counter of both cameras."""
        return sum(self.counters[f"{m.value}_{name}"] for m in Modality)

    def _seen(self, *kinds: str) -> int:
        return sum(self.ledger.seen[m][kind] for m in Modality for kind in kinds)

    def _counted(self, kind: str, *names: str) -> int:
        return sum(self.ledger.counted[m][kind, name] for m in Modality for name in names)

    def episodes(self, kind: str) -> int:
        return sum(one.episodes[kind] for one in self.injected.values())

    def _demands(self) -> Iterator[Row]:
        ledger = self.ledger
        yield Row("exceptions that escaped", 0, len(self.escapes), "=", "of threads, or logged as ours")
        yield Row("steps of the loop that failed", 0, self.counters["failed_steps"], "=", "")
        yield Row(
            "growth of resident memory, MB", GROWTH_MB, self.growth_mb, "<=",
            f"medians: the last minute against the one after {self.warm_up_s:g} s",
        )  # fmt: skip
        yield Row("tracks with a wrong time", 0, ledger.wrong_times, "=", f"of {ledger.tracks} published")
        yield Row("tracks with a wrong picture", 0, ledger.wrong_pictures, "=", "by the number in its pixels")
        recorded = self.janitor.totals["tracks"]
        wrong = self.janitor.totals["wrong"]
        yield Row("recorded tracks with a wrong time", 0, wrong, "=", f"of {recorded} in the recordings")
        worst_s = max((s for _, s in ledger.recovered), default=0.0)
        yield Row(
            "a camera is in use again after, s", BACK_S, round(worst_s, 2), "<=",
            f"worst of {len(ledger.recovered)} outages",
        )  # fmt: skip
        false = sum(
            n
            for m in Modality
            for (kind, name), n in ledger.counted[m].items()
            if name in _PICTURE and kind not in ("frozen", "held", "torn", "black", "saturated", "noise")
        )
        yield Row("good pictures called faulty", 0, false, "=", f"of {self._seen('good')} good frames")

    def _cameras(self) -> Iterator[Row]:
        raised = Counter[str]()
        for one in self.injected.values():
            raised.update(one.raised)
        for name, kinds in (("failed", f"broken, {BOTH}"), ("stalled", "stalled"), ("crashed", "crashed")):
            yield Row(f"errors of cameras: {kinds}", raised[name], self._sum(name), "=", f"`*_{name}`")
        steps = sum(one.clock_steps for one in self.injected.values())
        yield Row("clocks set, and set back", steps, self._sum("clock_jumps"), "=", "`*_clock_jumps`")
        untimely = sum(self._counted(kind, "untimely") for kind in ("jumped", "restarted", "set-back"))
        yield Row(
            "frames refused at such a step", 2 * steps, untimely, ">=",
            "two go until a jump is believed; more where arrivals scatter",
        )  # fmt: skip

    def _frames(self) -> Iterator[Row]:
        exact = "`*_{}`"
        for kind, name in (
            ("black", "black"), ("saturated", "saturated"), ("noise", "noise"), ("held", "frozen"),
            ("resized", "misshapen"), ("reformatted", "misshapen"), ("misstamped", "untimely"),
            ("late", "untimely"),
        ):  # fmt: skip
            counted = self._counted(kind, name)
            yield Row(f"{kind} frames", self._seen(kind), counted, "=", exact.format(name))
        for kind, name in (("repeated", "repeated"), ("reordered", "disordered")):
            yield Row(f"{kind} frames", self._seen(kind), self._counted(kind, name), "=", f"`{name}`")
        least = self._seen("frozen") - _UNNOTICED_PER_FREEZE * self.episodes("frozen")
        why = "`*_frozen`; the first 80 ms of a freeze may be a slow sensor: 3 frames of each"
        yield Row("frozen frames, but 3 of each freeze", least, self._counted("frozen", "frozen"), ">=", why)
        torn = self._counted("torn", "torn")
        why = "`*_torn`; made to miss rather than to take a good picture for torn"
        yield Row("torn frames", self._seen("torn"), torn, "<=", why)
        withheld = sum(one.withheld for one in self.injected.values())
        why = "`missing`; the rest are outages, refused frames and those that the load cost"
        yield Row("dropped frames", withheld, self.counters["missing"], ">=", why)
        handed = sum(one.frames.total() for one in self.injected.values())
        yield Row("frames handed over", handed, self._sum("frames"), "=", "`*_frames`")
        unseen = handed - sum(self.ledger.seen[m].total() for m in Modality)
        dropped = self._sum("inbox_dropped")
        why = "`*_inbox_dropped`; up to three of each camera wait at the end"
        yield Row("frames that the loop had no time for", dropped, unseen, ">=", why)

    def _around(self) -> Iterator[Row]:
        for kind, injected in sorted(self.troubles.injected.items()):
            names = "`mavlink_errors`" if kind == "peer gone" else "`recorder_disk_errors`, `recorder_lost`"
            yield Row(kind, injected, self.troubles.shown[kind], "=", f"times that {names} rose")
        yield Row("recordings that cannot be opened", 0, len(self.janitor.refused), "=",
                  f"of {self.janitor.totals['files']} files")  # fmt: skip
        events = self.janitor.totals["event mode"]
        why = "events `mode` in the recordings; those of a disk that was full are gone"
        yield Row("changes of what can be believed", self.counters["mode_changes"], events, "<=", why)
        why = "times that the service ended in order, with a whole file and its report"
        yield Row("SIGTERM", self.terminated, int(self.janitor.last_whole), "=", why)

    def plain(self, machine: dict[str, object]) -> dict[str, Any]:
        return {
            "good": self.good,
            "machine": machine,
            "seconds": self.report.seconds,
            "busy": round(self.busy, 3),
            "growth_mb": self.growth_mb,
            "rows": [{**asdict(row), "good": row.good} for row in self.rows()],
            "episodes": {kind: self.episodes(kind) for kind in (*KINDS, BOTH)},
            "counters": self.counters,
            "escapes": self.escapes,
            "examples": self.ledger.examples,
            "recovered_s": self.ledger.recovered,
            "memory_mb": self.memory.samples,
        }


def markdown(found: Findings, machine: dict[str, object], command: str) -> str:
    """The report for people."""
    c, ledger, kept = found.counters, found.ledger, found.janitor.totals
    verdict = "Every demand is met." if found.good else "**Not every demand is met.**"
    lines = [
        "# Fault report",
        "",
        f"`{command}` on {machine['cpu']}, {machine['cores']} cores (shared with other work: load "
        f"{machine['load_1min']} at the start), Python {machine['python']}.",
        "",
        f"{found.report.seconds:.0f} s at 30 Hz, 640x512 RGB and 16-bit thermal: {c['pairs']} pairs, "
        f"{ledger.tracks} tracks ({c['with_both']} with both cameras, {c['with_rgb']} RGB only, "
        f"{c['with_tir']} thermal only, {c['with_none']} with none), {found.busy:.2f} of a core. {verdict}",
        "",
        "Pictures come from a rendered flight of 8 s, played to and fro in real time; faults come at random, "
        "every one of them counted where it is made and again by the service. `injected` counts frames that "
        "reached the frame loop, unless it says otherwise: what a busy machine pushes out of the inbox, "
        "nobody has seen.",
        "",
        f"The recordings hold {kept['frames']} frames, {kept['tracks']} tracks, {kept['health']} records of "
        f"health and {kept['mavlink']} MAVLink frames.",
        "",
        "| what | injected or allowed | | counted | | where, and why the relation |",
        "|---|---:|:-:|---:|---|---|",
    ]
    signs = {"=": "=", ">=": "≤", "<=": "≥"}
    lines += [
        f"| {row.what} | {row.injected:g} | {signs[row.relation]} | {row.counted:g} "
        f"| {'' if row.good else '**no**'} | {row.why} |"
        for row in found.rows()
    ]
    lines += ["", "## Faults", "", "| fault | times |", "|---|---:|"]
    lines += [f"| {kind} | {found.episodes(kind)} |" for kind in (*KINDS, BOTH)]
    lines += [f"| {kind} | {count} |" for kind, count in sorted(found.troubles.injected.items())]
    lines += [f"| SIGTERM | {found.terminated} |", "", *_recoveries(found), *_times(found), *_memory(found)]
    return "\n".join(lines) + "\n"


def _recoveries(found: Findings) -> list[str]:
    by_kind: dict[str, list[float]] = {}
    for kind, seconds in found.ledger.recovered:
        by_kind.setdefault(kind, []).append(seconds)
    lines = [
        "## Cameras that came back",
        "",
        "From the moment at which the camera would answer again until a track used it.",
        "",
        "| outage | times | median s | worst s |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {kind} | {len(times)} | {statistics.median(times):.2f} | {max(times):.2f} |"
        for kind, times in sorted(by_kind.items())
    ]
    return [*lines, ""]


def _times(found: Findings) -> list[str]:
    ledger = found.ledger
    text = (
        f"{ledger.arrival_times} of the frames used came with a wrong clock that was made up for; the worst "
        f"of them was off by {ledger.worst_arrival_ns / 1e6:.1f} ms, within what it said of itself. The "
        "others carry their capture to the nanosecond."
    )
    return ["## Times", "", text, *(f"- {example}" for example in ledger.examples), ""]


def _memory(found: Findings) -> list[str]:
    samples = found.memory.samples
    step = max(1, len(samples) // 10)
    lines = ["## Resident memory", "", "The rendered flight is about 390 MB of it.", ""]
    lines += ["| s | MB |", "|---:|---:|"]
    return lines + [f"| {at_s:.0f} | {mb:.1f} |" for at_s, mb in samples[::step]]
