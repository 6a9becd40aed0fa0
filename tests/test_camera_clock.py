"""A camera's clock is believed as long as its times can be; one that jumps is found out and made up for."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edge_rgbt.sync import CameraClock
from edge_rgbt.types import Frame, Modality, TimeSource

MS = 1_000_000
PERIOD = 33 * MS
LAG = 15 * MS
START = 10_000_000 * MS  # of the monotonic clock


def frame(stamp_ns: int, sequence: int = 0) -> Frame:
    image = np.zeros((2, 2), np.uint8)
    return Frame(image, Modality.TIR, stamp_ns, sequence, "boson", time_source=TimeSource.SENSOR)


class Way:
    """A camera at 30 Hz whose clock is off by `clock_ns` and whose frames take `lag_ns` to arrive."""

    def __init__(self, clock: CameraClock) -> None:
        self.clock, self.now_ns, self.clock_ns, self.lag_ns = clock, START, 0, LAG

    def send(self, count: int = 1, jitter_ms: float = 0.0) -> list[tuple[int, Frame | None]]:
        """True capture time of each frame, and what became of it."""
        chance, found = random.Random(1), []
        for _ in range(count):
            self.now_ns += PERIOD
            lag_ns = self.lag_ns + round(chance.uniform(0, jitter_ms) * MS)
            found.append(
                (self.now_ns, self.clock.check(frame(self.now_ns + self.clock_ns), self.now_ns + lag_ns))
            )
        return found


@pytest.fixture
def way() -> Way:
    return Way(CameraClock("boson"))


def test_times_that_can_be_pass_untouched(way):
    for taken_ns, passed in way.send(60, jitter_ms=30):
        assert passed is not None
        assert (passed.timestamp_ns, passed.time_source) == (taken_ns, TimeSource.SENSOR)
    assert (way.clock.refused, way.clock.jumps) == (0, 0)


@pytest.mark.parametrize("jump_ms", [-5_000_000, -7000, -600, -150, 150, 900, 40_000])
def test_a_jump_costs_two_frames_and_no_wrong_time(way, caplog, jump_ms):
    way.send(60)
    way.clock_ns = jump_ms * MS
    after = way.send(60)
    assert [passed is None for _, passed in after] == [True] * 2 + [False] * 58
    assert all(passed.timestamp_ns == taken_ns for taken_ns, passed in after[2:])
    assert {passed.time_source for _, passed in after[2:]} == {TimeSource.ARRIVAL}
    assert (way.clock.refused, way.clock.jumps) == (2, 1)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"boson: its clock went by {jump_ms / 1e3:+.3f} s" in line


@pytest.mark.parametrize("jump_ms", [-5000, 900])
def test_times_made_up_for_are_right_within_their_stated_uncertainty(way, jump_ms):
    way.send(100, jitter_ms=18)
    way.clock_ns = jump_ms * MS
    after = [(taken_ns, passed) for taken_ns, passed in way.send(200, jitter_ms=18) if passed is not None]
    assert len(after) > 190
    for taken_ns, passed in after:
        assert abs(passed.timestamp_ns - taken_ns) <= passed.time_uncertainty_ns < 60 * MS


def test_a_jump_is_found_on_a_machine_that_holds_most_frames_up():
    way = Way(CameraClock("boson"))
    way.send(100, jitter_ms=150)
    way.clock_ns = 2000 * MS
    after = [(taken_ns, passed) for taken_ns, passed in way.send(100, jitter_ms=150) if passed is not None]
    assert way.clock.jumps == 1
    assert len(after) > 60
    for taken_ns, passed in after:
        assert abs(passed.timestamp_ns - taken_ns) <= passed.time_uncertainty_ns


def test_a_clock_that_is_set_back_is_trusted_again(way):
    way.send(60)
    way.clock_ns = 3000 * MS
    way.send(60)
    way.clock_ns = 0
    taken_ns, passed = way.send(60)[-1]
    assert (passed.timestamp_ns, passed.time_source) == (taken_ns, TimeSource.SENSOR)
    assert way.clock.jumps == 2


def test_one_impossible_time_costs_its_own_frame_only(way):
    way.send(30)
    for garbage_ns in (0, 2**62):
        assert way.clock.check(frame(garbage_ns), way.now_ns + LAG) is None
        assert all(passed is not None for _, passed in way.send(5))
    assert (way.clock.refused, way.clock.jumps) == (2, 0)


def test_frames_held_up_and_delivered_behind_newer_ones_are_no_jump(way):
    way.send(30)
    held = [frame(way.now_ns + k * PERIOD) for k in range(1, 6)]
    way.now_ns += 5 * PERIOD
    way.send(10)
    assert [way.clock.check(one, way.now_ns + LAG) for one in held] == [None] * 5
    assert (way.clock.jumps, way.clock.correction_ns) == (0, 0)


@pytest.mark.parametrize("more_ms", [80, 400, 2000])
def test_a_way_that_becomes_longer_and_shorter_again_is_no_jump(way, more_ms):
    way.send(60)
    way.lag_ns = LAG + more_ms * MS
    found = way.send(100)
    way.lag_ns = LAG
    found += way.send(100)
    assert all(passed is not None and passed.timestamp_ns == taken_ns for taken_ns, passed in found)


def test_an_outage_is_no_jump(way):
    way.send(60)
    way.now_ns += 20_000 * MS
    assert all(passed is not None for _, passed in way.send(10))


def test_slow_drift_is_no_jump(way):
    for _ in range(100):
        way.clock_ns += MS // 10  # 3 ms in a second
        way.send(1)
    for _ in range(6000):
        way.clock_ns += PERIOD // 10_000  # 100 parts in a million
        way.send(1)
    assert (way.clock.refused, way.clock.jumps) == (0, 0)


def test_a_clock_that_was_never_ours_gives_way_to_arrival_times():
    way = Way(CameraClock("boson"))
    way.clock_ns = -9_000_000 * MS
    found = way.send(10)
    assert [passed is None for _, passed in found[:3]] == [True, True, False]
    assert all(0 <= passed.timestamp_ns - taken_ns <= LAG for taken_ns, passed in found[2:])


def test_a_known_offset_is_no_fault():
    way = Way(CameraClock("boson", offset_ns=-40_000 * MS))
    way.clock_ns = 40_000 * MS
    found = way.send(10)
    assert all(
        passed is not None and passed.timestamp_ns == taken_ns + way.clock_ns for taken_ns, passed in found
    )
