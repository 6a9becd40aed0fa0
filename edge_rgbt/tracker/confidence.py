"""From what speaks for a box to how often such boxes are right."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from edge_rgbt.manifest import ConfidenceCurve, Manifest

# The remembered score falls to a lower one in tens of milliseconds and takes seconds to rise again.
_FALL_MS, _RISE_MS = 80.0, 3000.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for the box of one pair; these are the features that a bundle's curve may weigh.

    score: of the cell that the box was read from, 0..1. rival: the highest score away from it.
    remembered: the score as it was lately; low for seconds after a doubtful moment (`ScoreMemory`).
    likeness: correlation with how the target looked, -1..1 (`tracker.recognition`).
    """

    score: float
    rival: float
    remembered: float
    likeness: float


FEATURES = tuple(field.name for field in dataclasses.fields(Evidence))


class Confidence:
    """The bundle's curve over a weighted sum of features, fitted on held-out flights.

    A bundle without one gets straight lines through one half at its `lost_threshold`, over the score alone.
    `benchmarks/confidence.py` fits.
    """

    def __init__(self, manifest: Manifest) -> None:
        curve = manifest.confidence or ConfidenceCurve(
            {"score": 1.0}, (0.0, manifest.lost_threshold, 1.0), (0.0, 0.5, 1.0), 1.0
        )
        self._weights = tuple(curve.weights.items())
        self._evidence, self._probabilities = np.array(curve.evidence), np.array(curve.probabilities)
        self.found_right = curve.found_right

    def of(self, evidence: Evidence) -> float:
        """How often a box with this evidence is right, 0..1."""
        total = sum(weight * getattr(evidence, feature) for feature, weight in self._weights)
        return float(np.interp(total, self._evidence, self._probabilities))


class ScoreMemory:
    """Trust is lost fast and won slowly: after a bad moment a box may be on something else."""

    def start(self, now_ns: int, score: float = 1.0) -> None:
        """Nothing is known but this score; without one, a box that is right."""
        self._value, self._seen_ns = score, now_ns

    def update(self, now_ns: int, score: float) -> float:
        """Takes in the score of the next frame; returns what is remembered."""
        elapsed_ms = max(0, now_ns - self._seen_ns) / 1e6
        self._seen_ns = now_ns
        kept = math.exp(-elapsed_ms / (_FALL_MS if score < self._value else _RISE_MS))
        self._value = kept * self._value + (1.0 - kept) * score
        return self._value
