"""Which frames a drone would have missed, by hand."""

import pytest

from edge_rgbt.replay.tracking import FlightClock


def seen(fps: float, seconds: float, frames: int) -> list[int]:
    """Frames that a tracker taking `seconds` for each gets to see."""
    clock, taken = FlightClock(fps), []
    for index in range(frames):
        if not clock.misses(index):
            taken.append(index)
            clock.tracked(index, seconds)
    return taken


def test_a_tracker_faster_than_the_camera_sees_every_frame():
    assert seen(fps=10, seconds=0.09, frames=6) == [0, 1, 2, 3, 4, 5]


def test_a_slower_one_goes_on_with_the_newest_frame_there_is():
    # busy until 0.25 s: frame 2 came at 0.2; busy until 0.5 s: frame 5 comes just then
    assert seen(fps=10, seconds=0.25, frames=11) == [0, 2, 5, 7, 10]


def test_a_tracker_a_little_too_slow_misses_a_frame_now_and_then():
    taken = seen(fps=10, seconds=0.11, frames=100)
    assert len(taken) == pytest.approx(100 / 1.1, abs=1)
    assert taken[:5] == [0, 1, 2, 3, 4]


def test_one_long_pause_costs_only_the_frames_in_it():
    clock, taken = FlightClock(10), []
    for index in range(10):
        if not clock.misses(index):
            taken.append(index)
            clock.tracked(index, 0.35 if index == 2 else 0.01)
    assert taken == [0, 1, 2, 5, 6, 7, 8, 9]
