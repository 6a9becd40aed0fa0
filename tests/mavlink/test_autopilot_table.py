"""The table of section 9.1: who understands what. One group per row, in its order."""

from __future__ import annotations

import functools
import math

import pytest

from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, FlightMode, Stack
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Speaker
from edge_rgbt.sim.vehicle import VehicleSettings
from edge_rgbt.sim.vehicle.following import Px4Follower
from tests.mavlink.simulated_autopilots import COMPANION, NAN, SYSTEM, Bench

ACCEPTED, DENIED, UNSUPPORTED = 0, 2, 3
per_stack = functools.partial(pytest.mark.parametrize, ids=lambda value: getattr(value, "name", None))
BOTH = per_stack("stack", [PX4, ARDUCOPTER])


# DO_GIMBAL_MANAGER_CONFIGURE (1001)


@BOTH
def test_taking_the_gimbal_shows_in_the_manager_status(stack: Stack) -> None:
    bench = Bench(stack)
    bench.command(dialect.MAV_CMD_SET_MESSAGE_INTERVAL, 281, 100_000)
    bench.run(0.2)
    assert bench.last("GIMBAL_MANAGER_STATUS").primary_control_compid == 0
    assert bench.take_gimbal() == ACCEPTED
    bench.run(0.2)
    status = bench.last("GIMBAL_MANAGER_STATUS")
    assert (status.primary_control_sysid, status.primary_control_compid) == (SYSTEM, COMPANION)


@BOTH
def test_releasing_the_gimbal_leaves_it_to_nobody(stack: Stack) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    assert bench.command(1001, -3, -3, -1, -1) == ACCEPTED
    assert bench.autopilot.gimbal.control == (0, 0)


@BOTH
def test_releasing_what_somebody_else_holds_changes_nothing(stack: Stack) -> None:
    bench = Bench(stack)
    bench.pilot.take_gimbal(255, 190)
    bench.command(1001, -3, -3, -1, -1)
    assert bench.autopilot.gimbal.control == (255, 190)


@per_stack(("stack", "moves"), [(PX4, False), (ARDUCOPTER, True)])
def test_only_px4_wants_the_gimbal_taken_before_it_is_moved(stack: Stack, moves: bool) -> None:
    bench = Bench(stack)
    bench.rates(0.2, 0.2)
    assert bench.gimbal_moves() is moves


@BOTH
def test_who_took_the_gimbal_moves_it(stack: Stack) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    bench.rates(0.2, 0.2)
    assert bench.gimbal_moves()


@per_stack(("stack", "holder"), [(PX4, (SYSTEM, 1)), (ARDUCOPTER, (SYSTEM, COMPANION))])
def test_minus_two_gives_the_gimbal_to_the_autopilot_or_to_the_sender(stack: Stack, holder: tuple) -> None:
    bench = Bench(stack)
    bench.command(1001, -2, -2, -1, -1)
    assert bench.autopilot.gimbal.control == holder


# GIMBAL_MANAGER_SET_ATTITUDE (282)


@BOTH
def test_rates_turn_up_and_right(stack: Stack) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    before = bench.vehicle.newest
    bench.stream(1.0, 0.1, lambda: bench.rates(0.2, 0.3))
    after = bench.vehicle.newest
    assert after.gimbal_pitch_rad - before.gimbal_pitch_rad == pytest.approx(0.2, abs=0.03)
    assert after.gimbal_yaw_rad - before.gimbal_yaw_rad == pytest.approx(0.3, abs=0.04)


@per_stack(("stack", "goes_on"), [(PX4, False), (ARDUCOPTER, True)])
def test_rates_end_after_two_seconds_or_never(stack: Stack, goes_on: bool) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    bench.rates(0.0, 0.05)
    bench.run(1.8)
    assert bench.gimbal_moves(0.1)
    bench.run(1.0)
    assert bench.gimbal_moves() is goes_on
    bench.run(20.0)
    assert bench.gimbal_moves() is goes_on


@BOTH
def test_zero_rates_stop_the_gimbal(stack: Stack) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    bench.rates(0.0, 0.3)
    bench.run(0.5)
    bench.rates(0.0, 0.0)
    bench.run(0.6)
    assert not bench.gimbal_moves()


