"""RGBT234: MPR at 20 px and MSR, the better modality in each frame."""

from __future__ import annotations

import numpy as np

from edge_rgbt.metrics import measures
from edge_rgbt.metrics.rules import RuleSet


class Rgbt234Rules(RuleSet):
    name = "rgbt234"
    title = "RGBT234"
    metrics = ("MPR", "MSR")

    def hits(self, truth: np.ndarray, infrared: np.ndarray, result: np.ndarray) -> dict[str, np.ndarray]:
        error, shared = better_modality(truth, infrared, result, inclusive=True)
        precision, success = self.metrics
        return {
            precision: measures.hits_within(error, measures.PIXEL_THRESHOLDS),
            success: measures.hits_above(shared, measures.OVERLAP_THRESHOLDS),
        }

    def value(self, metric: str, rates: np.ndarray) -> float:
        return float(rates[20] if metric == self.metrics[0] else rates.mean())


def better_modality(
    visible: np.ndarray, infrared: np.ndarray, result: np.ndarray, inclusive: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The smaller of the two centre errors and the larger of the two overlaps, per frame."""
    error = np.minimum(
        measures.centre_error(visible, result, inclusive), measures.centre_error(infrared, result, inclusive)
    )
    shared = np.fmax(measures.overlap(visible, result), measures.overlap(infrared, result))
    return error, shared
