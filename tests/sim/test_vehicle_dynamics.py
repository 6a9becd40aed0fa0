"""The simulated multicopter: limits, tilt, wind, and a past that stays as it was."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_rgbt.sim.vehicle import USUAL, AirframeLimits, Home, Setpoint, Vehicle, VehicleSettings, Wind

SECOND = 1_000_000_000


def flown(
    setpoint: Setpoint, seconds: float, settings: VehicleSettings | None = None, seed: int = 0
) -> Vehicle:
    vehicle = Vehicle(settings, seed)
    vehicle.setpoint = setpoint
    vehicle.advance(round(seconds * SECOND))
    return vehicle


def test_it_flies_to_a_position_and_stays() -> None:
    vehicle = flown(Setpoint((40.0, -10.0, -50.0)), 30)
    assert vehicle.newest.position == pytest.approx((40.0, -10.0, -50.0), abs=0.2)
    assert math.hypot(*vehicle.newest.velocity) < 0.1


def test_a_velocity_is_reached_and_kept() -> None:
    vehicle = flown(Setpoint(velocity=(3.0, -4.0, -1.0)), 8)
    assert vehicle.newest.velocity == pytest.approx((3.0, -4.0, -1.0), abs=0.3)


def test_speed_and_acceleration_keep_their_limits() -> None:
    limits = AirframeLimits(horizontal_m_s=8.0, horizontal_m_s2=2.5, climb_m_s=2.0)
    vehicle = flown(Setpoint(velocity=(50.0, 0.0, -20.0)), 12, VehicleSettings(limits=limits))
    states = [vehicle.at(t) for t in range(0, 12 * SECOND, SECOND // 50)]
    velocity = np.array([s.velocity for s in states])
    acceleration = np.diff(velocity, axis=0) * 50
    assert np.abs(velocity[:, 0]).max() < 8.0 * 1.15
    assert -velocity[:, 2].min() < 2.0 * 1.15
    assert np.abs(acceleration[:, 0]).max() < 2.5 + 0.3
    assert velocity[-1, 0] == pytest.approx(8.0, rel=0.1)


def test_it_leans_into_its_acceleration() -> None:
    north = flown(Setpoint(velocity=(5.0, 0.0, 0.0)), 0.8)
    assert math.degrees(north.newest.pitch_rad) < -10
    assert abs(north.newest.roll_rad) < 1e-6
    east = flown(Setpoint(velocity=(0.0, 5.0, 0.0)), 0.8)
    assert math.degrees(east.newest.roll_rad) > 10


def test_it_leans_against_the_wind_and_keeps_its_place() -> None:
    settings = VehicleSettings(wind=Wind(north_m_s=-6.0))
    vehicle = flown(Setpoint((0.0, 0.0, -30.0)), 30, settings)
    assert math.degrees(vehicle.newest.pitch_rad) == pytest.approx(-2.8, abs=0.4)  # 6 m/s * 0.08 1/s / g
    assert abs(vehicle.newest.position[0]) < 0.3


def test_gusts_move_it_about() -> None:
    vehicle = flown(Setpoint((0.0, 0.0, -30.0)), 30, VehicleSettings(wind=Wind(gusts_m_s=2.0)))
    north = np.array([vehicle.at(t).position[0] for t in range(5 * SECOND, 30 * SECOND, SECOND // 5)])
    assert 0.01 < north.std() < 1.0


def test_the_heading_turns_no_faster_than_its_limit_and_the_short_way() -> None:
    settings = VehicleSettings(yaw_rad=math.radians(170))
    vehicle = flown(Setpoint(yaw_rad=math.radians(-100)), 6, settings)
    yaw = np.array([vehicle.at(t).yaw_rad for t in range(0, 6 * SECOND, SECOND // 50)])
    assert np.abs(np.diff(yaw)).max() * 50 < math.radians(60) * 1.02
    assert math.degrees(yaw[-1]) == pytest.approx(260, abs=1)


def test_a_yaw_rate_is_kept() -> None:
    vehicle = flown(Setpoint(yaw_rate_rad_s=0.3), 5)
    assert vehicle.newest.yaw_rad == pytest.approx(1.5, abs=0.06)


def test_it_does_not_sink_into_the_ground() -> None:
    vehicle = flown(Setpoint(velocity=(0.0, 0.0, 2.0)), 10, VehicleSettings(position=(0.0, 0.0, -5.0)))
    assert vehicle.newest.position[2] == 0.0
    assert vehicle.airframe.on_ground


def test_on_the_ground_and_disarmed_it_stays() -> None:
    vehicle = Vehicle(VehicleSettings(position=(0.0, 0.0, 0.0), wind=Wind(north_m_s=8.0)))
    vehicle.setpoint = Setpoint(velocity=(2.0, 0.0, -2.0))
    vehicle.advance(5 * SECOND)
    assert vehicle.newest.position == (0.0, 0.0, 0.0)


def test_a_seed_flies_the_same_flight_however_it_is_asked() -> None:
    settings = VehicleSettings(wind=Wind(1.0, 2.0, 1.0), errors=USUAL, tremble_rad=1e-3)
    setpoint = Setpoint((20.0, 5.0, -30.0), yaw_rad=1.0)
    at_once = flown(setpoint, 10, settings, seed=5)
    in_pieces = Vehicle(settings, 5)
    in_pieces.setpoint = setpoint
    for t in range(0, 10 * SECOND, 333_333_333):
        in_pieces.pose(t)
    times = [0, 4_321_000_000, 9_999_000_000]
    assert [at_once.pose(t) for t in times] == [in_pieces.pose(t) for t in times]
    other = flown(setpoint, 10, settings, seed=6)
    assert other.pose(times[1]) != at_once.pose(times[1])


def test_what_was_flown_stays_when_the_setpoint_changes() -> None:
    vehicle = flown(Setpoint((40.0, 0.0, -30.0)), 5)
    before = vehicle.pose(3_210_000_000)
    vehicle.setpoint = Setpoint((-40.0, 0.0, -30.0))
    vehicle.advance(9 * SECOND)
    assert vehicle.pose(3_210_000_000) == before


def test_it_remembers_a_minute_and_no_more() -> None:
    vehicle = flown(Setpoint(), 90)
    assert vehicle.at(0).t_ns == pytest.approx(30 * SECOND, abs=SECOND)


def test_poses_between_steps_are_smooth() -> None:
    vehicle = flown(Setpoint((40.0, 0.0, -30.0), yaw_rad=2.0), 6)
    east_north = np.array([vehicle.pose(t).position for t in range(0, 5 * SECOND, 1_300_000)])
    speed = np.linalg.norm(np.diff(east_north, axis=0), axis=1) / 1.3e-3
    assert np.abs(np.diff(speed)).max() < 0.1


def test_modes_are_asked_before_every_step_whoever_plays_the_flight() -> None:
    vehicle, asked = Vehicle(), []
    vehicle.on_step = asked.append
    vehicle.pose(95_000_000)
    vehicle.advance(200_000_000)
    assert asked == list(range(0, 200_000_000, 10_000_000))


def test_errors_have_the_spread_that_they_are_said_to_have() -> None:
    errors = replace(USUAL, position_time_s=0.5, heading_time_s=0.5, attitude_time_s=0.5)
    vehicle = Vehicle(VehicleSettings(errors=errors), seed=2)
    sensed = []
    for t in range(0, 200 * SECOND, SECOND // 4):
        vehicle.advance(t)
        sensed.append(vehicle.sensed(t))
    assert np.std([s.position[0] for s in sensed]) == pytest.approx(errors.position_m, rel=0.2)
    assert np.std([s.yaw_rad for s in sensed]) == pytest.approx(errors.heading_rad, rel=0.2)
    assert np.std([s.gimbal_pitch_rad for s in sensed]) == pytest.approx(errors.gimbal_rad, rel=0.2)


def test_degrees_and_metres_are_those_of_the_ellipsoid() -> None:
    """The shift of example A of section 8.4: 100 m north of 47.397742 is 8995 units of 1e-7 degrees."""
    home = Home()
    latitude, longitude = home.degrees(100.0, 0.0)
    assert round(latitude * 1e7) == 473_986_415
    assert round(longitude * 1e7) == 85_455_940
    assert home.metres(*home.degrees(-46.852, 90.684)) == pytest.approx((-46.852, 90.684), abs=1e-6)
    assert round(home.degrees(-46.852, 90.684)[1] * 1e7) == pytest.approx(85_467_953, abs=2)
