"""Timing of the simulated cameras: clocks, jitter, drops, freezes, order."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edge_rgbt.cameras.synthetic import PERFECT, SyntheticCamera, TimingFaults, in_capture_order
from edge_rgbt.errors import UsageError
from edge_rgbt.sim import Scenario, make_scenario
from edge_rgbt.types import Frame, Modality

PERIOD_NS = 1e9 / 30


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return make_scenario(12, "day", seconds=2.0, rgb_size=(96, 64), tir_size=(96, 64))


def frames(
    scenario: Scenario, faults: TimingFaults = PERFECT, modality: Modality = Modality.TIR, rate_hz: float = 30
) -> list[Frame]:
    with SyntheticCamera(scenario, modality, rate_hz, faults) as camera:
        return list(iter(camera.read, None))


def stamps(found: list[Frame]) -> np.ndarray:
    return np.array([f.timestamp_ns for f in found])


def test_a_perfect_camera_gives_every_frame_on_time(scenario: Scenario) -> None:
    found = frames(scenario)
    assert [f.sequence for f in found] == list(range(60))
    assert np.allclose(np.diff(stamps(found)), PERIOD_NS, atol=1)


@pytest.mark.parametrize("rate_hz", [9, 25])
def test_the_rate_is_the_cameras_own(scenario: Scenario, rate_hz: int) -> None:
    assert len(frames(scenario, rate_hz=rate_hz)) == 2 * rate_hz


def test_the_clock_offset_shifts_timestamps_but_not_pictures(scenario: Scenario) -> None:
    plain, late = frames(scenario), frames(scenario, TimingFaults(clock_offset_ns=-40_000_000))
    assert set(stamps(late) - stamps(plain)) == {-40_000_000}
    assert np.array_equal(plain[7].image, late[7].image)


def test_jitter_moves_captures_without_changing_their_order(scenario: Scenario) -> None:
    found = frames(scenario, TimingFaults(capture_jitter_ns=4_000_000, stamp_jitter_ns=500_000))
    gaps = np.diff(stamps(found))
    assert gaps.min() > 0
    assert gaps.std() > 1e6


def test_dropped_frames_leave_gaps_in_the_sequence(scenario: Scenario) -> None:
    found = frames(scenario, TimingFaults(drop_rate=0.3))
    numbers = [f.sequence for f in found]
    assert 25 < len(found) < 55
    assert numbers == sorted(set(numbers))
    assert np.diff(numbers).max() > 1


def test_a_freeze_repeats_the_picture_with_new_timestamps(scenario: Scenario) -> None:
    faults = TimingFaults(freeze_every_s=0.8, freeze_s=(0.3, 0.4))
    camera = SyntheticCamera(scenario, Modality.TIR, 30, faults)
    found = list(iter(camera.read, None))
    held = [f for f in found if camera.frozen(f.sequence)]
    assert len(held) >= 9
    first = held[0].sequence
    assert np.array_equal(found[first].image, found[first - 1].image)
    assert camera.seen_ns(first) == camera.capture_ns(first - 1)
    assert np.diff(stamps(found)).min() > 0
    moving = [f.sequence for f in found if not camera.frozen(f.sequence)]
    assert not np.array_equal(found[moving[1]].image, found[moving[0]].image)


def test_opening_again_starts_the_same_stream_again(scenario: Scenario) -> None:
    camera = SyntheticCamera(scenario, Modality.RGB, 30, TimingFaults(drop_rate=0.2))
    with camera:
        first = [camera.read() for _ in range(5)]
    with camera:
        again = [camera.read() for _ in range(5)]
    for a, b in zip(first, again, strict=True):
        assert a is not None
        assert b is not None
        assert (a.sequence, a.timestamp_ns) == (b.sequence, b.timestamp_ns)
        assert np.array_equal(a.image, b.image)


def test_the_stream_ends_with_none(scenario: Scenario) -> None:
    camera = SyntheticCamera(scenario, Modality.RGB, 2)
    assert [camera.read() is None for _ in range(6)] == [False] * 4 + [True] * 2


def test_two_cameras_come_in_order_of_capture(scenario: Scenario) -> None:
    rgb = SyntheticCamera(scenario, Modality.RGB, 30)
    tir = SyntheticCamera(scenario, Modality.TIR, 9, TimingFaults(clock_offset_ns=10**9), phase_ns=5_000_000)
    times = []
    for frame in in_capture_order(rgb, tir):
        camera = rgb if frame.modality is Modality.RGB else tir
        times.append(camera.capture_ns(frame.sequence))
    assert times == sorted(times)
    assert len(times) == 60 + 18


def test_real_time_pacing_waits_for_the_frames() -> None:
    short = make_scenario(12, "day", seconds=0.4, rgb_size=(96, 64), tir_size=(96, 64))
    with SyntheticCamera(short, Modality.TIR, 10, realtime=True) as camera:
        start = time.monotonic()
        while camera.read() is not None:
            pass
        assert time.monotonic() - start >= 0.299


@pytest.mark.parametrize(
    "make",
    [
        lambda s: TimingFaults(drop_rate=1.0),
        lambda s: TimingFaults(freeze_s=(1.0, 0.5)),
        lambda s: SyntheticCamera(s, Modality.RGB, 0),
    ],
)
def test_impossible_timing_is_refused(scenario: Scenario, make: object) -> None:
    with pytest.raises(UsageError):
        make(scenario)  # type: ignore[operator]
