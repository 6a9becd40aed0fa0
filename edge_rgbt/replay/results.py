"""What a replay leaves behind: one box file and one time file per sequence, and the run's report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_rgbt import __version__
from edge_rgbt.bundle import Bundle
from edge_rgbt.engine.base import EngineInfo
from edge_rgbt.files import write_text_atomic
from edge_rgbt.metrics import RuleSet, SequenceScore, Truth, rule_set
from edge_rgbt.metrics.boxes import read_result
from edge_rgbt.metrics.measures import overlap

REPORT_SCHEMA = 1
PLAIN_RULES = "rgbt234"  # for recordings of no benchmark: better modality, nothing replaced, nothing masked


@dataclass(frozen=True, eq=False)
class SequenceRun:
    """How one sequence went.

    boxes: xywh float64 `[frames, 4]` in RGB pixels. seconds: camera to box, `[frames]`; a frame that was
    dropped repeats the last tracked one's in both. tracked: bool `[frames]`. scores: the tracker's own, 0..1.
    stages: stage name -> milliseconds of the tracked frames after the first (which only starts the tracker).
    note: what about it is worth knowing, or empty. score: against the truth, None without one; `overlaps` is
    NaN where no frame is annotated. flight: how it compares with the recorded flight that it repeats.
    """

    name: str
    dataset: str | None
    boxes: np.ndarray
    seconds: np.ndarray
    scores: np.ndarray
    tracked: np.ndarray
    lost: np.ndarray
    stages: Mapping[str, np.ndarray]
    fps: float
    wall_s: float
    width: int
    height: int
    note: str = ""
    score: SequenceScore | None = None
    overlaps: np.ndarray = field(default_factory=lambda: np.empty(0))
    flight: Mapping[str, Any] | None = None

    @property
    def dropped(self) -> int:
        return int((~self.tracked).sum())

    @property
    def latencies_ms(self) -> np.ndarray:
        """Decoded pair to box, of every tracked frame but the first."""
        return self.seconds[1:][self.tracked[1:]] * 1e3


def write_boxes(folder: Path, run: SequenceRun, integers: bool = False) -> Path:
    """`NAME.txt` (x,y,w,h per line; integers: cut towards zero) and `NAME_time.txt` (seconds per line)."""
    if integers:
        lines = [",".join(str(int(value)) for value in box) for box in run.boxes.tolist()]
    else:
        lines = [",".join(f"{value:.4f}" for value in box) for box in run.boxes.tolist()]
    times = [f"{value:.6f}" for value in run.seconds.tolist()]
    write_text_atomic(folder / f"{run.name}_time.txt", "\n".join(times) + "\n")
    path = folder / f"{run.name}.txt"
    write_text_atomic(path, "\n".join(lines) + "\n")
    return path


def score_boxes(path: Path, truth: Truth, dataset: str | None) -> tuple[SequenceScore, np.ndarray]:
    """Score of a written result file, as `eval` would give it, and the overlap per frame (NaN: no truth)."""
    rules = rules_for(dataset)
    result = read_result(path)
    overlaps = np.full(len(result), np.nan)
    frames = truth.frames()
    frames = frames[frames < len(result)]
    boxes = result[frames].astype(np.float32)
    best = overlap(truth.visible[: len(frames)].astype(np.float32), boxes)
    if truth.infrared is not None:
        best = np.fmax(best, overlap(truth.infrared[: len(frames)].astype(np.float32), boxes))
    overlaps[frames] = best
    return rules.score_sequence(truth, result), overlaps


def rules_for(dataset: str | None) -> RuleSet:
    """The benchmark's own rules; recordings of none are scored like RGBT234."""
    return rule_set(dataset or PLAIN_RULES)


