"""The status over time: confidences in, TRACKING, UNCERTAIN or LOST out."""

from __future__ import annotations

import dataclasses

import pytest

from edge_rgbt.bundle import TrackerSettings
from edge_rgbt.tracker.presence import Presence
from edge_rgbt.types import TrackStatus

RATES_HZ = (9.0, 25.0, 60.0)
SECOND_NS = 1_000_000_000


class Clocked:
    """A presence that is fed at a rate."""

    def __init__(self, rate_hz: float, **settings: float) -> None:
        self.presence = Presence(dataclasses.replace(TrackerSettings(), **settings))
        self.presence.start(0)
        self._period_ns = round(SECOND_NS / rate_hz)
        self.now_ns = 0

    def feed(self, confidence: float, seconds: float) -> list[TrackStatus]:
        statuses = []
        for _ in range(round(seconds * SECOND_NS / self._period_ns)):
            self.now_ns += self._period_ns
            statuses.append(self.presence.update(self.now_ns, confidence))
        return statuses

    def seconds_to(self, status: TrackStatus, confidence: float) -> float:
        began_ns = self.now_ns
        while self.presence.status is not status:
            self.feed(confidence, 1.5 * self._period_ns / SECOND_NS)
            assert self.now_ns - began_ns < 10 * SECOND_NS
        return (self.now_ns - began_ns) / SECOND_NS


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_target_that_shows_no_evidence_is_uncertain_then_lost_within_a_second(rate_hz):
    clocked = Clocked(rate_hz)
    clocked.feed(0.95, 2.0)
    uncertain_s = clocked.seconds_to(TrackStatus.UNCERTAIN, 0.0)
    lost_s = uncertain_s + clocked.seconds_to(TrackStatus.LOST, 0.0)
    assert 0.1 < uncertain_s < lost_s < 1.0


def test_time_to_a_loss_does_not_depend_on_the_frame_rate():
    times = []
    for rate_hz in RATES_HZ:
        clocked = Clocked(rate_hz)
        clocked.feed(0.95, 2.0)
        times.append(clocked.seconds_to(TrackStatus.LOST, 0.0))
    assert max(times) - min(times) <= 1.0 / min(RATES_HZ)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_one_bad_frame_changes_nothing(rate_hz):
    clocked = Clocked(rate_hz)
    clocked.feed(0.9, 1.0)
    assert clocked.feed(0.0, 1.01 / rate_hz) == [TrackStatus.TRACKING]
    assert set(clocked.feed(0.9, 1.0)) == {TrackStatus.TRACKING}


def test_doubt_without_an_end_is_a_loss_in_the_time_that_the_settings_say():
    clocked = Clocked(60.0, uncertain_ms=500.0)
    clocked.feed(0.9, 1.0)
    clocked.seconds_to(TrackStatus.UNCERTAIN, 0.3)
    assert clocked.seconds_to(TrackStatus.LOST, 0.35) == pytest.approx(0.5, abs=0.05)


def test_uncertain_target_needs_more_than_it_took_to_doubt_it():
    clocked = Clocked(30.0, uncertain_ms=10_000.0)
    clocked.feed(0.9, 1.0)
    clocked.seconds_to(TrackStatus.UNCERTAIN, 0.1)
    assert set(clocked.feed(0.5, 3.0)) == {TrackStatus.UNCERTAIN}
    assert clocked.feed(0.8, 2.0)[-1] is TrackStatus.TRACKING


def test_status_does_not_flicker_with_the_confidence():
    clocked = Clocked(30.0)
    clocked.feed(0.9, 1.0)
    statuses = [clocked.feed(confidence, 1.01 / 30)[0] for confidence in (0.2, 0.9) * 60]
    assert set(statuses) == {TrackStatus.TRACKING}


def test_lost_target_stays_lost_until_it_is_found():
    clocked = Clocked(30.0)
    clocked.seconds_to(TrackStatus.LOST, 0.0)
    assert set(clocked.feed(1.0, 3.0)) == {TrackStatus.LOST}
    clocked.presence.find(clocked.now_ns)
    assert set(clocked.feed(0.9, 1.0)) == {TrackStatus.TRACKING}


def test_clock_that_was_set_back_decides_nothing():
    clocked = Clocked(30.0)
    clocked.feed(0.9, 1.0)
    clocked.now_ns = -(10**12)
    assert clocked.feed(0.0, 1.01 / 30) == [TrackStatus.TRACKING]
    assert clocked.seconds_to(TrackStatus.LOST, 0.0) < 1.0
