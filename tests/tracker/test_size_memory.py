"""Sizes that the target cannot have had: bounded by a slow reference; legs and turns are let through."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rgbt.tracker.size_memory import SizeMemory

FRAME_NS = 33_333_333


def follow(
    sizes: list[tuple[float, float]], rate: float = 0.3, band: float = 0.15
) -> list[tuple[float, float]]:
    """Bounded sizes at 30 Hz; the first size is the given box."""
    memory = SizeMemory(rate, band)
    memory.reset(*sizes[0], timestamp_ns=0)
    return [memory.bounded(w, h, k * FRAME_NS) for k, (w, h) in enumerate(sizes[1:], 1)]


def test_a_width_that_swings_with_the_legs_passes_untouched():
    swinging = [(20 * math.exp(0.25 * math.sin(k)), 50.0) for k in range(60)]
    for (w, h), (wanted_w, wanted_h) in zip(follow([(20.0, 50.0), *swinging]), swinging, strict=True):
        assert (w, h) == (pytest.approx(wanted_w), pytest.approx(wanted_h))


def test_a_box_that_takes_in_a_neighbour_grows_by_no_more_than_the_band_and_the_rate_allow():
    scales = [math.sqrt(w * h) for w, h in follow([(20.0, 50.0)] + [(60.0, 90.0)] * 24)]
    start = math.sqrt(20 * 50)
    assert scales[0] < start * math.exp(0.17)
    assert scales[-1] <= start * math.exp(0.15 + 0.3 * 24 / 30) * 1.0001


def test_a_target_that_comes_slowly_nearer_is_followed_all_the_way():
    nearing = [(20 * math.exp(0.25 * k / 30), 50 * math.exp(0.25 * k / 30)) for k in range(150)]
    w, h = follow(nearing)[-1]
    assert (w, h) == (pytest.approx(nearing[-1][0]), pytest.approx(nearing[-1][1]))


def test_a_long_pause_does_not_free_the_size():
    memory = SizeMemory(0.3, 0.15)
    memory.reset(20.0, 20.0, 0)
    w, h = memory.bounded(200.0, 200.0, 60_000_000_000)
    assert (w, h) == (pytest.approx(20 * math.exp(0.15 + 0.3 * 0.5)),) * 2


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=40))
def test_sizes_stay_finite_and_above_zero(sizes):
    for w, h in follow([(20.0, 50.0), *sizes]):
        assert 0 < w < math.inf
        assert 0 < h < math.inf
