"""The gimbal: follows rates, angles and points with lag, within limits, on a vehicle that leans and turns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_rgbt.sim.vehicle import (
    AngleCommand,
    GimbalLimits,
    PointCommand,
    RateCommand,
    Setpoint,
    Vehicle,
    VehicleSettings,
)

SECOND = 1_000_000_000


def test_rates_are_reached_with_a_lag_and_kept() -> None:
    vehicle = Vehicle()
    vehicle.gimbal.command = RateCommand(0.2, -0.3)
    vehicle.advance(2 * SECOND)
    early, late = vehicle.at(SECOND // 50), vehicle.at(2 * SECOND)
    assert 0 < early.gimbal_pitch_rate_rad_s < 0.1
    assert late.gimbal_pitch_rate_rad_s == pytest.approx(0.2, abs=1e-3)
    assert late.gimbal_yaw_rad == pytest.approx(-0.6, abs=0.03)


def test_no_axis_turns_faster_than_it_can() -> None:
    vehicle = Vehicle(VehicleSettings(gimbal=GimbalLimits(rate_rad_s=0.5)))
    vehicle.gimbal.command = RateCommand(-9.0, 9.0)
    vehicle.advance(SECOND)
    assert vehicle.newest.gimbal_yaw_rate_rad_s == pytest.approx(0.5, abs=1e-3)
    assert vehicle.newest.gimbal_pitch_rate_rad_s == pytest.approx(-0.5, abs=1e-3)


def test_pitch_stops_at_its_limits() -> None:
    vehicle = Vehicle()
    for rate, limit in ((-1.0, -90), (1.0, 25)):
        vehicle.gimbal.command = RateCommand(rate, 0.0)
        vehicle.advance(vehicle.t_ns + 4 * SECOND)
        assert math.degrees(vehicle.newest.gimbal_pitch_rad) == pytest.approx(limit)


def test_yaw_stops_at_its_limit_from_the_nose_also_when_the_vehicle_turns() -> None:
    vehicle = Vehicle(VehicleSettings(gimbal=GimbalLimits(yaw_rad=math.radians(90))))
    vehicle.gimbal.command = RateCommand(0.0, 0.5)
    vehicle.setpoint = Setpoint(yaw_rate_rad_s=-0.3)
    vehicle.advance(8 * SECOND)
    state = vehicle.newest
    assert math.degrees(state.gimbal_yaw_rad - state.yaw_rad) == pytest.approx(90)


@pytest.mark.parametrize(("lock", "turned_deg"), [(True, 0.0), (False, 60.0)])
def test_a_locked_yaw_stays_on_the_ground_and_an_unlocked_one_goes_with_the_nose(
    lock: bool, turned_deg: float
) -> None:
    vehicle = Vehicle()
    vehicle.gimbal.command = RateCommand(0.0, 0.0, lock)
    vehicle.setpoint = Setpoint(yaw_rad=math.radians(60))
    vehicle.advance(8 * SECOND)
    assert math.degrees(vehicle.newest.gimbal_yaw_rad) == pytest.approx(turned_deg, abs=4)


def test_angles_are_reached() -> None:
    vehicle = Vehicle(VehicleSettings(yaw_rad=1.0))
    vehicle.gimbal.command = AngleCommand(math.radians(-70), math.radians(20))
    vehicle.advance(3 * SECOND)
    assert math.degrees(vehicle.newest.gimbal_pitch_rad) == pytest.approx(-70, abs=0.2)
    assert vehicle.newest.gimbal_yaw_rad == pytest.approx(1.0 + math.radians(20), abs=0.01)


def test_a_point_stays_in_the_middle_while_the_vehicle_passes_it() -> None:
    vehicle = Vehicle(VehicleSettings(position=(-30.0, 20.0, -30.0)))
    vehicle.gimbal.command = PointCommand((0.0, 0.0, 0.0))
    vehicle.setpoint = Setpoint(velocity=(3.0, 0.0, 0.0), position=(None, 20.0, -30.0))
    vehicle.advance(15 * SECOND)
    for t in range(3 * SECOND, 15 * SECOND, SECOND):
        s = vehicle.at(t)
        looking = (
            math.cos(s.gimbal_pitch_rad) * math.cos(s.gimbal_yaw_rad),
            math.cos(s.gimbal_pitch_rad) * math.sin(s.gimbal_yaw_rad),
            -math.sin(s.gimbal_pitch_rad),
        )
        wanted = -np.array(s.position) / np.linalg.norm(s.position)
        assert math.degrees(math.acos(float(np.dot(looking, wanted)))) < 2.0


def test_the_picture_stays_level_when_the_vehicle_leans() -> None:
    vehicle = Vehicle()
    vehicle.setpoint = Setpoint(velocity=(0.0, 8.0, 0.0))
    vehicle.advance(SECOND)
    pose = vehicle.pose(SECOND)
    assert pose.roll_deg > 10
    assert abs(pose.camera_roll_deg) < 1
    assert pose.camera_pitch_deg == pytest.approx(-45, abs=0.5)


def test_the_tremble_of_the_motors_shows_in_the_pose() -> None:
    vehicle = Vehicle(VehicleSettings(tremble_rad=math.radians(0.1)))
    pitch = [vehicle.pose(t).camera_pitch_deg for t in range(0, 5 * SECOND, SECOND // 60)]
    assert 0.04 < np.std(pitch) < 0.25
