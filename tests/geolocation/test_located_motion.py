"""Velocity and course of a located target (section 8.7), and how they go out (4.9)."""

import math

import pytest
from flying import MS, PICTURE, SECOND, Vehicle, on_the_wire, seen_at

from edge_rgbt.geolocation import GeolocationSettings
from edge_rgbt.geolocation.rotations import from_degrees
from edge_rgbt.mavlink.camera.geo import geo_status
from edge_rgbt.types import TargetPosition

START = 50 * SECOND
PIXELS_PER_M = 640 / math.tan(math.radians(30)) / 50


class Walk:
    """A camera that looks straight down from 50 m, north up in its picture, on somebody who walks."""

    def __init__(self, north_mps: float, east_mps: float, kind: str = "person") -> None:
        self.vehicle = Vehicle(GeolocationSettings(hfov_deg=60, target=kind, home_sigma_m=1.0))
        self.vehicle.synchronise(START - SECOND)
        self.velocity = north_mps, east_mps
        self.t_ns, self.found = START, None

    def go(self, seconds: float, track: int = 1) -> TargetPosition:
        for _ in range(round(seconds * 20)):
            self.t_ns += 50 * MS
            since = (self.t_ns - START) / 1e9
            self.vehicle.fly(self.t_ns, 50, seconds=0.0)
            self.vehicle.point(self.t_ns, from_degrees(0, -90, 0), 64, seconds=0.0)
            x = 0.5 + self.velocity[1] * since * PIXELS_PER_M / PICTURE[0]
            y = 0.5 - self.velocity[0] * since * PIXELS_PER_M / PICTURE[1]
            self.found = self.vehicle.locator.locate(seen_at(self.t_ns, (x, y)), track, *PICTURE)
            assert isinstance(self.found, TargetPosition), self.found
        return self.found


def test_a_walkers_velocity_and_course_come_out_after_2_s():
    walk = Walk(1.0, -1.0)
    early = walk.go(1.9)
    assert (early.velocity_ned_mps, early.speed_sigma_mps, early.course_rad) == (None, None, None)
    late = walk.go(3.0)
    assert late.velocity_ned_mps == pytest.approx((1.0, -1.0, 0.0), abs=0.1)
    published = on_the_wire(geo_status(late, 1))
    assert (published.vel_n, published.vel_e) == pytest.approx((1.0, -1.0), abs=0.1)
    assert 0 < published.vel_acc < 1.5


def test_a_course_is_told_of_who_is_faster_than_three_sigma():
    fast, slow = Walk(-3.0, 3.0).go(4.0), Walk(0.3, 0.0).go(4.0)
    assert fast.course_rad == pytest.approx(math.radians(135), abs=0.05)
    assert on_the_wire(geo_status(fast, 1)).hdg == pytest.approx(math.radians(135), abs=0.05)
    assert slow.velocity_ned_mps is not None
    assert slow.course_rad is None
    assert math.isnan(on_the_wire(geo_status(slow, 1)).hdg)


def test_a_new_track_starts_without_the_old_ones_velocity():
    walk = Walk(1.0, 1.0)
    assert walk.go(3.0).velocity_ned_mps is not None
    again = walk.go(0.05, track=2)
    assert again.velocity_ned_mps is None
    assert again.track_id == 2
    assert walk.go(3.0, track=2).velocity_ned_mps == pytest.approx((1.0, 1.0, 0.0), abs=0.1)


def test_the_covariance_never_becomes_surer_than_one_pictures():
    walk = Walk(0.0, 0.0)
    first = walk.go(0.05).covariance_ne_m2
    assert walk.go(4.0).covariance_ne_m2 == pytest.approx(first, rel=1e-3)


def test_while_coasting_the_place_goes_on_with_the_velocity():
    walk = Walk(2.0, 0.0)
    last = walk.go(4.0)
    t_ns = walk.t_ns + 400 * MS
    walk.vehicle.fly(t_ns, 50, seconds=0.0)
    walk.vehicle.point(t_ns, from_degrees(0, -90, 0), 64, seconds=0.0)
    state = seen_at(t_ns, unconfirmed_ns=400 * MS)
    coasting = walk.vehicle.locator.locate(state, 1, *PICTURE)
    assert not coasting.confirmed
    assert (coasting.latitude_deg - last.latitude_deg) * 111_180 == pytest.approx(0.8, abs=0.1)