@BOTH
def test_a_quaternion_sets_angles(stack: Stack) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    pitch = math.radians(-60)
    q = [math.cos(pitch / 2), 0.0, math.sin(pitch / 2), 0.0]
    bench.say(dialect.MAVLink_gimbal_manager_set_attitude_message(SYSTEM, 1, 12, 0, q, NAN, NAN, NAN))
    bench.run(2.0)
    assert bench.vehicle.newest.gimbal_pitch_rad == pytest.approx(pitch, abs=0.01)


# GIMBAL_MANAGER_SET_PITCHYAW (287)


@per_stack(("stack", "moves"), [(PX4, False), (ARDUCOPTER, True)])
def test_the_pitchyaw_message_has_no_handler_in_px4(stack: Stack, moves: bool) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    bench.say(dialect.MAVLink_gimbal_manager_set_pitchyaw_message(SYSTEM, 1, 12, 0, NAN, NAN, 0.2, 0.2))
    assert bench.gimbal_moves() is moves


@pytest.mark.parametrize(
    "numbers", [(NAN, NAN, 0.2, NAN), (NAN, NAN, NAN, 0.2), (-0.5, 0.3, 0.2, 0.2), (-0.5, NAN, NAN, NAN)]
)
def test_arducopter_ignores_one_axis_and_angles_with_rates(numbers: tuple) -> None:
    bench = Bench(ARDUCOPTER)
    bench.say(dialect.MAVLink_gimbal_manager_set_pitchyaw_message(SYSTEM, 1, 12, 0, *numbers))
    assert not bench.gimbal_moves()


# DO_GIMBAL_MANAGER_PITCHYAW (1000)


@per_stack(("stack", "result"), [(PX4, DENIED), (ARDUCOPTER, ACCEPTED)])
def test_the_pitchyaw_command_without_control(stack: Stack, result: int) -> None:
    assert Bench(stack).command(1000, -20.0, 10.0, NAN, NAN) == result


@BOTH
def test_the_pitchyaw_command_of_the_holder_sets_angles_in_degrees(stack: Stack) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    assert bench.command(1000, -20.0, 10.0, NAN, NAN) == ACCEPTED
    bench.run(2.0)
    state = bench.vehicle.newest
    assert math.degrees(state.gimbal_pitch_rad) == pytest.approx(-20, abs=0.5)
    assert math.degrees(state.gimbal_yaw_rad - state.yaw_rad) == pytest.approx(10, abs=0.5)


# GIMBAL_MANAGER_SET_MANUAL_CONTROL (288)


@per_stack(("stack", "moves"), [(PX4, True), (ARDUCOPTER, False)])
def test_manual_control_is_px4s(stack: Stack, moves: bool) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    bench.say(dialect.MAVLink_gimbal_manager_set_manual_control_message(SYSTEM, 1, 12, 0, NAN, NAN, 0.5, 0.5))
    assert bench.gimbal_moves() is moves


# DO_SET_ROI_LOCATION (195)


def look_down_deg(stack: Stack, altitude: float, frame: int | None) -> float:
    """Pitch after looking at a point 100 m north, from 50 m above home at 488 m."""
    bench = Bench(stack, VehicleSettings(position=(0.0, 0.0, -50.0)))
    latitude, longitude = bench.vehicle.home.degrees(100.0, 0.0)
    if frame is None:
        result = bench.command(195, 0, 0, 0, 0, latitude, longitude, altitude)
    else:
        result = bench.command_int(
            195, frame, (0.0,), round(latitude * 1e7), round(longitude * 1e7), altitude
        )
    assert result == ACCEPTED
    bench.run(3.0)
    return math.degrees(bench.vehicle.newest.gimbal_pitch_rad)


@per_stack(("stack", "altitude"), [(PX4, 488.0), (ARDUCOPTER, 0.0)])
def test_as_a_long_command_the_altitude_of_a_roi_is_above_the_sea_or_above_home(
    stack: Stack, altitude: float
) -> None:
    assert look_down_deg(stack, altitude, None) == pytest.approx(-26.6, abs=0.6)


@BOTH
@pytest.mark.parametrize(("frame", "altitude"), [(0, 488.0), (3, 0.0), (6, 0.0)])
def test_as_an_int_command_the_frame_says_what_the_altitude_of_a_roi_means(
    stack: Stack, frame: int, altitude: float
) -> None:
    assert look_down_deg(stack, altitude, frame) == pytest.approx(-26.6, abs=0.6)


