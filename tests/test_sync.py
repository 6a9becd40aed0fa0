"""Pairs are made by time; what has no partner goes alone, in time; all is counted, nothing queues up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rgbt.sync import QUEUE_LENGTH, PairSynchroniser
from edge_rgbt.types import ABSENT, Frame, FramePair, Modality, PictureFault, Usable

MS = 1_000_000
LATENCY = 15 * MS  # from capture to arrival


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


def _run(sync: PairSynchroniser, frames: list[Frame]) -> list[FramePair]:
    pairs = [pair for frame in frames for pair in sync.push(frame)]
    return pairs + sync.flush()


def _push_live(sync: PairSynchroniser, frames: list[Frame]) -> list[FramePair]:
    return [p for f in frames for p in sync.push(f, now_ns=f.timestamp_ns + LATENCY)]


def _both(pairs: list[FramePair]) -> list[FramePair]:
    return [pair for pair in pairs if pair.usable is Usable.BOTH]


def test_frames_pair_with_the_nearest_in_time_not_with_the_same_number():
    sync = PairSynchroniser(20)
    pairs = _run(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, phase_ms=-30)))
    assert pairs.pop().usable is Usable.RGB  # the last one, whose partner never came
    assert len(pairs) == 29
    assert all(pair.tir.sequence == pair.rgb.sequence + 1 for pair in pairs)
    assert {round(p.skew_ns / MS, 1) for p in pairs} == {3.3}


def test_nearer_later_thermal_frame_wins_over_an_earlier_one():
    pairs = _run(PairSynchroniser(20), [_tir(0), _rgb(12), _tir(16)])
    assert [p.tir.timestamp_ns for p in pairs] == [16 * MS]


def test_frame_beyond_the_tolerance_goes_alone_and_says_so():
    sync = PairSynchroniser(5)
    (pair,) = _run(sync, [_tir(0), _rgb(6), _tir(40)])
    assert (pair.usable, pair.timestamp_ns, pair.skew_ns) == (Usable.RGB, 6 * MS, -6 * MS)
    assert (sync.counters.single_rgb, sync.counters.dropped_tir, sync.counters.paired) == (1, 2, 0)


def test_refusal_logs_both_times_but_not_every_time(caplog):
    sync = PairSynchroniser(5)
    _run(sync, _in_time_order(_stream(_rgb, 30, 2), _stream(_tir, 30, 2, 16)))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "RGB frame at 0 ns" in lines[0]
    assert "16000000 ns (+16.0 ms)" in lines[0]
    assert "29 more" in lines[1] or "30 more" in lines[1]


def test_a_dead_thermal_camera_is_not_told_frame_by_frame(caplog):
    sync = PairSynchroniser(20)
    _push_live(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2)))
    _push_live(sync, _stream(_rgb, 30, 20, 1000))
    assert len(caplog.records) <= 1


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
    assert len(pairs) == len(rgb)
    assert len(_both(pairs)) >= len(rgb) - 8
    for pair in _both(pairs):
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
    assert [p.rgb.sequence for p in pairs] == [f.sequence for f in rgb]
    assert [p.rgb.sequence for p in _both(pairs)] == [f.sequence for f in tir]
    assert sync.counters.single_rgb == 6
    assert sync.counters.missing == 5  # the sixth, number 0, was never announced by a frame before it


def test_frames_delivered_twice_count_once():
    sync = PairSynchroniser(10)
    frames = [f for pair in zip(_stream(_rgb, 30, 1), _stream(_tir, 30, 1), strict=True) for f in pair]
    pairs = _run(sync, [f for f in frames for _ in range(2)])
    assert len(pairs) == 30
    assert sync.counters.repeated == 60


def test_same_number_under_a_new_time_counts_as_repeated():
    sync = PairSynchroniser(10)
    assert len(_run(sync, [_rgb(0, 1), _tir(0, 1), _rgb(33, 1), _tir(33, 2)])) == 1
    assert sync.counters.repeated == 1


def test_frame_slightly_out_of_order_is_still_used():
    sync = PairSynchroniser(10)
    pairs = _run(sync, [_rgb(0), _rgb(33), _tir(34), _tir(1), _rgb(66), _tir(67)])
    assert sync.counters.restarts == 0
    assert {p.rgb.timestamp_ns for p in pairs} >= {33 * MS, 66 * MS}


def test_frame_older_than_what_was_settled_is_late():
    sync = PairSynchroniser(10)
    _run(sync, [_rgb(100), _tir(100), _rgb(133), _tir(133)])
    assert sync.push(_rgb(50)) == []
    assert sync.counters.late == 1


def test_picture_with_a_fault_is_no_partner_and_the_last_good_one_stands_in():
    sync = PairSynchroniser(10)
    faults = [None, None, PictureFault.FROZEN, PictureFault.FROZEN, None, None]
    pairs = []
    for i, fault in enumerate(faults):
        pairs += sync.push(_rgb(i * 33, i))
        pairs += sync.push(_tir(i * 33 + 1, i), fault)
    # Nothing waits for a faulty camera, so the first good picture after it comes too late for its partner.
    assert [p.usable.value for p in pairs] == ["both", "both", "rgb", "rgb", "rgb", "both"]
    assert [p.tir.sequence for p in pairs] == [0, 1, 1, 1, 1, 5]
    assert (sync.counters.faulty_tir, sync.counters.frozen) == (2, 2)
    assert sync.fault(Modality.TIR) is None


def test_dead_thermal_camera_leaves_rgb_frames_alone_and_undelayed():
    sync = PairSynchroniser(20)
    _push_live(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2)))
    alone = _push_live(sync, _stream(_rgb, 30, 2, 1000))
    assert len(alone) == 60
    assert all(p.usable is Usable.RGB and p.paced_by is Modality.RGB for p in alone)
    assert sync.silent(Modality.TIR)
    assert all(p.age_ns(Modality.RGB) == LATENCY for p in alone[10:])  # handed out the moment they came
    assert alone[-1].age_ns(Modality.TIR) > 1900 * MS


def test_dead_rgb_camera_lets_thermal_frames_keep_the_pace():
    sync = PairSynchroniser(20)
    _push_live(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2)))
    alone = _push_live(sync, _stream(_tir, 30, 2, 1002))
    assert len(alone) >= 56
    assert all(p.usable is Usable.TIR and p.timestamp_ns == p.tir.timestamp_ns for p in alone)
    assert all(p.age_ns(Modality.TIR) == LATENCY for p in alone[1:])
    assert alone[-1].rgb.sequence == 29  # the last good picture, for what it is worth
    back = _push_live(sync, _in_time_order(_stream(_rgb, 30, 1, 3003), _stream(_tir, 30, 1, 3002)))
    assert len(_both(back)) == 30


def test_camera_that_never_came_is_a_blank_of_the_promised_size():
    sync = PairSynchroniser(20, rgb_size=(8, 6))
    pair = _push_live(sync, _stream(_tir, 30, 2))[-1]
    assert (pair.usable, pair.rgb.sequence, pair.rgb.image.shape) == (Usable.TIR, ABSENT, (6, 8, 3))
    assert not pair.rgb.image.any()
    assert (pair.age_ns(Modality.RGB), pair.skew_ns) == (None, 0)
    other = _push_live(PairSynchroniser(20), [_rgb(0), _rgb(33), _rgb(66)])[-1]
    assert (other.usable, other.tir.image.shape) == (Usable.RGB, (2, 2))


def test_black_rgb_hands_the_pace_to_thermal_at_once():
    sync = PairSynchroniser(20)
    pairs = []
    for i in range(20):
        pairs += sync.push(_rgb(i * 33, i), PictureFault.BLACK if i >= 10 else None)
        pairs += sync.push(_tir(i * 33 + 4, i))
    assert [p.usable.value for p in pairs] == ["both"] * 10 + ["tir"] * 10
    assert sync.counters.faulty_rgb == 10


def test_two_faulty_cameras_keep_the_pace_with_nothing_usable():
    sync = PairSynchroniser(20)
    pairs = []
    for i in range(6):
        pairs += sync.push(_tir(i * 33, i), PictureFault.NOISE)
        pairs += sync.push(_rgb(i * 33 + 1, i), PictureFault.BLACK)
    assert [p.usable for p in pairs] == [Usable.NONE] * 6
    assert [p.timestamp_ns for p in pairs] == [(i * 33 + 1) * MS for i in range(6)]
    assert sync.counters.blind == 6


def test_frame_without_a_partner_is_handed_out_when_its_patience_ends_not_with_the_next_frame():
    sync = PairSynchroniser(20)
    _push_live(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2)))
    late = _rgb(1000, 30)
    arrival = late.timestamp_ns + LATENCY
    assert sync.push(late, now_ns=arrival) == []
    assert sync.deadline_ns == arrival + 20 * MS
    assert sync.poll(arrival + 19 * MS) == []
    (pair,) = sync.poll(arrival + 20 * MS)
    assert pair.usable is Usable.RGB
    assert pair.handed_ns == arrival + 20 * MS
    assert sync.deadline_ns is None


@pytest.mark.parametrize("extra_ms", [0, 30, 60])
def test_thermal_pictures_that_travel_longer_are_waited_for_once_that_is_known(extra_ms):
    sync = PairSynchroniser(20)
    arrivals = [(f.timestamp_ns + LATENCY, f) for f in _stream(_rgb, 30, 3)]
    arrivals += [(f.timestamp_ns + LATENCY + extra_ms * MS, f) for f in _stream(_tir, 30, 3, 4)]
    pairs = []
    for now_ns, frame in sorted(arrivals, key=lambda arrival: arrival[0]):
        deadline = sync.deadline_ns
        if deadline is not None and deadline < now_ns:
            pairs += sync.poll(deadline)
        pairs += sync.push(frame, now_ns=now_ns)
    assert len(_both(pairs)) >= 84
    assert all(abs(p.skew_ns) == 4 * MS for p in _both(pairs)[5:])
    assert max(p.age_ns(Modality.RGB) for p in pairs[10:]) <= LATENCY + (extra_ms + 20) * MS


def test_patience_that_is_given_is_kept():
    sync = PairSynchroniser(20, patience_ms=5)
    _push_live(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2)))
    assert sync.patience_ns == 5 * MS


def test_silence_of_rgb_is_noticed_by_the_clock_alone():
    sync = PairSynchroniser(20)
    _push_live(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2)))
    assert sync.push(_tir(1002, 30), now_ns=1002 * MS + LATENCY) == []
    deadline = sync.deadline_ns
    assert deadline is not None
    assert deadline - 967 * MS - LATENCY < 125 * MS  # four frame periods after the last RGB frame
    assert [p.usable for p in sync.poll(deadline)] == [Usable.TIR]
    assert sync.deadline_ns is None


@pytest.mark.parametrize("make", [_rgb, _tir])
def test_one_dead_stream_never_fills_the_queue(make):
    sync = PairSynchroniser(10)
    alone = []
    for frame in _stream(make, 30, 10):
        alone += sync.push(frame)
        assert sync.waiting <= QUEUE_LENGTH
    assert len(alone) >= 280
    sync.flush()
    assert sync.counters.accounted == 300


def test_clock_that_restarts_is_counted_and_pairing_goes_on():
    sync = PairSynchroniser(10)
    before = _in_time_order(_stream(_rgb, 30, 1, 50_000), _stream(_tir, 30, 1, 50_002))
    after = _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, 2))
    assert len(_run(sync, before + after)) >= 58
    assert sync.counters.restarts >= 1


def test_impossible_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance"):
        PairSynchroniser(0)


_FATES = st.sampled_from(["ok"] * 8 + ["lost", "twice", "swapped", "faulty"])


def _lived(
    make, rate_hz: int, fates: list[str], phase_ms: int, jump: int | None, lag_ms: int
) -> list[tuple[int, Frame, bool]]:
    """What a camera delivers: (arrival ns, frame, faulty), its clock set back to 0 before frame `jump`."""
    events = []
    for i, fate in enumerate(fates):
        taken_ms = phase_ms + i * 1000 // rate_hz
        stamp_ms = taken_ms if jump is None or i < jump else (i - jump) * 1000 // rate_hz
        arrival_ms = taken_ms + lag_ms + (1500 // rate_hz if fate == "swapped" else 0)
        event = (arrival_ms * MS, make(stamp_ms, i), fate == "faulty")
        events += [event] * {"lost": 0, "twice": 2}.get(fate, 1)
    return events


@settings(max_examples=120, deadline=None)
@given(
    rates=st.tuples(st.sampled_from([60, 30, 25, 9]), st.sampled_from([60, 30, 25, 9])),
    fates=st.tuples(st.lists(_FATES, max_size=60), st.lists(_FATES, max_size=60)),
    phase_ms=st.integers(0, 400),
    jumps=st.tuples(st.none() | st.integers(1, 60), st.none() | st.integers(1, 60)),
    tolerance_ms=st.integers(1, 60),
    live=st.booleans(),
    lags=st.tuples(st.sampled_from([10, 150]), st.sampled_from([10, 40, 150])),
)
def test_whatever_comes_pairs_are_in_tolerance_and_order_and_every_frame_is_accounted_for(
    rates, fates, phase_ms, jumps, tolerance_ms, live, lags
):
    sync = PairSynchroniser(tolerance_ms)
    events = _lived(_rgb, rates[0], fates[0], 0, jumps[0], lags[0]) + _lived(
        _tir, rates[1], fates[1], phase_ms, jumps[1], lags[1]
    )
    handed: list[tuple[int, FramePair]] = []  # with the number of restarts before it
    for arrival_ns, frame, faulty in sorted(events, key=lambda event: event[0]):
        fault = PictureFault.NOISE if faulty else None
        pairs = sync.push(frame, fault, arrival_ns if live else None)
        if live and sync.deadline_ns is not None:
            pairs += sync.poll(sync.deadline_ns)
        handed += [(sync.counters.restarts, pair) for pair in pairs]
        assert sync.waiting <= 2 * QUEUE_LENGTH
        assert sync.counters.accounted + sync.waiting == sync.counters.received
    handed += [(sync.counters.restarts, pair) for pair in sync.flush()]
    for (epoch, pair), (next_epoch, following) in itertools.pairwise(handed):
        assert epoch != next_epoch or pair.timestamp_ns < following.timestamp_ns
    _check_uses([pair for _, pair in handed], {id(f) for _, f, faulty in events if faulty}, tolerance_ms)
    counters = sync.counters
    assert counters.accounted == counters.received == len(events)
    assert counters.paired + counters.single_rgb + counters.single_tir + counters.blind == len(handed)
    assert counters.faulty_rgb + counters.faulty_tir <= sum(faulty for *_, faulty in events)


def _check_uses(handed: list[FramePair], faulty: set[int], tolerance_ms: int) -> None:
    """Nothing usable is faulty or out of tolerance; no frame keeps the pace twice."""
    for pair in handed:
        assert pair.usable is not Usable.BOTH or abs(pair.skew_ns) <= tolerance_ms * MS
        assert not any(pair.usable.has(m) and id(pair.frame(m)) in faulty for m in Modality)
        assert pair.usable is Usable.NONE or pair.usable.has(pair.paced_by)
    pacing = [id(pair.frame(pair.paced_by)) for pair in handed]
    assert len(set(pacing)) == len(pacing)


def test_a_thermal_frame_that_has_served_is_not_counted_as_dropped():
    sync = PairSynchroniser(20)
    pairs = _run(sync, _in_time_order(_stream(_rgb, 30, 1), _stream(_tir, 30, 1, phase_ms=4)))
    assert len(pairs) == 30
    assert (sync.counters.reused, sync.counters.dropped_tir, sync.counters.dropped_rgb) == (0, 0, 0)
