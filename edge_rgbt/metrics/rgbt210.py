"""RGBT210: PR at 20 px and SR on the visible boxes, frame 1 replaced."""

from __future__ import annotations

import numpy as np

from edge_rgbt.metrics import measures
from edge_rgbt.metrics.lasher import first_replaced
from edge_rgbt.metrics.rules import RuleSet


class Rgbt210Rules(RuleSet):
    name = "rgbt210"
    title = "RGBT210"
    metrics = ("PR", "SR")

    def hits(self, truth: np.ndarray, infrared: np.ndarray, result: np.ndarray) -> dict[str, np.ndarray]:
        result = first_replaced(result, truth)
        return {
            "PR": measures.hits_within(
                measures.centre_error(truth, result, inclusive=True), measures.PIXEL_THRESHOLDS
            ),
            "SR": measures.hits_above(measures.overlap(truth, result), measures.OVERLAP_THRESHOLDS),
        }

    def value(self, metric: str, rates: np.ndarray) -> float:
        return float(rates[20] if metric == "PR" else rates.mean())
