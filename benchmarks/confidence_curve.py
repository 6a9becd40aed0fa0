"""Fits and judges confidences: logistic weights, a monotone curve over them, reliability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_rgbt.bundle import ConfidenceCurve

BINS = 10
# Features whose weight must not be below, or not be above, zero: more of them cannot mean the contrary.
SIGNS = {"score": 1.0, "remembered": 1.0, "likeness": 1.0, "rival": -1.0}
_KNOTS = 16
_RIDGE = 1e-3
_CLIP = 0.01  # no curve claims more certainty than this many flights can show


def fit_weights(features: np.ndarray, right: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method; a weight of the wrong sign is dropped. `[n, k]` -> `[k]`."""
    kept = np.ones(len(signs), bool)
    while kept.any():
        middle, spread = features[:, kept].mean(0), features[:, kept].std(0) + 1e-9
        x = np.column_stack([(features[:, kept] - middle) / spread, np.ones(len(features))])
        w = np.zeros(x.shape[1])
        for _ in range(50):
            p = 1.0 / (1.0 + np.exp(-x @ w))
            slope = x.T @ (right - p) / len(x) - _RIDGE * w
            curvature = (x * (p * (1.0 - p))[:, None]).T @ x / len(x) + _RIDGE * np.eye(len(w))
            step = np.linalg.solve(curvature, slope)
            w += step
            if np.abs(step).max() < 1e-6:
                break
        wrong = w[:-1] * signs[kept] < 0
        if not wrong.any():
            out = np.zeros(len(signs))
            out[kept] = w[:-1] / spread
            return out
        kept[np.flatnonzero(kept)[wrong]] = False
    raise ValueError("no feature speaks for a box; is the bundle trained?")


def monotone(evidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots of a curve that never falls: means of bins of equal count, neighbours pooled where they fall."""
    order = np.argsort(evidence, kind="stable")
    parts = np.array_split(order, min(_KNOTS, len(order)))
    pools: list[list[float]] = []  # evidence sum, right sum, count
    for part in parts:
        pools.append([float(evidence[part].sum()), float(right[part].sum()), float(len(part))])
        while len(pools) > 1 and pools[-2][1] / pools[-2][2] >= pools[-1][1] / pools[-1][2]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    sums = np.array(pools)
    return sums[:, 0] / sums[:, 2], np.clip(sums[:, 1] / sums[:, 2], _CLIP, 1.0 - _CLIP)


def fit_curve(names: Sequence[str], features: np.ndarray, right: np.ndarray) -> ConfidenceCurve:
    """Weights and curve from features `[n, k]` of boxes and whether each was right.

    With no evidence at all, as on black pictures, the curve goes down to 0.
    """
    weights = fit_weights(features, right, np.array([SIGNS[name] for name in names]))
    knots, probabilities = monotone(features @ weights, right)
    if knots[0] > 0.0:
        knots, probabilities = np.r_[0.0, knots], np.r_[0.0, probabilities]
    return ConfidenceCurve(
        {name: round(float(w), 5) for name, w in zip(names, weights, strict=True) if w},
        tuple(np.round(knots, 5).tolist()),
        tuple(np.round(probabilities, 4).tolist()),
        1.0,
    )


def probabilities(curve: ConfidenceCurve, names: Sequence[str], features: np.ndarray) -> np.ndarray:
    """What the curve says of each row."""
    weights = np.array([curve.weights.get(name, 0.0) for name in names])
    return np.interp(features @ weights, curve.evidence, curve.probabilities)


def log_loss(claimed: np.ndarray, right: np.ndarray) -> float:
    """Mean surprise in nats; claims of certainty are taken down to 99 in 100."""
    p = np.clip(claimed, _CLIP, 1.0 - _CLIP)
    return float(-np.mean(right * np.log(p) + (1.0 - right) * np.log(1.0 - p)))


def cross_validated(
    names: Sequence[str], features: np.ndarray, right: np.ndarray, flights: np.ndarray, folds: int = 4
) -> float:
    """Log loss on flights left out of the fit."""
    claimed = np.zeros(len(right))
    groups = np.unique(flights)
    for fold in range(folds):
        out = np.isin(flights, groups[fold::folds])
        if out.any() and not out.all():
            curve = fit_curve(names, features[~out], right[~out])
            claimed[out] = probabilities(curve, names, features[out])
    return log_loss(claimed, right)


def reliability(claimed: np.ndarray, right: np.ndarray) -> tuple[list[dict[str, float]], float]:
    """Rows per bin of confidence, and the expected calibration error: mean |claimed - right| over frames."""
    bins = np.minimum((claimed * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for number in range(BINS):
        chosen = bins == number
        if chosen.any():
            said, was = float(claimed[chosen].mean()), float(right[chosen].mean())
            error += chosen.mean() * abs(said - was)
            rows.append({"from": number / BINS, "frames": int(chosen.sum()), "claimed": said, "right": was})
    return rows, float(error)
