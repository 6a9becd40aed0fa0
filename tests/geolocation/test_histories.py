"""Telemetry read at the time of a picture (R-TM-4)."""

import math

import pytest

from edge_rgbt.geolocation.history import History
from edge_rgbt.geolocation.rotations import from_degrees, heading_of, interpolated
from edge_rgbt.geolocation.telemetry import Telemetry, VehiclePosition

MS = 1_000_000


def numbers(*samples: tuple[int, float]) -> History[float]:
    """Samples (ms, value), interpolated in a straight line."""
    history: History[float] = History(lambda a, b, part: a + part * (b - a))
    for at_ms, value in samples:
        history.add(at_ms * MS, value, 2 * MS)
    return history


def test_between_two_samples_values_are_interpolated():
    assert numbers((0, 0.0), (100, 10.0)).at(25 * MS).value == pytest.approx(2.5)


def test_behind_the_last_sample_the_rate_goes_on_for_100_ms():
    history = numbers((0, 0.0), (50, 5.0))
    assert history.at(150 * MS).value == pytest.approx(15.0)
    assert history.at(150 * MS).time_sigma_ns == 2 * MS


def test_after_100_ms_it_stays_and_its_time_becomes_uncertain():
    reading = numbers((0, 0.0), (50, 5.0)).at(250 * MS)
    assert reading.value == pytest.approx(15.0)
    assert reading.time_sigma_ns == 102 * MS


def test_a_sample_is_stale_after_0_3_s():
    history = numbers((0, 0.0), (50, 5.0))
    assert history.at(349 * MS) is not None
    assert history.at(350 * MS) is None


def test_one_sample_is_held():
    assert numbers((0, 3.0)).at(90 * MS).value == 3.0


def test_a_gap_of_more_than_a_second_is_not_bridged():
    history = numbers((0, 0.0), (1500, 10.0))
    assert history.at(700 * MS) is None
    assert history.at(200 * MS).value == 0.0
    assert history.at(1300 * MS).value == 10.0


def test_samples_may_come_late_and_twice():
    history = numbers((0, 0.0), (100, 10.0), (50, 9.0), (50, 5.0))
    assert len(history) == 3
    assert history.at(75 * MS).value == pytest.approx(7.5)


def test_two_samples_at_almost_the_same_time_tell_no_rate():
    history = numbers((0, 0.0), (50, 5.0), (51, 7.0))
    assert history.at(151 * MS).value == pytest.approx(7.0 + 100 * 7.0 / 51)


def test_samples_older_than_3_s_are_forgotten():
    history = numbers(*((k * 100, 0.0) for k in range(100)))
    assert len(history) == 31


def test_a_flood_of_samples_takes_bounded_memory():
    history = numbers()
    for k in range(10_000):
        history.add(k, 0.0)
    assert len(history) <= 3000


def test_rotations_are_interpolated_the_short_way_through_north():
    turned = interpolated(from_degrees(0, 0, 350), from_degrees(0, 0, 20), 0.5)
    assert math.degrees(heading_of(turned)) == pytest.approx(5.0)
    opposite = tuple(-v for v in from_degrees(0, 0, 20))
    assert math.degrees(heading_of(interpolated(from_degrees(0, 0, 10), opposite, 0.5))) == pytest.approx(15)


def test_positions_are_interpolated_across_the_date_line():
    telemetry = Telemetry()
    telemetry.add_position(0, VehiclePosition(10.0, 179.9999, 100, 50, (0, 0, 0)))
    telemetry.add_position(100 * MS, VehiclePosition(10.0, -179.9999, 102, 52, (2, 0, 0)))
    middle = telemetry.at(50 * MS).position.value
    assert abs(middle.longitude_deg) == pytest.approx(180.0, abs=1e-9)
    assert (middle.altitude_m, middle.relative_m, middle.velocity_ned_mps) == (101, 51, (1, 0, 0))