@per_stack(("stack", "pitch_deg"), [(PX4, 0.0), (ARDUCOPTER, -26.6)])
def test_after_roi_none_px4_looks_ahead_and_arducopter_stays(stack: Stack, pitch_deg: float) -> None:
    bench = Bench(stack, VehicleSettings(position=(0.0, 0.0, -50.0)))
    latitude, longitude = bench.vehicle.home.degrees(100.0, 0.0)
    bench.command_int(195, 0, (0.0,), round(latitude * 1e7), round(longitude * 1e7), 488.0)
    bench.run(3.0)
    assert bench.command(197) == ACCEPTED
    bench.run(3.0)
    assert math.degrees(bench.vehicle.newest.gimbal_pitch_rad) == pytest.approx(pitch_deg, abs=0.6)


# DO_REPOSITION (192)


def reposition(bench: Bench, flags: float) -> int:
    latitude, longitude = bench.vehicle.home.degrees(10.0, 5.0)
    place = (round(latitude * 1e7), round(longitude * 1e7), 35.0)
    return bench.command_int(192, 6, (-1.0, flags, 0.0, NAN), *place)


@per_stack(("stack", "result"), [(PX4, ACCEPTED), (ARDUCOPTER, DENIED)])
def test_reposition_without_the_mode_bit(stack: Stack, result: int) -> None:
    bench = Bench(stack)
    bench.pilot.mode(FlightMode.POSITION if stack is ARDUCOPTER else FlightMode.HOLD)
    assert reposition(bench, 0.0) == result


@BOTH
def test_reposition_with_the_mode_bit_flies_there(stack: Stack) -> None:
    bench = Bench(stack)
    bench.pilot.mode(FlightMode.POSITION)
    assert reposition(bench, 1.0) == ACCEPTED
    bench.run(15.0)
    assert bench.vehicle.newest.position == pytest.approx((10.0, 5.0, -35.0), abs=0.3)


def test_reposition_without_the_mode_bit_is_flown_in_guided() -> None:
    bench = Bench(ARDUCOPTER)
    bench.pilot.mode(FlightMode.GUIDED)
    assert reposition(bench, 0.0) == ACCEPTED


# FOLLOW_TARGET (144)

LOW = VehicleSettings(position=(0.0, 0.0, -8.0))  # where PX4 wants to be, so that it need not sink first


@BOTH
def test_follow_mode_goes_after_a_beacon(stack: Stack) -> None:
    bench = Bench(stack, LOW)
    assert bench.pilot.mode(FlightMode.FOLLOW) == ACCEPTED
    bench.stream(8.0, 0.25, lambda: bench.beacon(2.0 * bench.steps.t_ns / 1e9, 20.0, (2.0, 0.0, 0.0)))
    assert bench.vehicle.newest.velocity[0] == pytest.approx(2.0, abs=0.5)


@BOTH
def test_nothing_is_followed_in_another_mode(stack: Stack) -> None:
    bench = Bench(stack, LOW)
    bench.stream(3.0, 0.25, lambda: bench.beacon(20.0, 20.0, (2.0, 0.0, 0.0)))
    assert bench.speed < 0.1


@per_stack(("stack", "follows"), [(PX4, True), (ARDUCOPTER, False)])
def test_a_beacon_with_the_vehicles_own_system_id(stack: Stack, follows: bool) -> None:
    bench = Bench(stack, LOW)
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.stream(4.0, 0.25, lambda: bench.beacon(30.0, 0.0, (2.0, 0.0, 0.0), Speaker.COMPANION))
    assert (bench.speed > 0.3) is follows


def test_arducopter_follows_only_the_system_that_is_configured() -> None:
    bench = Bench(ARDUCOPTER, LOW)
    bench.autopilot.parameters["FOLL_SYSID"] = 201
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.stream(3.0, 0.25, lambda: bench.beacon(30.0, 0.0, (2.0, 0.0, 0.0)))
    assert bench.speed < 0.1


def test_arducopter_refuses_to_follow_unless_it_is_enabled() -> None:
    bench = Bench(ARDUCOPTER, LOW)
    bench.autopilot.parameters["FOLL_ENABLE"] = 0
    assert bench.pilot.mode(FlightMode.FOLLOW) != ACCEPTED
    assert bench.autopilot.flight.mode is FlightMode.HOLD


