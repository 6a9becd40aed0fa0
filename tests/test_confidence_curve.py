"""The fit behind `benchmarks/confidence.py`, on evidence whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import confidence_curve as curves

NAMES = ("score", "remembered")


def observations(seed: int, n: int = 6000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, whether boxes were right, and how likely that was."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(0.0, 1.0, (n, 2))
    likely = 1.0 / (1.0 + np.exp(-12.0 * (features[:, 1] - 0.4)))
    return features, (rng.random(n) < likely).astype(float), likely


def test_fitted_confidence_is_how_often_boxes_are_right_on_others_than_those_fitted():
    curve = curves.fit_curve(NAMES, *observations(1)[:2])
    features, right, likely = observations(2)
    claimed = curves.probabilities(curve, NAMES, features)
    assert curves.reliability(claimed, right)[1] < 0.03
    assert np.abs(claimed - likely).mean() < 0.05
    assert abs(curve.weights.get("score", 0.0)) < 0.1 * curve.weights["remembered"]


def test_curve_never_falls_and_ends_at_nothing_without_evidence():
    features, right, _ = observations(3, 400)
    curve = curves.fit_curve(NAMES, features, right)
    assert (np.diff(curve.evidence) >= 0).all()
    assert (np.diff(curve.probabilities) >= 0).all()
    assert curves.probabilities(curve, NAMES, np.zeros((1, 2)))[0] < 0.05


def test_feature_that_speaks_the_wrong_way_gets_no_weight():
    features, right, _ = observations(4)
    features[:, 0] = 1.0 - right + 0.1 * features[:, 0]
    assert "score" not in curves.fit_curve(NAMES, features, right).weights


def test_without_any_feature_that_helps_the_fit_says_so():
    features, right, _ = observations(5)
    with pytest.raises(ValueError, match="is the bundle trained"):
        curves.fit_curve(["remembered"], 1.0 - features[:, 1:], right)


def test_calibration_error_is_the_gap_between_claimed_and_right():
    rows, error = curves.reliability(np.full(100, 0.85), np.r_[np.ones(60), np.zeros(40)])
    assert error == pytest.approx(0.25)
    assert rows == [{"from": 0.8, "frames": 100, "claimed": pytest.approx(0.85), "right": 0.6}]
