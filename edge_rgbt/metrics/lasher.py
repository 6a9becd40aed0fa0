"""LasHeR: PR at 20 px, NPR at 0.2, SR; visible boxes, frame 1 replaced, empty result boxes repaired."""

from __future__ import annotations

import numpy as np

from edge_rgbt.metrics import measures
from edge_rgbt.metrics.rules import RuleSet


class LasherRules(RuleSet):
    name = "lasher"
    title = "LasHeR"
    metrics = ("PR", "NPR", "SR")

    def hits(self, truth: np.ndarray, infrared: np.ndarray, result: np.ndarray) -> dict[str, np.ndarray]:
        result = repair_empty(first_replaced(result, truth))
        unseen = (truth <= 0).any(axis=1)  # no valid annotation: found by definition, never overlapped
        error = np.where(unseen, np.float32(0), measures.centre_error(truth, result, inclusive=True))
        normalised = np.where(unseen, np.float32(0), measures.normalised_centre_error(truth, result))
        shared = np.where(unseen, np.float32(-1), measures.overlap(truth, result))
        return {
            "PR": measures.hits_within(error, measures.PIXEL_THRESHOLDS),
            "NPR": measures.hits_within(normalised, measures.NORMALISED_THRESHOLDS),
            "SR": measures.hits_above(shared, measures.OVERLAP_THRESHOLDS),
        }

    def value(self, metric: str, rates: np.ndarray) -> float:
        return float(rates.mean() if metric == "SR" else rates[20])  # 20 px; 20 hundredths of the target


def first_replaced(result: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The result with its first box (given to the tracker anyway) taken from the truth."""
    result = result.copy()
    result[:1] = truth[:1]
    return result


def repair_empty(result: np.ndarray) -> np.ndarray:
    """Every box without area takes the last box before it that has one (the first frame is left alone)."""
    usable = (result[:, 2] > 0) & (result[:, 3] > 0)
    # index 0 stands in for the unusable ones, so a running maximum points at the last good frame
    return result[np.maximum.accumulate(np.where(usable, np.arange(len(result)), 0))]
