"""Simulated flights with known truth, the small form of `benchmarks/geolocation.py` (the issue's number)."""

import numpy as np
import pytest

from benchmarks.flight_telemetry import FLAGS, SECOND, Fault
from benchmarks.geolocation import FAULT_SECONDS, GATES, INSIDE_95, Flown, fly, gate_summary, sightings
from edge_rgbt.sim import make_scenario

SECONDS, RATE_HZ = 12.0, 10.0


@pytest.fixture(scope="module", params=[503, 507], ids=["person", "car"])
def flight(request):
    scenario = make_scenario(request.param, seconds=SECONDS)
    return scenario, sightings(scenario, RATE_HZ, request.param, None)


def flown(flight, draw: int, flags: int = 32, fault: Fault | None = None) -> Flown:
    return fly(*flight, seed=1000 + draw, flags=flags, fault=fault)


@pytest.mark.slow
def test_the_truth_lies_in_the_published_95_percent_ellipse_as_often_as_it_should(flight):
    """24 draws of the errors; within one of them they hardly change, so that fewer would say little.

    The squared Mahalanobis distance of two dimensions is 2 on average: less than 1.2 would be covariances
    that claim too little, and ellipses that are simply too large.
    """
    runs = [flown(flight, draw, FLAGS[draw % len(FLAGS)]) for draw in range(24)]
    distances = np.concatenate([run.distances for run in runs])
    assert len(distances) > 0.8 * sum(run.pictures for run in runs)
    assert 0.88 <= (distances <= INSIDE_95).mean() <= 0.99
    assert 1.2 <= distances.mean() <= 2.8


@pytest.mark.slow
@pytest.mark.parametrize("kind", GATES)
def test_no_position_comes_out_while_a_gate_fails_and_they_come_again_afterwards(flight, kind):
    start = SECONDS / 2
    fault = Fault(kind, round(start * SECOND), round((start + FAULT_SECONDS) * SECOND))
    counts = gate_summary(kind, [flown(flight, 0, fault=fault)], start)
    assert counts["positions_while_failed"] == 0
    assert counts["positions_afterwards"] > 0
