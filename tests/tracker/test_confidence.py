"""Evidence to probability, and the memory of doubtful moments."""

from __future__ import annotations

import pytest
from bundles import tiny_manifest

from edge_rgbt.bundle import ConfidenceCurve
from edge_rgbt.manifest import EVIDENCE
from edge_rgbt.tracker.confidence import FEATURES, Confidence, Evidence, ScoreMemory

MS = 1_000_000


def evidence(**values: float) -> Evidence:
    return Evidence(**({"score": 0.0, "rival": 0.0, "remembered": 0.0, "likeness": 0.0} | values))


def test_manifest_may_weigh_every_feature_that_there_is():
    assert EVIDENCE == FEATURES


def test_curve_of_the_bundle_is_read_between_its_knots():
    curve = ConfidenceCurve({"score": 1.0, "rival": -0.5}, (0.0, 0.4, 0.8), (0.1, 0.5, 0.9), 1.0)
    confidence = Confidence(tiny_manifest(confidence=curve))
    assert confidence.of(evidence(score=0.7, rival=0.2)) == pytest.approx(0.7)
    assert confidence.of(evidence(score=0.1, rival=1.0)) == pytest.approx(0.1)
    assert confidence.of(evidence(score=1.0)) == pytest.approx(0.9)


def test_bundle_without_a_curve_is_even_at_its_lost_threshold():
    confidence = Confidence(tiny_manifest(lost_threshold=0.3))
    assert confidence.of(evidence(score=0.3)) == pytest.approx(0.5)
    assert confidence.of(evidence(score=0.0)) == 0.0
    assert confidence.of(evidence(score=1.0)) == 1.0


@pytest.mark.parametrize("step_ms", [16, 111])
def test_bad_moment_is_remembered_for_seconds_at_any_rate(step_ms):
    memory = ScoreMemory()
    memory.start(0)
    times = range(step_ms, 6001, step_ms)
    seen = {t: memory.update(t * MS, 0.2 if 1000 <= t < 1400 else 0.8) for t in times}

    def at(ms: int) -> float:
        return seen[min(seen, key=lambda t: abs(t - ms))]

    assert at(900) == pytest.approx(0.8, abs=0.02)
    assert at(1380) < 0.25
    assert 0.3 < at(2400) < 0.45
    assert at(6000) > 0.6
