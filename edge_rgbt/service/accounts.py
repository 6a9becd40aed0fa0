"""Everything that the service counts, under one name each: for its report, the health record and alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from edge_rgbt.health import QueueNumbers, ServiceNumbers, stages_from_summary
from edge_rgbt.runtime.loop import StageStatistics
from edge_rgbt.types import Modality, Usable

if TYPE_CHECKING:
    from edge_rgbt.recording import FlightRecorder
    from edge_rgbt.service.cameras import CameraThreads
    from edge_rgbt.service.inbox import Inbox
    from edge_rgbt.service.intake import Intake
    from edge_rgbt.sync import PairSynchroniser

WINDOW = 300  # pairs that percentiles look back on: ten seconds at 30 Hz
_FRAME_AGE = "frame age"
_COUNTS = ("pairs", "tracked", "failed_steps", "mode_changes", *(f"with_{usable.value}" for usable in Usable))
_NOW = ("queued", "queued_mb")  # of the recorder's numbers, what is no count


@dataclass
class Accounts:
    """Reads the counters of all parts; its own are written by the frame loop.

    `flat` and `numbers` may be called from any thread. link: what counts at the MAVLink endpoints.
    """

    inbox: Inbox
    intakes: Mapping[Modality, Intake]
    sync: PairSynchroniser
    cameras: CameraThreads | None = None
    recorder: FlightRecorder | None = None
    link: Any = None
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_COUNTS, 0)))
    _ages: StageStatistics = field(default_factory=lambda: StageStatistics(WINDOW))
    _health: StageStatistics = field(default_factory=lambda: StageStatistics(WINDOW))

    def add_age(self, age_ns: int) -> None:
        """From the capture of a track's newer frame until the track was sent."""
        self._ages.record(_FRAME_AGE, max(0, age_ns))

    def add_health_cost(self, duration_ns: int) -> None:
        """Of one health record; from the health thread."""
        self._health.record("health", duration_ns)

    def health_summary(self) -> dict[str, dict[str, float]]:
        """Times of the stage `health`, as `StageStatistics.summary` gives them."""
        return self._health.summary()

    def flat(self) -> dict[str, int]:
        """Every counter since the start: those of pairing and loop by their names, the others behind `rgb_`,
        `tir_`, `recorder_` and `mavlink_`."""
        found = {**asdict(self.sync.counters), **dict(self.counts)}
        for modality in Modality:
            found |= {f"{modality.value}_{name}": n for name, n in self._camera(modality).items()}
        if self.recorder is not None:
            numbers = asdict(self.recorder.counters)
            found |= {f"recorder_{name}": n for name, n in numbers.items() if name not in _NOW}
        if self.link is not None:
            found |= {f"mavlink_{name}": n for name, n in self.link.station.status().flat().items()}
        return found

    def numbers(self, stages: StageStatistics) -> ServiceNumbers:
        """For one health record; copies."""
        ages = self._ages.summary().get(_FRAME_AGE)
        queues = {}
        for modality in Modality:
            waiting, oldest_ms = self.inbox.filling(modality)
            dropped = self.inbox.dropped[modality]
            queues[f"inbox {modality.value}"] = QueueNumbers(waiting, round(oldest_ms, 3), dropped)
        if self.recorder is not None:
            done = self.recorder.counters
            dropped = done.dropped_frames + done.dropped_messages
            queues["recorder"] = QueueNumbers(done.queued, 0.0, dropped)
        cameras = {}
        if self.cameras is not None:
            cameras = self.cameras.numbers({m: intake.counters for m, intake in self.intakes.items()})
        return ServiceNumbers(
            frame_age_p50_ms=None if ages is None else ages["p50_ms"],
            frame_age_p99_ms=None if ages is None else ages["p99_ms"],
            stages=stages_from_summary({**stages.summary(), **self.health_summary()}),
            queues=queues,
            cameras=cameras,
            counters=self.flat(),
            problems=self._problems(),
        )

    def _camera(self, modality: Modality) -> dict[str, int]:
        feed = {} if self.cameras is None else self.cameras.counters(modality)
        return {**feed, "inbox_dropped": self.inbox.dropped[modality], **self.intakes[modality].counters}

    def _problems(self) -> dict[str, str]:
        """What does not work at the moment, in words; empty for parts that do."""
        parts = {"recorder": self.recorder, "mavlink": self.link}
        return {name: part.problem for name, part in parts.items() if part is not None}
