"""Overlap and centre error in the number formats that published scores were computed with.

Boxes are xywh float32 `[n, 4]`. Exact ties with a threshold are common (integer boxes), so the float32
arithmetic and the order of operations are part of the rules: float64 here moves scores by up to 5e-4.
"""

from __future__ import annotations

import numpy as np

OVERLAP_THRESHOLDS = np.arange(21) * 0.05  # float64: 0.15, 0.35 and others lie above their decimal value
PIXEL_THRESHOLDS = np.arange(51, dtype=np.float64)
NORMALISED_THRESHOLDS = np.arange(51) * 0.01


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union, float32 `[n]`; NaN where both boxes have no area."""
    far = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    near = np.maximum(a[:, :2], b[:, :2])
    sides = np.maximum(np.float32(0), far - near)
    shared = sides[:, 0] * sides[:, 1]
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return shared / union


def centres(boxes: np.ndarray, inclusive: bool) -> np.ndarray:
    """Box centres float32 `[n, 2]`. inclusive: pixels are counted, so half of (w - 1) is added, not of w."""
    return boxes[:, :2] + (boxes[:, 2:] - np.float32(inclusive)) / np.float32(2)


def centre_error(a: np.ndarray, b: np.ndarray, inclusive: bool) -> np.ndarray:
    """Distance of the centres in pixels, float32 `[n]`."""
    return _norm(centres(a, inclusive) - centres(b, inclusive))


def normalised_centre_error(truth: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Distance of the centres after dividing each by the true width and height, float32 `[n]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _norm(centres(truth, True) / truth[:, 2:] - centres(result, True) / truth[:, 2:])


def _norm(difference: np.ndarray) -> np.ndarray:
    return np.sqrt((difference**2).sum(axis=1))


def hits_above(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many values exceed each threshold (NaN never does), int64 `[thresholds]`."""
    return (values[:, None] > thresholds).sum(axis=0)


def hits_within(values: np.ndarray, thresholds: np.ndarray, strict: bool = False) -> np.ndarray:
    """How many values are at most (strict: below) each threshold (NaN never is), int64 `[thresholds]`."""
    within = values[:, None] < thresholds if strict else values[:, None] <= thresholds
    return within.sum(axis=0)