def build_report(
    runs: Sequence[SequenceRun],
    faults: Sequence[str],
    bundle: Bundle,
    engine: EngineInfo | None,
    setting: Mapping[str, Any],
    wall_s: float,
    peak_memory_mb: float,
) -> dict[str, Any]:
    """The object of `report.json`. Latencies are whole frame: decoded pair to box, first frames left out."""
    latencies = _joined(run.latencies_ms for run in runs)
    frames = sum(len(run.boxes) for run in runs)
    names = list(dict.fromkeys(stage for run in runs for stage in run.stages))
    manifest = bundle.manifest
    return {
        "schema": REPORT_SCHEMA,
        "tool": f"edge-rgbt {__version__}",
        "bundle": {
            "name": manifest.name,
            "version": manifest.version,
            "family": manifest.family,
            "path": str(bundle.path),
            "sha256": {name: entry.sha256 for name, entry in manifest.files.items()},
        },
        "engine": engine and f"{engine.engine} {engine.version}",
        "precision": engine and engine.precision,
        "device": engine and engine.device,
        "threads": engine and engine.threads,
        "fallback": engine and engine.fallback,
        **setting,
        "frames": frames,
        "dropped_frames": sum(run.dropped for run in runs),
        "frames_per_second": _rounded(1e3 / latencies.mean())
        if latencies.size and latencies.mean()
        else None,
        "wall_seconds": _rounded(wall_s),
        "wall_frames_per_second": _rounded(frames / wall_s) if wall_s else None,
        "latency_ms": statistics(latencies),
        "stages_ms": {name: statistics(_joined(run.stages.get(name, []) for run in runs)) for name in names},
        "peak_memory_mb": _rounded(peak_memory_mb),
        "scores": _overall_scores(runs, setting.get("split", "")),
        "sequences": [_sequence_entry(run) for run in runs],
        "faults": list(faults),
    }


def statistics(values: np.ndarray) -> dict[str, float] | None:
    """Mean, median and 99th percentile; None of nothing."""
    if not values.size:
        return None
    p50, p99 = np.percentile(values, (50, 99))
    return {"mean": _rounded(values.mean()), "p50": _rounded(p50), "p99": _rounded(p99)}


def report_series(runs: Iterable[SequenceRun]) -> dict[str, dict[str, list[float | None]]]:
    """Per-frame curves of every sequence for the page; None where there is no value."""
    return {
        run.name: {
            "overlap": [None if np.isnan(v) else round(float(v), 4) for v in run.overlaps],
            "score": [round(float(v), 4) for v in run.scores],
            "latency_ms": [round(float(v) * 1e3, 3) for v in run.seconds],
        }
        for run in runs
    }


def _overall_scores(runs: Sequence[SequenceRun], split: str) -> list[dict[str, Any]]:
    """One entry per benchmark among the runs that have a truth."""
    entries = []
    for dataset in dict.fromkeys(run.dataset for run in runs if run.score):
        scores = [run.score for run in runs if run.score and run.dataset == dataset]
        rules = rules_for(dataset)
        entries.append(
            {
                "dataset": dataset,
                "split": split,
                "rules": rules.label,
                "sequences": len(scores),
                **rules.score_dataset(scores),
            }
        )
    return entries


def _sequence_entry(run: SequenceRun) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": run.name,
        "dataset": run.dataset,
        "frames": len(run.boxes),
        "dropped_frames": run.dropped,
        "lost_frames": int(run.lost.sum()),
        "size": [run.width, run.height],
        "fps": _rounded(run.fps),
        "wall_seconds": _rounded(run.wall_s),
        "latency_ms": statistics(run.latencies_ms),
        "note": run.note,
        "rules": None,
        "scores": None,
    }
    if run.flight is not None:
        entry["flight"] = dict(run.flight)
    if run.score:
        entry |= {
            "rules": rules_for(run.dataset).label,
            "scored_frames": run.score.frames,
            "scores": dict(run.score.values),
        }
    return entry


def _joined(parts: Iterable[Any]) -> np.ndarray:
    arrays = [np.asarray(part, dtype=float) for part in parts]
    return np.concatenate(arrays) if arrays else np.empty(0)


def _rounded(value: float) -> float:
    return round(float(value), 4)
