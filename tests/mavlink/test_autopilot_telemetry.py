"""What the simulated autopilot tells of itself, and when."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, AutopilotSettings, FlightMode, Stack
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.sim.vehicle import USUAL, VehicleSettings
from tests.mavlink.simulated_autopilots import SYSTEM, Bench

BOTH = pytest.mark.parametrize("stack", [PX4, ARDUCOPTER], ids=lambda stack: stack.name)
TURNED = VehicleSettings(
    position=(30.0, -20.0, -40.0),
    yaw_rad=math.radians(70),
    gimbal_pitch_rad=math.radians(-30),
    gimbal_yaw_rad=math.radians(20),
)


def rotation(q: list[float] | tuple[float, ...]) -> np.ndarray:
    """Camera (or body) to NED of (w, x, y, z)."""
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def about_z(angle_rad: float) -> np.ndarray:
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def ask(bench: Bench, *numbers: int, rate_hz: float = 20.0) -> None:
    for number in numbers:
        assert bench.command(dialect.MAV_CMD_SET_MESSAGE_INTERVAL, number, 1e6 / rate_hz) == 0
    bench.run(0.3)


@pytest.mark.parametrize(("stack", "autopilot"), [(PX4, 12), (ARDUCOPTER, 3)])
def test_heartbeats_once_a_second_name_the_stack(stack: Stack, autopilot: int) -> None:
    bench = Bench(stack)
    bench.run(9.0)
    beats = bench.heard("HEARTBEAT")
    assert {(b.message.autopilot, b.message.type) for b in beats} == {(autopilot, 2)}
    assert np.diff([b.t_ns for b in beats]) == pytest.approx(1e9, abs=2e7)


@pytest.mark.parametrize(("stack", "number"), [(PX4, 4 << 16 | 8 << 24), (ARDUCOPTER, 23)])
def test_the_mode_is_in_the_heartbeat_with_the_stacks_own_number(stack: Stack, number: int) -> None:
    bench = Bench(stack)
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.run(1.1)
    assert bench.last("HEARTBEAT").custom_mode == number
    assert bench.last("HEARTBEAT").base_mode & dialect.MAV_MODE_FLAG_SAFETY_ARMED


def test_px4_streams_unasked_and_arducopter_says_nothing_but_heartbeats() -> None:
    loud, still = Bench(PX4, quiet=False), Bench(ARDUCOPTER, quiet=False)
    for bench in (loud, still):
        bench.run(5.0)
    assert len(loud.heard("ATTITUDE_QUATERNION")) > 250
    assert len(loud.heard("GLOBAL_POSITION_INT")) > 250
    assert {spoken.kind for spoken in still.steps.heard} == {"HEARTBEAT", "TIMESYNC"}


@BOTH
@pytest.mark.parametrize("rate_hz", [2.0, 10.0, 20.0])
def test_a_message_comes_at_the_interval_that_was_asked_for(stack: Stack, rate_hz: float) -> None:
    bench = Bench(stack)
    ask(bench, 31, rate_hz=rate_hz)
    before = len(bench.heard("ATTITUDE_QUATERNION"))
    bench.run(10.0)
    assert len(bench.heard("ATTITUDE_QUATERNION")) - before == pytest.approx(10 * rate_hz, rel=0.05)


def test_an_interval_of_minus_one_stops_and_zero_restores() -> None:
    bench = Bench(PX4, quiet=False)
    bench.command(dialect.MAV_CMD_SET_MESSAGE_INTERVAL, 31, -1)
    before = len(bench.heard("ATTITUDE_QUATERNION"))
    bench.run(1.0)
    assert len(bench.heard("ATTITUDE_QUATERNION")) == before
    bench.command(dialect.MAV_CMD_SET_MESSAGE_INTERVAL, 31, 0)
    bench.run(1.0)
    assert len(bench.heard("ATTITUDE_QUATERNION")) - before > 45


def test_the_interval_is_told_when_asked() -> None:
    bench = Bench(ARDUCOPTER)
    ask(bench, 31, rate_hz=20.0)
    bench.command(dialect.MAV_CMD_GET_MESSAGE_INTERVAL, 31)
    assert bench.last("MESSAGE_INTERVAL").interval_us == 50_000
    bench.command(dialect.MAV_CMD_GET_MESSAGE_INTERVAL, 30)
    assert bench.last("MESSAGE_INTERVAL").interval_us == -1


@BOTH
def test_the_answer_comes_before_the_message_that_was_asked_for(stack: Stack) -> None:
    bench = Bench(stack)
    before = len(bench.steps.heard)
    bench.command(dialect.MAV_CMD_REQUEST_MESSAGE, 280)
    kinds = [spoken.kind for spoken in bench.steps.heard[before:]]
    assert kinds.index("COMMAND_ACK") < kinds.index("GIMBAL_MANAGER_INFORMATION")


@BOTH
def test_gimbal_information_gives_the_limits(stack: Stack) -> None:
    bench = Bench(stack)
    bench.command(dialect.MAV_CMD_REQUEST_MESSAGE, 280)
    told = bench.last("GIMBAL_MANAGER_INFORMATION")
    limits = bench.vehicle.gimbal.limits
    assert (told.pitch_min, told.pitch_max) == pytest.approx((limits.pitch_low_rad, limits.pitch_high_rad))
    assert told.gimbal_device_id == 1


@pytest.mark.parametrize(
    ("stack", "locked", "flags"),
    [(PX4, False, 44), (PX4, True, 92), (ARDUCOPTER, False, 44), (ARDUCOPTER, True, 60)],
)
def test_flags_of_the_gimbals_attitude(stack: Stack, locked: bool, flags: int) -> None:
    bench = Bench(stack, TURNED)
    bench.take_gimbal()
    bench.rates(0.0, 0.0, 28 if locked else 12)
    ask(bench, 285)
    assert bench.last("GIMBAL_DEVICE_ATTITUDE_STATUS").flags == flags


@pytest.mark.parametrize("frame", [None, 32, 64])
@pytest.mark.parametrize("locked", [False, True])
@BOTH
def test_the_gimbals_quaternion_and_its_flags_give_the_cameras_true_direction(
    stack: Stack, locked: bool, frame: int | None
) -> None:
    settings = AutopilotSettings(system=SYSTEM, gimbal_frame=frame)
    bench = Bench(stack, TURNED, settings)
    bench.take_gimbal()
    bench.rates(0.0, 0.0, 28 if locked else 12)
    ask(bench, 285, 31)
    told, vehicle = bench.last("GIMBAL_DEVICE_ATTITUDE_STATUS"), bench.last("ATTITUDE_QUATERNION")
    turn = rotation(told.q)
    if not told.flags & 64:
        nose = rotation((vehicle.q1, vehicle.q2, vehicle.q3, vehicle.q4))[:, 0]
        turn = about_z(math.atan2(nose[1], nose[0])) @ turn
    looking = turn[:, 0]
    pitch, yaw = math.radians(-30), math.radians(90)
    expected = (math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), -math.sin(pitch))
    assert looking == pytest.approx(expected, abs=2e-3)


@BOTH
def test_the_position_is_where_the_vehicle_is(stack: Stack) -> None:
    bench = Bench(stack, TURNED)
    ask(bench, 33, 24)
    told = bench.last("GLOBAL_POSITION_INT")
    north, east = bench.vehicle.home.metres(told.lat / 1e7, told.lon / 1e7)
    assert (north, east) == pytest.approx((30.0, -20.0), abs=0.1)
    assert (told.alt, told.relative_alt) == pytest.approx((528_000, 40_000), abs=100)
    assert told.hdg == pytest.approx(7000, abs=20)
    assert bench.last("GPS_RAW_INT").fix_type == 3


@BOTH
def test_the_state_in_the_air_home_fence_and_time_are_told(stack: Stack) -> None:
    bench = Bench(stack)
    ask(bench, 245, 242, 162, 2)
    assert bench.last("EXTENDED_SYS_STATE").landed_state == dialect.MAV_LANDED_STATE_IN_AIR
    assert bench.last("HOME_POSITION").altitude == 488_000
    assert bench.last("FENCE_STATUS").breach_status == 0
    assert bench.last("SYSTEM_TIME").time_unix_usec > 1e15


def test_without_gps_there_is_no_time_of_day() -> None:
    bench = Bench(PX4)
    bench.pilot.gps(1)
    ask(bench, 2, 24)
    assert bench.last("SYSTEM_TIME").time_unix_usec == 0
    assert bench.last("GPS_RAW_INT").fix_type == 1


def test_the_downward_sensor_measures_along_its_tilted_beam() -> None:
    bench = Bench(PX4, VehicleSettings(position=(0.0, 0.0, -20.0)))
    bench.vehicle.condition.rangefinder = True
    ask(bench, 132)
    told = bench.last("DISTANCE_SENSOR")
    assert (told.orientation, told.current_distance) == (25, pytest.approx(2000, abs=5))


@BOTH
def test_errors_of_the_sensors_show_in_telemetry_and_not_in_the_pose(stack: Stack) -> None:
    bench = Bench(stack, VehicleSettings(errors=USUAL), seed=4)
    ask(bench, 33, 30)
    told, attitude = bench.last("GLOBAL_POSITION_INT"), bench.last("ATTITUDE")
    off = bench.vehicle.home.metres(told.lat / 1e7, told.lon / 1e7)
    pose = bench.vehicle.pose(bench.steps.t_ns)
    assert 0.05 < math.hypot(*off) < 5
    assert 0.001 < abs(attitude.yaw) < 0.1
    assert pose.position[:2] == pytest.approx((0.0, 0.0), abs=0.05)


# R-TM-1


@BOTH
def test_time_is_answered_with_its_clock_and_the_same_stamp(stack: Stack) -> None:
    bench = Bench(stack)
    stamp = 8_123_456_789_012_345_677  # has no exact float
    bench.say(dialect.MAVLink_timesync_message(0, stamp))
    bench.run(0.1)
    answers = [s.message for s in bench.heard("TIMESYNC") if s.message.ts1 == stamp]
    assert len(answers) == 1
    assert answers[0].tc1 == pytest.approx(bench.autopilot.boot_ns, abs=200_000_000)


@pytest.mark.parametrize(("stack", "requests"), [(PX4, 100), (ARDUCOPTER, 1)])
def test_how_often_each_stack_asks_for_the_time(stack: Stack, requests: int) -> None:
    bench = Bench(stack)
    before = len(bench.heard("TIMESYNC"))
    bench.run(10.0)
    asked = [s.message for s in bench.heard("TIMESYNC")[before:] if s.message.tc1 == 0]
    assert len(asked) == pytest.approx(requests, abs=1)


@BOTH
def test_answers_to_its_own_time_requests_must_carry_its_stamp_unchanged(stack: Stack) -> None:
    bench = Bench(stack)
    stamp = bench.last("TIMESYNC").ts1
    if stack is ARDUCOPTER:
        assert stamp % 1_000_000 == SYSTEM  # it asks in whole steps of the bench, and adds its id
    bench.say(dialect.MAVLink_timesync_message(123, stamp))
    bench.say(dialect.MAVLink_timesync_message(123, stamp + 1))
    bench.run(0.1)
    assert (bench.autopilot.timesync.right, bench.autopilot.timesync.wrong) == (1, 1)


def test_a_clock_that_runs_fast() -> None:
    bench = Bench(PX4, settings=AutopilotSettings(system=SYSTEM, clock_ppm=100.0))
    bench.run(10.0)
    assert bench.autopilot.boot_ns - bench.steps.t_ns == pytest.approx(bench.steps.t_ns * 1e-4, rel=0.01)


# Parameters


@pytest.mark.parametrize(
    ("stack", "name", "number"), [(PX4, "MAV_0_FORWARD", 1), (ARDUCOPTER, "CAM1_TYPE", 6)]
)
def test_an_integer_parameter_is_read_as_the_stack_encodes_it(stack: Stack, name: str, number: int) -> None:
    bench = Bench(stack)
    bench.say(dialect.MAVLink_param_request_read_message(SYSTEM, 1, name.encode(), -1))
    bench.run(0.1)
    told = bench.last("PARAM_VALUE")
    value = np.float32(told.param_value)
    assert (value.view(np.int32) if stack is PX4 else value) == number
    assert told.param_type == dialect.MAV_PARAM_TYPE_INT32


def test_setting_a_parameter_changes_how_it_follows() -> None:
    bench = Bench(PX4, VehicleSettings(position=(0.0, 0.0, -8.0)))
    bench.say(
        dialect.MAVLink_param_set_message(SYSTEM, 1, b"FLW_TGT_DST", 20.0, dialect.MAV_PARAM_TYPE_REAL32)
    )
    bench.run(0.1)
    assert bench.last("PARAM_VALUE").param_value == 20.0
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.stream(
        15.0, 0.25, lambda: bench.beacon(0.1 * (bench.steps.t_ns // 10**9 % 2), 40.0, (0.0, 0.0, 0.0))
    )
    state = bench.vehicle.newest
    assert math.hypot(state.position[0], state.position[1] - 40.0) == pytest.approx(20.0, abs=1.0)


def test_an_unknown_parameter_is_not_answered() -> None:
    bench = Bench(ARDUCOPTER)
    bench.say(dialect.MAVLink_param_request_read_message(SYSTEM, 1, b"NO_SUCH", -1))
    bench.run(0.1)
    assert bench.heard("PARAM_VALUE") == []


@BOTH
def test_an_unknown_message_is_refused(stack: Stack) -> None:
    assert Bench(stack).command(dialect.MAV_CMD_REQUEST_MESSAGE, 9999) in (2, 4)
