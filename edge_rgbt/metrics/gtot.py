"""GTOT: MPR below 5 px and MSR as an area, better modality per frame, all frames of the dataset pooled."""

from __future__ import annotations

import numpy as np

from edge_rgbt.metrics import measures
from edge_rgbt.metrics.rgbt234 import better_modality
from edge_rgbt.metrics.rules import RuleSet


class GtotRules(RuleSet):
    name = "gtot"
    title = "GTOT"
    metrics = ("MPR", "MSR")
    pooled = True

    def hits(self, truth: np.ndarray, infrared: np.ndarray, result: np.ndarray) -> dict[str, np.ndarray]:
        error, shared = better_modality(truth, infrared, result, inclusive=False)
        return {
            "MPR": measures.hits_within(error, measures.PIXEL_THRESHOLDS, strict=True),
            "MSR": measures.hits_above(shared, measures.OVERLAP_THRESHOLDS),
        }

    def value(self, metric: str, rates: np.ndarray) -> float:
        if metric == "MPR":
            return float(rates[5])
        return float(((rates[:-1] + rates[1:]) / 2).mean())  # trapezoids over thresholds 0..1
