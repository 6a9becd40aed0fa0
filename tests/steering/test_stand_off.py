"""The stand-off controller of section 9.5: where it goes, and every limit on the way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rgbt.steering.settings import GuidedSettings
from edge_rgbt.steering.stand_off import Geometry, StandOff

STEP_S = 0.1
LEAST_M = 10.0


def geometry(target=(30.0, 0.0), *, moved=(0.0, 0.0), height_m=30.0, **others) -> Geometry:
    values = {
        "target_north_m": target[0],
        "target_east_m": target[1],
        "target_velocity": (0.0, 0.0),
        "vehicle_velocity": (0.0, 0.0, 0.0),
        "moved_north_m": moved[0],
        "moved_east_m": moved[1],
        "height_m": height_m,
        "heading_rad": 0.0,
        "sigma_m": 1.0,
    }
    return Geometry(**(values | others))


class Flight:
    """A vehicle that flies every command exactly, and a target with a speed of its own."""

    def __init__(
        self, settings: GuidedSettings, target, height_m=30.0, sigma_m=1.0, vehicle_velocity=(0.0, 0.0)
    ):
        self.settings, self.control = settings, StandOff(settings)
        self.target, self.sigma_m = list(target), sigma_m
        self.place, self.height_m = [0.0, 0.0], height_m
        self.velocity = (*vehicle_velocity, 0.0)
        self.now_ns = 10**9
        self.commands = []

    def fly(self, seconds: float, speed=(0.0, 0.0)):
        for _ in range(round(seconds / STEP_S)):
            g = geometry(
                (self.target[0] - self.place[0], self.target[1] - self.place[1]),
                moved=tuple(self.place),
                height_m=self.height_m,
                target_velocity=speed,
                vehicle_velocity=self.velocity,
                sigma_m=self.sigma_m,
            )
            v = self.control.velocity(self.now_ns, g)
            self.commands.append(v)
            self.velocity = (v.north, v.east, v.down)
            self.place = [self.place[0] + v.north * STEP_S, self.place[1] + v.east * STEP_S]
            self.height_m -= v.down * STEP_S
            self.target = [self.target[0] + speed[0] * STEP_S, self.target[1] + speed[1] * STEP_S]
            self.now_ns += round(STEP_S * 1e9)
        return self

    @property
    def distance_m(self) -> float:
        return math.hypot(self.target[0] - self.place[0], self.target[1] - self.place[1])


def test_it_goes_to_the_distance_and_stays():
    assert Flight(GuidedSettings(distance_m=20), (60, 0)).fly(40).distance_m == pytest.approx(20, abs=0.3)


def test_it_backs_off_from_a_target_that_is_too_near():
    assert Flight(GuidedSettings(distance_m=20), (5, 0)).fly(40).distance_m == pytest.approx(20, abs=0.3)


def test_it_follows_a_walking_target_at_the_distance():
    flight = Flight(GuidedSettings(distance_m=20), (20, 0)).fly(30, (0.0, 2.0))
    assert flight.distance_m == pytest.approx(20, abs=1.0)


def test_it_keeps_the_bearing_it_was_engaged_at():
    flight = Flight(GuidedSettings(distance_m=20), (30, 0)).fly(40, (1.0, 0.5))
    north, east = flight.place[0] - flight.target[0], flight.place[1] - flight.target[1]
    assert math.degrees(math.atan2(east, north)) % 360 == pytest.approx(180, abs=3)


def test_it_goes_to_a_configured_bearing():
    flight = Flight(GuidedSettings(distance_m=20, bearing_deg=90), (30, 0)).fly(60)
    north, east = flight.place[0] - flight.target[0], flight.place[1] - flight.target[1]
    assert math.degrees(math.atan2(east, north)) == pytest.approx(90, abs=2)


def test_it_stands_farther_off_from_a_target_that_is_less_certain():
    assert Flight(GuidedSettings(distance_m=20), (30, 0), sigma_m=10).fly(40).distance_m == pytest.approx(
        30, abs=0.5
    )


def test_it_does_not_approach_within_the_shortest_stand_off():
    flight = Flight(GuidedSettings(distance_m=10), (60, 0), vehicle_velocity=(5.0, 0.0))
    nearest = min(flight.fly(STEP_S).distance_m for _ in range(400))
    assert nearest > LEAST_M - 0.3


def test_it_gives_way_to_a_target_that_comes_nearer():
    flight = Flight(GuidedSettings(distance_m=20), (25, 0))
    nearest = min(flight.fly(STEP_S, (-2.0, 0.0)).distance_m for _ in range(300))
    assert nearest > LEAST_M


def test_it_does_not_leave_the_circle_round_the_start():
    flight = Flight(GuidedSettings(distance_m=20, farthest_m=50), (30, 0))
    farthest = max(math.hypot(*flight.fly(STEP_S, (4.0, 0.0)).place) for _ in range(600))
    assert farthest < 50.5


@pytest.mark.parametrize(("start_m", "end_m"), [(5, 10), (30, 30), (150, 120)])
def test_the_height_stays_in_its_band(start_m, end_m):
    flight = Flight(GuidedSettings(lowest_m=10, highest_m=120), (30, 0), height_m=start_m).fly(60)
    assert flight.height_m == pytest.approx(end_m, abs=0.3)


def test_the_nose_is_left_alone_unless_it_is_configured():
    assert StandOff(GuidedSettings()).velocity(0, geometry()).yaw_rad_s is None


def test_the_nose_turns_to_the_target_within_its_rate():
    control = StandOff(GuidedSettings(turn=True, turn_deg_s=30))
    right = control.velocity(0, geometry((0.0, 30.0))).yaw_rad_s
    assert right == pytest.approx(math.radians(30))
    assert control.velocity(0, geometry((30.0, -3.0))).yaw_rad_s == pytest.approx(-math.atan(0.1), rel=0.01)


def test_it_begins_from_the_velocity_that_the_vehicle_has():
    velocity = StandOff(GuidedSettings()).velocity(0, geometry(vehicle_velocity=(3.0, -1.0, 0.5)))
    assert (velocity.north, velocity.east, velocity.down) == pytest.approx((3.0, -1.0, 0.5))


metres = st.floats(-400, 400)
speeds = st.floats(-12, 12)


@given(st.lists(st.tuples(metres, metres, speeds, speeds, st.floats(0, 200), st.floats(0, 60)), max_size=12))
def test_no_input_breaks_a_limit(inputs):
    """R: 9.5, at most 5 m/s horizontally, 1.5 m/s vertically, 2 m/s2, 30 degrees/s."""
    control, before = StandOff(GuidedSettings(turn=True)), None
    for step, (north, east, vn, ve, height, sigma) in enumerate(inputs):
        g = geometry((north, east), moved=(east, north), height_m=height, target_velocity=(vn, ve),
                     vehicle_velocity=(vn, ve, ve), sigma_m=sigma)  # fmt: skip
        v = control.velocity(step * 100_000_000, g)
        assert math.hypot(v.north, v.east) <= 5 + 1e-9
        assert abs(v.down) <= 1.5 + 1e-9
        assert abs(v.yaw_rad_s or 0.0) <= math.radians(30) + 1e-9
        if before is not None:
            assert math.hypot(v.north - before.north, v.east - before.east) <= 2 * STEP_S + 1e-9
            assert abs(v.down - before.down) <= 2 * STEP_S + 1e-9
        before = v