def test_arducopter_ignores_a_beacon_that_is_too_far() -> None:
    bench = Bench(ARDUCOPTER, LOW)
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.stream(3.0, 0.25, lambda: bench.beacon(130.0, 0.0, (2.0, 0.0, 0.0)))
    assert bench.speed < 0.1


@BOTH
def test_a_beacon_that_falls_silent_stops_the_vehicle(stack: Stack) -> None:
    bench = Bench(stack, LOW)
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.stream(8.0, 0.25, lambda: bench.beacon(2.0 * bench.steps.t_ns / 1e9, 10.0, (2.0, 0.0, 0.0)))
    assert bench.speed > 1.0
    bench.run(6.0)
    assert bench.speed < 0.2


def px4s_estimate(velocity: tuple[float, float, float]) -> float:
    """Of the northward speed of a beacon that goes at 2 m/s and tells this velocity."""
    bench = Bench(PX4, LOW)
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.stream(12.0, 0.25, lambda: bench.beacon(2.0 * bench.steps.t_ns / 1e9, 10.0, velocity))
    follower = bench.autopilot.flight.follower
    assert isinstance(follower, Px4Follower)
    return follower.velocity[0]


def test_px4_takes_zero_velocity_for_standing_still() -> None:
    assert abs(px4s_estimate((0.0, 0.0, 0.0))) < 0.7


def test_px4_estimates_a_velocity_that_is_not_given() -> None:
    assert px4s_estimate((NAN, NAN, NAN)) == pytest.approx(2.0, abs=0.7)


# SET_POSITION_TARGET_GLOBAL_INT (86)


def guided(stack: Stack) -> Bench:
    """In Guided or Offboard, with 5 m/s to the north."""
    bench = Bench(stack)
    bench.stream(0.6, 0.1, lambda: bench.velocity(0.0, 0.0))
    assert bench.pilot.mode(FlightMode.GUIDED) == ACCEPTED
    bench.stream(5.0, 0.1, lambda: bench.velocity(5.0, 0.0))
    assert bench.speed == pytest.approx(5.0, abs=0.6)
    return bench


def test_px4_enters_offboard_only_with_a_stream_of_setpoints() -> None:
    bench = Bench(PX4)
    assert bench.pilot.mode(FlightMode.GUIDED) != ACCEPTED
    bench.stream(3.0, 1.0, lambda: bench.velocity(0.0, 0.0))
    assert bench.pilot.mode(FlightMode.GUIDED) != ACCEPTED


def test_px4_leaves_offboard_one_second_after_the_last_setpoint() -> None:
    bench = guided(PX4)
    bench.run(0.7)
    assert bench.autopilot.flight.mode is FlightMode.GUIDED
    bench.run(0.5)
    assert bench.autopilot.flight.mode is FlightMode.POSITION
    bench.run(4.0)
    assert bench.speed < 0.5


def test_arducopter_stays_in_guided_and_stops_by_itself() -> None:
    bench = guided(ARDUCOPTER)
    bench.run(2.7)
    assert bench.speed > 4.0
    bench.run(2.7)
    assert bench.autopilot.flight.mode is FlightMode.GUIDED
    assert bench.speed < 0.6


def test_arducopter_flies_to_a_position_without_further_messages() -> None:
    bench = Bench(ARDUCOPTER)
    bench.pilot.mode(FlightMode.GUIDED)
    latitude, longitude = bench.vehicle.home.degrees(40.0, 0.0)
    bench.say(
        dialect.MAVLink_set_position_target_global_int_message(
            0,
            SYSTEM,
            1,
            6,
            0x0DF8,
            round(latitude * 1e7),
            round(longitude * 1e7),
            30.0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        )
    )
    bench.run(20.0)
    assert bench.vehicle.newest.position[0] == pytest.approx(40.0, abs=0.5)


@BOTH
def test_setpoints_move_nothing_outside_their_mode(stack: Stack) -> None:
    bench = Bench(stack)
    bench.stream(3.0, 0.1, lambda: bench.velocity(5.0, 0.0))
    assert bench.speed < 0.1


# CAMERA_TRACK_* to compid 1


@BOTH
@pytest.mark.parametrize("number", [2004, 2005, 2010])
def test_track_commands_to_the_autopilot_are_unsupported(stack: Stack, number: int) -> None:
    assert Bench(stack).command(number, 0.5, 0.5, 0.1) == UNSUPPORTED
