"""What the annotated picture shows."""

import numpy as np
import pytest
from outputs.pairs import grey_pair, state_of

from edge_rgbt.outputs.overlay import GREEN, RED, Overlay, ages_ms, overlap
from edge_rgbt.types import Box, Frame, FramePair, Modality, TrackStatus


def near(picture, colour):
    """Where the picture has this colour, give or take antialiasing."""
    return np.abs(picture.astype(int) - colour).max(axis=2) < 40


@pytest.mark.parametrize(("width", "height"), [(640, 512), (630, 460), (384, 288), (1920, 1080), (33, 17)])
def test_every_picture_size_becomes_an_even_one_of_watchable_width(width, height):
    overlay = Overlay(width, height)
    picture = overlay.draw(pair := grey_pair(0, width, height), state_of(pair))
    assert picture.shape == (overlay.size[1], overlay.size[0], 3)
    assert overlay.size[0] % 4 == 0
    assert overlay.size[1] % 2 == 0
    assert 960 <= overlay.size[0] <= 1920


@pytest.mark.parametrize(("status", "colour"), [(TrackStatus.TRACKING, GREEN), (TrackStatus.LOST, RED)])
def test_the_box_is_drawn_in_both_panes_in_the_colour_of_the_status(status, colour):
    pair = grey_pair(0, 640, 480)
    picture = Overlay(640, 480).draw(pair, state_of(pair, Box(200, 100, 80, 60), status))[:480]
    for left in (0, 640):
        rows, columns = np.nonzero(near(picture[:, left : left + 640], colour))
        assert (columns.min(), rows.min()) == (pytest.approx(200, abs=2), pytest.approx(100, abs=2))
        assert (columns.max(), rows.max()) == (pytest.approx(280, abs=2), pytest.approx(160, abs=2))


def test_an_idle_tracker_draws_no_box():
    pair = grey_pair(0, 640, 480)
    drawn = Overlay(640, 480).draw(pair, state_of(pair, status=TrackStatus.IDLE))
    np.testing.assert_array_equal(drawn[60:480, :639], 60)


def test_the_truth_is_dashed_white():
    pair = grey_pair(0, 640, 480)
    state = state_of(pair, Box(10, 300, 20, 20))
    picture = Overlay(640, 480).draw(pair, state, truth=Box(300, 200, 100, 80))
    top_edge = near(picture[200:201, 300:400], (240, 243, 247))
    assert 0.4 < top_edge.mean() < 0.75


def test_a_longer_bar_means_a_higher_score():
    pair = grey_pair(0, 640, 480)
    widths = [
        near(Overlay(640, 480).draw(pair, state_of(pair, score=score))[480:, 140:280], GREEN).sum()
        for score in (0.1, 0.5, 1.0)
    ]
    assert widths[0] < widths[1] < widths[2]


def test_a_box_far_outside_is_no_error():
    pair = grey_pair(0, 640, 480)
    Overlay(640, 480).draw(pair, state_of(pair, Box(-1e7, 1e7, 5e6, 3)), truth=Box(1e9, 0, 1, 1))


def test_raw_thermal_counts_are_shown_stretched_and_without_a_box():
    counts = np.linspace(20000, 24000, 320 * 256).reshape(256, 320).astype(np.uint16)
    rgb = Frame(np.full((480, 640, 3), 60, np.uint8), Modality.RGB, 0, 0)
    pair = FramePair(rgb, Frame(counts, Modality.TIR, 0, 0))
    thermal = Overlay(640, 480).draw(pair, state_of(pair))[:480, 642:]
    assert thermal[-40:].mean() > thermal[40:80].mean() + 50
    assert not near(thermal, GREEN).any()


def test_overlap_is_intersection_over_union():
    assert overlap(Box(0, 0, 10, 10), Box(0, 0, 10, 10)) == 1.0
    assert overlap(Box(0, 0, 10, 10), Box(5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert overlap(Box(0, 0, 10, 10), Box(10, 0, 10, 10)) == 0.0


def test_the_earlier_frame_of_a_pair_is_the_older_one():
    pair = grey_pair(0, skew_ns=3_000_000)
    assert ages_ms(state_of(pair), pair.skew_ns) == (pytest.approx(14.5), pytest.approx(11.5))
    assert ages_ms(state_of(pair), -3_000_000) == (pytest.approx(11.5), pytest.approx(14.5))
