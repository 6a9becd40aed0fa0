"""The thermal map follows the scene slowly and within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rgbt.thermal import ThermalRange
from edge_rgbt.types import Frame, Modality

SECOND = 1_000_000_000


def _scene(low: int, high: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (128, 160)).astype(np.uint16)


def test_eight_bits_pass_through_untouched():
    image = np.zeros((4, 5), np.uint8)
    frame = Frame(image, Modality.TIR, 0, 0)
    assert ThermalRange().apply(frame) is frame


def test_sixteen_bits_become_eight_with_time_and_number_kept():
    frame = Frame(_scene(20_000, 24_000), Modality.TIR, 5, 6, "boson")
    out = ThermalRange().apply(frame)
    assert out.image.dtype == np.uint8
    assert (out.timestamp_ns, out.sequence, out.source) == (5, 6, "boson")


def test_first_picture_fills_the_range_with_headroom():
    out = ThermalRange(headroom=0.1).map(_scene(20_000, 24_000))
    low, high = np.percentile(out, (1, 99))
    assert 15 < low < 30
    assert 225 < high < 240


def test_map_is_linear_and_saturates():
    thermal = ThermalRange()
    image = _scene(20_000, 24_000)
    image[0, 0], image[0, 1] = 0, 65_535
    out = thermal.map(image)
    low, high = thermal.range
    wanted = np.clip((image - np.floor(low)) * 255 / (high - np.floor(low)), 0, 255)
    assert np.abs(out - wanted).max() <= 0.51


def test_hot_object_does_not_change_the_ground_at_once():
    thermal = ThermalRange()
    ground = _scene(20_000, 21_000)
    before = thermal.map(ground, 0).astype(int)
    hot = ground.copy()
    hot[:30] += 4000  # a quarter of the picture
    after = thermal.map(hot, SECOND // 30).astype(int)
    assert np.abs(after[30:] - before[30:]).max() <= 6


@pytest.mark.parametrize(("low", "high"), [(20_500, 21_500), (20_900, 60_000), (20_400, 20_900)])
def test_range_reaches_a_changed_scene_within_seconds(low, high):
    thermal, goal = ThermalRange(), ThermalRange()
    thermal.map(_scene(20_000, 21_000), 0)
    goal.map(_scene(low, high), 0)
    for frame in range(1, 30 * 10):
        thermal.map(_scene(low, high), frame * SECOND // 30)
    np.testing.assert_allclose(thermal.range, goal.range, atol=60)


def test_scene_wholly_outside_the_range_is_shown_at_once():
    thermal, goal = ThermalRange(), ThermalRange()
    thermal.map(_scene(20_000, 21_000), 0)
    thermal.map(_scene(30_000, 31_000), SECOND // 30)
    goal.map(_scene(30_000, 31_000), 0)
    assert thermal.range == goal.range


def test_range_moves_no_faster_than_its_limit():
    thermal = ThermalRange(change_per_s=0.5)
    thermal.map(_scene(20_000, 24_000), 0)
    low, high = thermal.range
    thermal.map(_scene(21_000, 25_000), SECOND // 10)
    assert 0 < thermal.range[0] - low <= 0.05 * (high - low) + 1e-6


def test_noise_is_not_stretched_beyond_the_least_span():
    thermal = ThermalRange(min_span=400)
    out = thermal.map(_scene(20_000, 20_010))
    assert thermal.range[1] - thermal.range[0] == pytest.approx(400)
    assert np.ptp(out) <= 7


def test_blank_pictures_do_not_move_the_range():
    thermal = ThermalRange()
    thermal.map(_scene(20_000, 24_000), 0)
    before = thermal.range
    for frame in range(1, 30):
        thermal.map(np.zeros((128, 160), np.uint16), frame * SECOND)
    assert thermal.range == before


def test_clock_that_goes_back_does_not_move_the_range():
    thermal = ThermalRange()
    thermal.map(_scene(20_000, 24_000), SECOND)
    before = thermal.range
    thermal.map(_scene(21_000, 25_000), 0)
    assert thermal.range == before


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 4), (3, 3)])
def test_tiny_pictures_keep_their_shape(shape):
    out = ThermalRange().map(np.arange(np.prod(shape), dtype=np.uint16).reshape(shape) * 1000)
    assert out.shape == shape
    assert out.max() > out.min() or out.size == 1


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="percentiles"):
        ThermalRange(99, 1)
    with pytest.raises(ValueError, match="min_span"):
        ThermalRange(min_span=0)


def test_shift_of_all_counts_behind_a_closed_shutter_leaves_the_grey_levels():
    thermal = ThermalRange()
    scene = _scene(20_000, 24_000)
    before = thermal.map(scene, SECOND).astype(int)
    after = thermal.map(scene + np.uint16(600), SECOND + SECOND // 2).astype(int)
    assert np.abs(after - before).max() <= 1


def test_same_shift_between_two_pictures_in_a_row_is_followed_slowly():
    thermal = ThermalRange()
    scene = _scene(20_000, 24_000)
    before = thermal.map(scene, SECOND).astype(int)
    after = thermal.map(scene + np.uint16(600), SECOND + SECOND // 30).astype(int)
    assert np.median(after - before) > 20


def test_pause_shifts_the_range_by_half_its_span_at_most():
    thermal = ThermalRange(change_per_s=1e-9)
    thermal.map(_scene(20_000, 24_000), SECOND)
    low, high = thermal.range
    thermal.map(_scene(23_900, 27_900), 2 * SECOND)
    assert thermal.range[0] - low == pytest.approx((high - low) / 2, rel=1e-3)


def test_picture_not_to_be_believed_is_shown_without_moving_the_range():
    thermal = ThermalRange()
    thermal.map(_scene(20_000, 24_000), SECOND)
    before = thermal.state
    noise = Frame(_scene(0, 65_535), Modality.TIR, 2 * SECOND, 1)
    assert thermal.apply(noise, follow=False).image.dtype == np.uint8
    assert thermal.state == before


def test_picture_not_to_be_believed_gives_no_first_range():
    thermal = ThermalRange()
    thermal.apply(Frame(_scene(0, 65_535), Modality.TIR, 0, 0), follow=False)
    assert thermal.range is None


def test_older_picture_shown_again_does_not_count_as_a_pause():
    thermal = ThermalRange()
    scene = _scene(20_000, 24_000)
    thermal.map(scene, 10 * SECOND)
    low, high = thermal.range
    thermal.map(scene, 10 * SECOND - SECOND // 2)  # the last good one of an outage
    thermal.map(scene + np.uint16(600), 10 * SECOND + SECOND // 30)
    assert thermal.range[0] - low <= 0.5 / 30 * (high - low) + 1e-6


def test_range_moves_on_after_the_clock_was_restarted():
    thermal = ThermalRange()
    thermal.map(_scene(20_000, 24_000), 100 * SECOND)
    before = thermal.range
    thermal.map(_scene(21_000, 25_000), 0)
    thermal.map(_scene(21_000, 25_000), SECOND // 10)
    assert thermal.range > before
