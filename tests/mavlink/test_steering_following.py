"""A walking target that turns, kept in the middle and followed; `benchmarks/closed_loop.py` looks longer."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.closed_loop import DISTANCE_M, MIDDLE, Case, follow, take_up
from edge_rgbt.mavlink.autopilot import ARDUCOPTER

pytestmark = pytest.mark.slow  # half a minute of flight each
CASE = Case(ARDUCOPTER, "guided")


@pytest.mark.parametrize("seed", [20, 21])
def test_the_target_stays_in_the_middle_and_at_its_distance(seed):
    off, distance = follow(CASE, seed, 15.0)
    assert (off < MIDDLE).mean() >= 0.95
    assert np.median(abs(distance - DISTANCE_M)) <= 5.0


def test_a_target_that_was_hidden_for_three_seconds_is_taken_up_again():
    assert sum(take_up(CASE, seed) is not None for seed in (20, 21, 22)) >= 2
