"""The follow modes of both stacks, over the vehicle's own dynamics and a walker that turns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_rgbt.sim.vehicle import Vehicle, VehicleSettings
from edge_rgbt.sim.vehicle.following import (
    ArduFollower,
    ArduFollowSettings,
    BeaconReport,
    Follower,
    Px4Follower,
    Px4FollowSettings,
)
from edge_rgbt.sim.vehicle.walker import Walker

SECOND = 1_000_000_000


def follow(
    follower: Follower, walker: Walker, seconds: float, start: tuple[float, float, float]
) -> np.ndarray:
    """Horizontal offsets [n, 2] of the vehicle from the walker, four reports a second."""
    vehicle = Vehicle(VehicleSettings(position=start))
    follower.restart(vehicle.newest)

    def step(t_ns: int) -> None:
        t_s = t_ns / 1e9
        if t_ns % (SECOND // 4) == 0:
            w = walker.at(t_s)
            follower.heard(BeaconReport((w.north, w.east, 0.0), (w.v_north, w.v_east, 0.0), t_s))
        vehicle.setpoint = follower.setpoint(t_s, vehicle.newest)

    vehicle.on_step = step
    offsets = []
    for t in range(0, round(seconds * SECOND), SECOND // 10):
        w, s = walker.at(t / 1e9), vehicle.at(t)
        offsets.append((s.position[0] - w.north, s.position[1] - w.east))
    return np.array(offsets)


def straight(seed: int = 1) -> Walker:
    return Walker(seed, 60, legs_s=(100.0, 101.0))


def test_px4_comes_to_its_distance_behind_the_target() -> None:
    walker = straight()
    offsets = follow(Px4Follower(Px4FollowSettings(distance_m=12.0)), walker, 40, (5.0, 5.0, -8.0))
    course = walker.at(0).course_rad
    north, east = offsets[-1]
    assert math.hypot(north, east) == pytest.approx(12.0, abs=1.0)
    behind = math.remainder(math.atan2(east, north) - course - math.pi, math.tau)
    assert abs(math.degrees(behind)) < 15


def test_px4_takes_its_height_first() -> None:
    vehicle = Vehicle(VehicleSettings(position=(0.0, 0.0, -30.0)))
    follower = Px4Follower()
    follower.heard(BeaconReport((50.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.0))
    setpoint = follower.setpoint(0.1, vehicle.newest)
    assert setpoint.position == (None, None, -8.0)


def test_px4_holds_the_distance_to_a_walker_that_turns() -> None:
    follower = Px4Follower(Px4FollowSettings(distance_m=20.0, height_m=15.0))
    offsets = follow(follower, Walker(3, 60), 60, (-20.0, 0.0, -15.0))
    distance = np.hypot(*offsets[100:].T)
    assert np.percentile(np.abs(distance - 20.0), 95) < 5.0


def test_arducopter_keeps_the_offset_that_it_is_given() -> None:
    offsets = follow(
        ArduFollower(ArduFollowSettings(offset=(-20.0, 0.0, -15.0))), Walker(3, 60), 60, (0, 0, -15.0)
    )
    assert np.abs(offsets[400:] - (-20.0, 0.0)).max() < 5.0


def test_arducopter_without_offsets_keeps_the_one_it_meets_its_target_at() -> None:
    offsets = follow(ArduFollower(), straight(), 30, (-9.0, 4.0, -15.0))
    assert offsets[-1] == pytest.approx((-9.0, 4.0), abs=2.0)


@pytest.mark.parametrize(("follower", "silence_s"), [(Px4Follower(), 1.5), (ArduFollower(), 3.0)])
def test_silence_stops(follower: Follower, silence_s: float) -> None:
    state = Vehicle(VehicleSettings(position=(0.0, 0.0, -8.0))).newest
    follower.heard(BeaconReport((30.0, 0.0, 0.0), (2.0, 0.0, 0.0), 10.0))
    moving = follower.setpoint(10.0 + silence_s - 0.1, state)
    still = follower.setpoint(10.0 + silence_s + 0.1, state)
    assert moving.velocity[0] == pytest.approx(2.0, abs=4.0)
    assert moving.velocity != (0.0, 0.0, 0.0)
    assert still.velocity == (0.0, 0.0, 0.0)
    assert still.position == (None, None, None)


def test_the_walker_walks_at_its_pace_turns_and_hides() -> None:
    walker = Walker(4, 60, speed_m_s=2.0, hidden=((10.0, 13.0),))
    states = [walker.at(t / 10) for t in range(600)]
    steps = np.hypot(np.diff([s.north for s in states]), np.diff([s.east for s in states])) * 10
    assert np.median(steps) == pytest.approx(2.0, rel=0.02)
    course = np.unwrap([s.course_rad for s in states])
    assert np.ptp(course) > 1.0
    assert np.abs(np.diff(course)).max() * 10 < math.radians(95)
    assert [k / 10 for k, s in enumerate(states) if s.hidden] == pytest.approx(np.arange(10.0, 13.0, 0.1))
    assert walker.at(12.3) == Walker(4, 60, hidden=((10.0, 13.0),)).at(12.3)
