"""The health record: what the service counted and what the machine showed, once a second."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_rgbt.health.readings import MachineReadings

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class StageNumbers:
    """Times of one stage over the service's window; frames counts since the start."""

    p50_ms: float
    p99_ms: float
    frames: int


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """One bounded queue. oldest_age_ms: how long its oldest entry has waited, 0 if it is empty.

    dropped: entries that were pushed out or refused since the start.
    """

    waiting: int
    oldest_age_ms: float
    dropped: int


@dataclass(frozen=True, slots=True)
class CameraNumbers:
    """One camera.

    age_ms: since its last frame came; before the first one, since it was asked for; None before that.
    counters: whatever else it counts (dropped, restarts, frozen, torn, ...), since the start.
    """

    frames: int
    age_ms: float | None
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceNumbers:
    """What the service hands over for one record: copies, nothing that goes on changing.

    frame_age_p50_ms, frame_age_p99_ms: from capture of the newer frame to the track that was sent, over the
    service's window; None before the first track. counters: everything else that is counted, since the start.
    problems: part of the service -> what does not work there at the moment, empty while it does.
    """

    frame_age_p50_ms: float | None = None
    frame_age_p99_ms: float | None = None
    stages: Mapping[str, StageNumbers] = field(default_factory=dict)
    queues: Mapping[str, QueueNumbers] = field(default_factory=dict)
    cameras: Mapping[str, CameraNumbers] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """One second of the service's life.

    number: counts records from 0. time_ns: monotonic. service: None if the service could not tell this time.
    machine: the last look at the machine, None before the first. machine_age_ms: how old that look is, before
    the first how long it has taken; it grows while a file of the kernel hangs. machine_cost_ms: how long that
    look took. alarms: names of the alarms at work, sorted. cost_ms: how long this record took.
    """

    number: int
    time_ns: int
    service: ServiceNumbers | None
    machine: MachineReadings | None
    machine_age_ms: float | None
    machine_cost_ms: float | None
    alarms: tuple[str, ...]
    cost_ms: float

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers for JSON; keys are the field names, `schema` says which layout."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    def summary(self) -> str:
        """One line for the log and for `systemctl status`; what is not known is left out."""
        parts = [f"ALARM {', '.join(self.alarms)}"] if self.alarms else []
        if self.service is not None and self.service.frame_age_p99_ms is not None:
            parts.append(f"frame age p99 {self.service.frame_age_p99_ms:.0f} ms")
        if self.service is not None and (queues := self.service.queues):
            parts.append(f"{sum(queue.dropped for queue in queues.values())} dropped")
        if (machine := self.machine) is not None:
            parts += _machine_summary(machine)
        return "; ".join(parts) or "nothing known yet"


def _machine_summary(machine: MachineReadings) -> Iterator[str]:
    if machine.temperatures:
        name, hottest = max(machine.temperatures.items(), key=lambda item: item[1].celsius)
        yield f"{name} {hottest.celsius:.0f} C"
    for name, clock in machine.clocks.items():
        if name.startswith("gpu") and clock.cap_mhz is not None:
            yield f"{name} {clock.current_mhz:.0f} of {clock.cap_mhz:.0f} MHz"
    if machine.rails:
        # The first rail is the whole module's input on every Orin; the others are parts of it.
        name, rail = next(iter(machine.rails.items()))
        yield f"{name} {rail.watts:.1f} W"
    if machine.memory.process_mb is not None:
        yield f"memory {machine.memory.process_mb:.0f} MB"
    if machine.disk is not None:
        yield f"disk {machine.disk.free_mb / 1e3:.1f} GB free"


def stages_from_summary(summary: Mapping[str, Mapping[str, float]]) -> dict[str, StageNumbers]:
    """From `StageStatistics.summary()` of the frame loop."""
    return {
        stage: StageNumbers(row["p50_ms"], row["p99_ms"], int(row["frames"]))
        for stage, row in summary.items()
    }
