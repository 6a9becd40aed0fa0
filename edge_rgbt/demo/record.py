"""What happened, pair by pair, as columns, and what it comes to."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_rgbt.demo.simulator import TargetTruth
from edge_rgbt.outputs.overlay import overlap
from edge_rgbt.types import TrackState, TrackStatus

VISIBLE_SHARE = 0.25  # with less of it uncovered the target counts as hidden
SUCCESS_OVERLAP = 0.5


class FlightRecord:
    """One value per tracked pair in every column; the first pair is the start, whose box was given."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.overlaps: list[float] = []
        self.scores: list[float] = []
        self.latencies_ms: list[float] = []
        self.skews_ms: list[float] = []
        self.visible: list[bool] = []
        self.lost: list[bool] = []

    @property
    def pairs(self) -> int:
        return len(self.times_s)

    def add(self, state: TrackState, truth: TargetTruth) -> None:
        """A target outside the picture overlaps with nothing."""
        self.times_s.append(state.timestamp_ns / 1e9)
        self.overlaps.append(overlap(state.box, truth.box) if truth.box is not None else 0.0)
        self.scores.append(state.score)
        self.latencies_ms.append(state.total_ms)
        self.skews_ms.append(state.skew_ns / 1e6)
        self.visible.append(truth.box is not None and truth.visible >= VISIBLE_SHARE)
        self.lost.append(state.status is TrackStatus.LOST)

    def series(self) -> dict[str, list[Any]]:
        """The curves of the page."""
        return {
            "time_s": self.times_s,
            "overlap": self.overlaps,
            "score": self.scores,
            "latency_ms": self.latencies_ms,
            "skew_ms": self.skews_ms,
            "visible": self.visible,
        }

    def summary(self) -> dict[str, Any]:
        """Means over all pairs after the first. None where there is no such pair."""
        overlaps, visible = np.array(self.overlaps[1:]), np.array(self.visible[1:], dtype=bool)
        skews = np.array(self.skews_ms)
        return {
            "pairs": self.pairs,
            "mean_overlap": _mean(overlaps),
            "mean_overlap_visible": _mean(overlaps[visible]),
            "success_rate": _mean(overlaps > SUCCESS_OVERLAP),
            "hidden_pairs": int((~visible).sum()),
            "lost_pairs": sum(self.lost),
            "latency_ms": statistics(np.array(self.latencies_ms[1:] or self.latencies_ms)),
            "skew_ms": {
                "p50": round(float(np.median(skews)), 3),
                "largest": round(float(np.abs(skews).max()), 3),
            },
        }


def statistics(values: np.ndarray) -> dict[str, float]:
    """Mean, median and 99th percentile."""
    p50, p99 = np.percentile(values, (50, 99))
    return {"mean": round(float(values.mean()), 4), "p50": round(float(p50), 4), "p99": round(float(p99), 4)}


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if values.size else None
