"""What a rule set is: counts per threshold in one sequence, and how they become a dataset's number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Truth:
    """Annotated boxes of one sequence, xywh float64 `[n, 4]`; line k belongs to frame `k * period`."""

    name: str
    visible: np.ndarray
    infrared: np.ndarray | None = None
    period: int = 1

    def frames(self) -> np.ndarray:
        """Indices of the annotated frames."""
        return np.arange(len(self.visible)) * self.period


@dataclass(frozen=True, eq=False)
class SequenceScore:
    """Scores of one sequence.

    hits: per metric, in how many of the `frames` scored frames each threshold was met.
    missing: annotated frames that the result ended before.
    """

    name: str
    frames: int
    hits: Mapping[str, np.ndarray]
    values: Mapping[str, float] = field(default_factory=dict)
    missing: int = 0


class RuleSet(ABC):
    """How one benchmark turns boxes into numbers."""

    name: str
    title: str
    version = "1"  # raised whenever a score of the same files would change
    metrics: tuple[str, ...]
    pooled = False  # True: all frames of the dataset weigh the same; False: all sequences do

    @property
    def label(self) -> str:
        return f"{self.name}-{self.version}"

    @abstractmethod
    def hits(self, truth: np.ndarray, infrared: np.ndarray, result: np.ndarray) -> dict[str, np.ndarray]:
        """Frames that meet each threshold, per metric; boxes float32 xywh `[n, 4]`, scored frames."""

    @abstractmethod
    def value(self, metric: str, rates: np.ndarray) -> float:
        """One number from the share of frames that meets each threshold."""

    def score_sequence(self, truth: Truth, result: np.ndarray) -> SequenceScore:
        """Scores result boxes xywh `[frames, 4]` (already rounded, see `read_result`), one per video frame.

        A result that ends early is scored over its own length, as the reference does; a longer one is cut.
        """
        frames = truth.frames()
        frames = frames[frames < len(result)]
        scored = len(frames)
        infrared = truth.visible if truth.infrared is None else truth.infrared
        hits = self.hits(
            truth.visible[:scored].astype(np.float32),
            infrared[:scored].astype(np.float32),
            result[frames].astype(np.float32),
        )
        values = {metric: self.value(metric, counts / scored) for metric, counts in hits.items()}
        return SequenceScore(truth.name, scored, hits, values, missing=len(truth.visible) - scored)

    def score_dataset(self, scores: Sequence[SequenceScore]) -> dict[str, float]:
        """Overall numbers of a dataset from those of its sequences (at least one)."""
        if not self.pooled:
            return {m: float(np.mean([score.values[m] for score in scores])) for m in self.metrics}
        frames = sum(score.frames for score in scores)
        return {m: self.value(m, np.sum([s.hits[m] for s in scores], axis=0) / frames) for m in self.metrics}
