"""Pairs are made by time; drops, duplicates, freezes and odd clocks are counted, and nothing queues up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rgbt.sync import QUEUE_LENGTH, PairSynchroniser
from edge_rgbt.types import Frame, Modality

MS = 1_000_000


def _rgb(ms: float, sequence: int | None = None) -> Frame:
    image = np.full((2, 2, 3), round(ms) % 251, np.uint8)
    return Frame(image, Modality.RGB, round(ms * MS), round(ms) if sequence is None else sequence)


def _tir(ms: float, sequence: int | None = None, level: int | None = None) -> Frame:
    image = np.full((2, 2), round(ms) % 251 if level is None else level, np.uint8)
    return Frame(image, Modality.TIR, round(ms * MS), round(ms) if sequence is None else sequence)


def _stream(make, rate_hz: float, seconds: float, phase_ms: float = 0.0) -> list[Frame]:
    return [make(phase_ms + i * 1000 / rate_hz, i) for i in range(int(seconds * rate_hz))]


def _in_time_order(*streams: list[Frame]) -> list[Frame]:
    return sorted((f for s in streams for f in s), key=lambda f: f.timestamp_ns)


def _run(sync: PairSynchroniser, frames: list[Frame]):
    pairs = [pair for frame in frames for pair in sync.push(frame)]
    return pairs + sync.flush()


def test_frames_pair_with_the_nearest_in_time_not_with_the_same_number():
    sync = PairSynchroniser(20)
    pairs = _run(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, phase_ms=-30)))
    assert len(pairs) == 29
    assert all(pair.tir.sequence == pair.rgb.sequence + 1 for pair in pairs)
    assert {round(p.skew_ns / MS, 1) for p in pairs} == {3.3}


def test_nearer_later_thermal_frame_wins_over_an_earlier_one():
    pairs = _run(PairSynchroniser(20), [_tir(0), _rgb(12), _tir(16)])
    assert [p.tir.timestamp_ns for p in pairs] == [16 * MS]


def test_frame_beyond_the_tolerance_is_dropped():
    sync = PairSynchroniser(5)
    assert _run(sync, [_tir(0), _rgb(6), _tir(40)]) == []
    assert (sync.counters.dropped_rgb, sync.counters.dropped_tir, sync.paired) == (1, 2, 0)


def test_offset_brings_thermal_times_to_the_rgb_clock():
    sync = PairSynchroniser(5, tir_offset_ns=-1000 * MS)
    pairs = _run(sync, [_rgb(100), _tir(1102)])
    assert pairs[0].skew_ns == 2 * MS
    assert pairs[0].tir.timestamp_ns == 102 * MS


@pytest.mark.parametrize(("rgb_hz", "tir_hz"), [(30, 60), (60, 30), (30, 25), (30, 9), (25, 30)])
def test_unequal_rates_pair_every_rgb_frame_that_has_a_thermal_one_near(rgb_hz, tir_hz):
    tolerance_ms = 500 / tir_hz + 1  # half a thermal period
    sync = PairSynchroniser(tolerance_ms)
    rgb, tir = _stream(_rgb, rgb_hz, 3, 2.0), _stream(_tir, tir_hz, 3)
    pairs = _run(sync, _in_time_order(rgb, tir))
    assert len(pairs) >= len(rgb) - 8
    for pair in pairs:
        nearest = min(abs(f.timestamp_ns - pair.rgb.timestamp_ns) for f in tir)
        assert abs(pair.skew_ns) == nearest
    assert (sync.counters.reused > 0) == (tir_hz < rgb_hz)


def test_slow_thermal_camera_does_not_delay_frames_it_cannot_serve_better():
    sync = PairSynchroniser(60)
    for frame in _in_time_order(_stream(_rgb, 30, 1, 3.0), _stream(_tir, 9, 1)):
        sync.push(frame)
    last_thermal = _tir(1000, 9)
    sync.push(last_thermal)
    assert [p.tir.timestamp_ns for p in sync.push(_rgb(1005, 99))] == [last_thermal.timestamp_ns]


def test_dropped_thermal_frames_cost_only_their_own_pairs():
    rgb = _stream(_rgb, 30, 1)
    tir = [f for f in _stream(_tir, 30, 1, 4.0) if f.sequence % 5]
    sync = PairSynchroniser(10)
    pairs = _run(sync, _in_time_order(rgb, tir))
    assert [p.rgb.sequence for p in pairs] == [f.sequence for f in tir]
    assert sync.counters.dropped_rgb == 6
    assert sync.counters.missing == 5  # the sixth, number 0, was never announced by a frame before it


def test_frames_delivered_twice_count_once():
    sync = PairSynchroniser(10)
    frames = [f for pair in zip(_stream(_rgb, 30, 1), _stream(_tir, 30, 1), strict=True) for f in pair]
    pairs = _run(sync, [f for f in frames for _ in range(2)])
    assert len(pairs) == 30
    assert sync.repeated == 60


def test_same_number_under_a_new_time_counts_as_repeated():
    sync = PairSynchroniser(10)
    assert len(_run(sync, [_rgb(0, 1), _tir(0, 1), _rgb(33, 1), _tir(33, 2)])) == 1
    assert sync.repeated == 1


def test_frame_slightly_out_of_order_is_still_used():
    sync = PairSynchroniser(10)
    pairs = _run(sync, [_rgb(0), _rgb(33), _tir(34), _tir(1), _rgb(66), _tir(67)])
    assert sync.counters.restarts == 0
    assert {p.rgb.timestamp_ns for p in pairs} >= {33 * MS, 66 * MS}


def test_frame_older_than_what_was_settled_is_late():
    sync = PairSynchroniser(10)
    _run(sync, [_rgb(100), _tir(100), _rgb(133), _tir(133)])
    assert sync.push(_rgb(50)) == []
    assert sync.late == 1


def test_frozen_picture_is_a_state_and_still_pairs():
    sync = PairSynchroniser(10)
    levels = [1, 2, 3, 3, 3, 3, 4]
    states = []
    for i, level in enumerate(levels):
        sync.push(_rgb(i * 33, i))
        assert len(sync.push(_tir(i * 33, i, level))) == 1
        states.append(sync.frozen(Modality.TIR))
    assert states == [False, False, False, True, True, True, False]
    assert sync.counters.frozen == 3


@pytest.mark.parametrize("make", [_rgb, _tir])
def test_one_dead_stream_never_fills_the_queue(make):
    sync = PairSynchroniser(10)
    for frame in _stream(make, 30, 10):
        assert sync.push(frame) == []
    assert sync.dropped >= 300 - QUEUE_LENGTH
    sync.flush()
    assert sync.dropped == 300


def test_clock_that_restarts_is_counted_and_pairing_goes_on():
    sync = PairSynchroniser(10)
    before = _in_time_order(_stream(_rgb, 30, 1, 50_000), _stream(_tir, 30, 1, 50_002))
    after = _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2))
    assert len(_run(sync, before + after)) >= 58
    assert sync.counters.restarts >= 1


def test_impossible_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance"):
        PairSynchroniser(0)


@given(
    st.lists(st.tuples(st.sampled_from([_rgb, _tir]), st.integers(0, 2_000)), max_size=80),
    st.integers(1, 50),
)
def test_whatever_comes_pairs_are_in_tolerance_in_order_and_every_frame_is_accounted_for(
    events, tolerance_ms
):
    sync = PairSynchroniser(tolerance_ms)
    pairs = _run(sync, [make(ms, i) for i, (make, ms) in enumerate(events)])
    assert all(abs(p.skew_ns) <= tolerance_ms * MS for p in pairs)
    c = sync.counters
    assert c.paired == len(pairs)
    if c.restarts == 0:
        times = [p.rgb.timestamp_ns for p in pairs]
        assert times == sorted(set(times))
        thermal_used = len({id(p.tir) for p in pairs})
        assert c.paired - c.reused == thermal_used
        assert len(events) == c.paired + thermal_used + c.dropped + c.late + c.repeated


def test_a_thermal_frame_that_has_served_is_not_counted_as_dropped():
    sync = PairSynchroniser(20)
    pairs = _run(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, phase_ms=4)))
    assert len(pairs) == 30
    assert (sync.counters.reused, sync.counters.dropped_tir, sync.counters.dropped_rgb) == (0, 0, 0)
