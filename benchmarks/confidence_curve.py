"""Fits and judges confidences: a logistic curve over few features, and its reliability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_rgbt.bundle import ConfidenceCurve

BINS = 10
# Features whose weight must not be below, or not be above, zero: more of them cannot mean the contrary.
SIGNS = {"score": 1.0, "remembered": 1.0, "likeness": 1.0, "rival": -1.0}
_KNOTS = 17
_RIDGE = 1e-3
_CLIP = 0.01  # no curve claims more certainty than this many flights can show


def fit_logistic(features: np.ndarray, right: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and bias by Newton's method; a weight of the wrong sign is dropped. features `[n, k]`.

    Raises ValueError if no weight is left.
    """
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
            return out, float(w[-1] - out[kept] @ middle)
        kept[np.flatnonzero(kept)[wrong]] = False
    raise ValueError("no feature speaks for a box; is the bundle trained?")


def fit_curve(names: Sequence[str], features: np.ndarray, right: np.ndarray) -> ConfidenceCurve:
    """Weights and curve from features `[n, k]` of boxes and whether each was right.

    A curve with as many parameters as features and one: more would tell these flights from others.
    """
    weights, bias = fit_logistic(features, right, np.array([SIGNS[name] for name in names]))
    furthest = np.log((1.0 - _CLIP) / _CLIP)
    odds = np.linspace(-furthest, furthest, _KNOTS)
    return ConfidenceCurve(
        {name: round(float(w), 5) for name, w in zip(names, weights, strict=True) if w},
        tuple(np.round(odds - bias, 5).tolist()),
        tuple(np.round(1.0 / (1.0 + np.exp(-odds)), 4).tolist()),
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
