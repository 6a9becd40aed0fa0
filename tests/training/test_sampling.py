"""Causal sampling: search after template, within range, visible only, and widened where it must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.samples import RejectedSample
from training.data.sampling import SAMPLING_RANGE, choose_frames, is_usable

visibilities = st.lists(st.booleans(), min_size=2, max_size=60).filter(lambda v: sum(v) >= 2)


def draws(visible: np.ndarray, count: int = 300, **options):
    rng = np.random.default_rng(0)
    return [choose_frames(visible, rng, **options) for _ in range(count)]


@settings(deadline=None)
@given(visibilities, st.integers(0, 1000))
def test_both_frames_are_visible_and_in_order(visible, seed):
    mask = np.array(visible)
    frames = choose_frames(mask, np.random.default_rng(seed), dynamic=True, reach=5)
    assert frames.template < frames.search
    assert mask[[frames.template, frames.search]].all()
    if frames.dynamic is not None:
        assert mask[frames.dynamic]
        assert frames.template < frames.dynamic < frames.search


def test_the_search_frame_is_less_than_the_range_away():
    gaps = [frames.search - frames.template for frames in draws(np.ones(1000, bool))]
    assert max(gaps) < SAMPLING_RANGE
    assert max(gaps) > 0.9 * SAMPLING_RANGE
    assert min(gaps) < 0.1 * SAMPLING_RANGE


def test_the_range_grows_until_a_visible_frame_is_found():
    visible = np.zeros(700, bool)
    visible[[3, 640]] = True
    assert {(f.template, f.search) for f in draws(visible, 3)} == {(3, 640)}


def test_the_last_frame_is_never_the_template():
    visible = np.zeros(30, bool)
    visible[[10, 29]] = True
    assert {f.template for f in draws(visible, 50)} == {10}


def test_a_dynamic_template_is_drawn_from_all_frames_between():
    between = {f.dynamic for f in draws(np.ones(4, bool), dynamic=True) if (f.template, f.search) == (0, 3)}
    assert between == {1, 2}


def test_neighbouring_frames_leave_no_dynamic_template():
    assert choose_frames(np.ones(2, bool), np.random.default_rng(0), dynamic=True).dynamic is None


def test_a_target_seen_once_is_rejected():
    with pytest.raises(RejectedSample, match="visible"):
        choose_frames(np.array([True, False, False]), np.random.default_rng(0))


@pytest.mark.parametrize(("frames", "visible", "usable"), [(19, 19, False), (20, 4, False), (20, 5, True)])
def test_sequences_need_twenty_frames_and_five_visible_ones(frames, visible, usable):
    assert is_usable(np.arange(frames) < visible) is usable
