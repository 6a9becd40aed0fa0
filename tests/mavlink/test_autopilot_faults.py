"""What a flight throws at a companion: pilots, failsafes, reboots, bad links; levers and what they show."""

from __future__ import annotations

import math
import random
import struct

import pytest

from edge_rgbt.mavlink.autopilot import ARDUCOPTER, COMPANION_PORT, PX4, FlightMode, Stack
from edge_rgbt.mavlink.autopilot.lockstep import Cable
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.sim.vehicle import VehicleSettings
from tests.mavlink.simulated_autopilots import SYSTEM, Bench

BOTH = pytest.mark.parametrize("stack", [PX4, ARDUCOPTER], ids=lambda stack: stack.name)


def ask(bench: Bench, *numbers: int) -> None:
    for number in numbers:
        bench.command(dialect.MAV_CMD_SET_MESSAGE_INTERVAL, number, 50_000)


@BOTH
def test_sticks_show_in_the_radio_channels(stack: Stack) -> None:
    bench = Bench(stack)
    ask(bench, 65)
    bench.pilot.sticks(roll=0.5, pitch=-0.2)
    bench.pilot.switch(7, 1.0)
    bench.run(0.2)
    told = bench.last("RC_CHANNELS")
    assert (told.chan1_raw, told.chan2_raw, told.chan3_raw, told.chan7_raw) == (1750, 1600, 1500, 2000)


@BOTH
def test_a_lost_radio_shows_no_channels(stack: Stack) -> None:
    bench = Bench(stack)
    ask(bench, 65)
    bench.pilot.radio_lost()
    bench.run(0.2)
    assert bench.last("RC_CHANNELS").chancount == 0


def test_sticks_take_px4_out_of_hold_but_not_out_of_follow() -> None:
    bench = Bench(PX4)
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.pilot.sticks(pitch=1.0)
    bench.run(0.2)
    assert bench.autopilot.flight.mode is FlightMode.FOLLOW
    bench.pilot.mode(FlightMode.HOLD)
    bench.run(0.2)
    assert bench.autopilot.flight.mode is FlightMode.POSITION


def test_in_follow_the_sticks_of_px4_change_the_distance() -> None:
    bench = Bench(PX4)
    bench.pilot.mode(FlightMode.FOLLOW)
    bench.pilot.sticks(pitch=-1.0)
    bench.run(4.0)
    assert bench.autopilot.flight.follower.settings.distance_m == pytest.approx(14.0, abs=0.5)  # pyright: ignore


def test_sticks_leave_arducopter_in_guided() -> None:
    bench = Bench(ARDUCOPTER)
    bench.pilot.mode(FlightMode.GUIDED)
    bench.pilot.sticks(roll=1.0)
    bench.run(0.5)
    assert bench.autopilot.flight.mode is FlightMode.GUIDED
    assert bench.speed < 0.1


@BOTH
def test_in_position_mode_the_sticks_fly(stack: Stack) -> None:
    bench = Bench(stack)
    bench.pilot.mode(FlightMode.POSITION)
    bench.pilot.sticks(pitch=0.6)
    bench.run(4.0)
    assert bench.vehicle.newest.velocity[0] == pytest.approx(3.0, abs=0.4)


@BOTH
def test_a_failsafe_shows_as_critical(stack: Stack) -> None:
    bench = Bench(stack)
    bench.pilot.failsafe()
    bench.run(1.1)
    assert bench.last("HEARTBEAT").system_status == dialect.MAV_STATE_CRITICAL


@BOTH
def test_a_fence_breach_shows_and_is_counted(stack: Stack) -> None:
    bench = Bench(stack)
    ask(bench, 162)
    for breached in (True, True, False, True):
        bench.pilot.fence_breach(breached)
        bench.run(0.1)
    told = bench.last("FENCE_STATUS")
    assert (told.breach_status, told.breach_count) == (1, 2)


@BOTH
def test_a_bad_estimate_and_a_lost_gps_show(stack: Stack) -> None:
    bench = Bench(stack)
    ask(bench, 1, 24, 230)
    bench.pilot.estimator(False)
    bench.pilot.gps(1)
    bench.run(0.2)
    health = bench.last("SYS_STATUS").onboard_control_sensors_health
    assert not health & dialect.MAV_SYS_STATUS_AHRS
    assert not health & dialect.MAV_SYS_STATUS_SENSOR_GPS
    assert not bench.last("ESTIMATOR_STATUS").flags & dialect.ESTIMATOR_POS_HORIZ_ABS
    assert bench.last("GPS_RAW_INT").satellites_visible == 0


@BOTH
def test_landing_arms_and_lifts_off_again(stack: Stack) -> None:
    bench = Bench(stack, VehicleSettings(position=(0.0, 0.0, -3.0)))
    ask(bench, 245)
    bench.pilot.mode(FlightMode.LAND)
    bench.run(1.0)
    assert bench.last("EXTENDED_SYS_STATE").landed_state == dialect.MAV_LANDED_STATE_LANDING
    bench.run(6.0)
    assert bench.last("EXTENDED_SYS_STATE").landed_state == dialect.MAV_LANDED_STATE_ON_GROUND
    assert not bench.vehicle.condition.armed
    bench.pilot.mode(FlightMode.HOLD if stack is PX4 else FlightMode.GUIDED)
    assert bench.command(400, 1) == dialect.MAV_RESULT_ACCEPTED
    assert bench.command(22, 0, 0, 0, 0, 0, 0, 12.0) == dialect.MAV_RESULT_ACCEPTED
    bench.run(12.0)
    assert bench.vehicle.newest.height_m == pytest.approx(12.0, abs=0.7)


@BOTH
def test_it_does_not_disarm_in_the_air(stack: Stack) -> None:
    bench = Bench(stack)
    assert bench.command(400, 0) == dialect.MAV_RESULT_FAILED
    assert bench.vehicle.condition.armed


@BOTH
def test_return_flies_home_and_lands(stack: Stack) -> None:
    bench = Bench(stack, VehicleSettings(position=(25.0, 0.0, -8.0)))
    assert bench.command(20) == dialect.MAV_RESULT_ACCEPTED
    bench.run(40.0)
    assert bench.autopilot.flight.mode is FlightMode.LAND
    assert bench.vehicle.newest.position[:2] == pytest.approx((0.0, 0.0), abs=1.1)


@pytest.mark.parametrize(("stack", "parameters"), [(PX4, (1, 6, 0)), (ARDUCOPTER, (1, 4, 0))])
def test_a_mode_command_has_the_stacks_own_numbers(stack: Stack, parameters: tuple) -> None:
    bench = Bench(stack)
    bench.stream(0.6, 0.1, lambda: bench.velocity(0.0, 0.0))
    assert bench.command(176, *parameters) == dialect.MAV_RESULT_ACCEPTED
    assert bench.autopilot.flight.mode is FlightMode.GUIDED


@pytest.mark.parametrize(("stack", "number"), [(PX4, 4 << 16 | 6 << 24), (ARDUCOPTER, 9)])
def test_the_old_mode_message_of_ground_stations_works(stack: Stack, number: int) -> None:
    bench = Bench(stack)
    bench.steps.say(dialect.MAVLink_set_mode_message(SYSTEM, 1, number))
    bench.run(0.1)
    assert bench.autopilot.flight.mode is FlightMode.LAND


@BOTH
def test_a_reboot_is_silence_and_time_from_zero(stack: Stack) -> None:
    """R-EP-9 sees it by the time."""
    bench = Bench(stack)
    bench.take_gimbal()
    ask(bench, 2)
    bench.run(3.0)
    before = bench.last("SYSTEM_TIME").time_boot_ms
    bench.pilot.reboot()
    bench.run(0.2)
    count = len(bench.steps.heard)
    bench.run(1.2)
    assert len(bench.steps.heard) == count
    bench.run(0.5)
    assert bench.heard("HEARTBEAT")[-1].t_ns > bench.steps.t_ns - 500_000_000
    assert bench.autopilot.gimbal.control == (0, 0)
    count = len(bench.heard("SYSTEM_TIME"))
    bench.run(1.0)
    assert len(bench.heard("SYSTEM_TIME")) == count, "intervals are forgotten"
    ask(bench, 2)
    bench.run(0.2)
    assert bench.last("SYSTEM_TIME").time_boot_ms < before


@pytest.mark.parametrize(("stack", "at_once"), [(PX4, False), (ARDUCOPTER, True)])
def test_a_new_system_id_counts_at_once_or_after_a_reboot(stack: Stack, at_once: bool) -> None:
    bench = Bench(stack)
    bench.pilot.change_system_id(9)
    bench.run(1.1)
    assert (bench.heard("HEARTBEAT")[-1].system == 9) is at_once
    bench.pilot.reboot()
    bench.run(3.0)
    assert bench.heard("HEARTBEAT")[-1].system == 9


@BOTH
def test_an_operator_takes_the_gimbal(stack: Stack) -> None:
    bench = Bench(stack)
    bench.take_gimbal()
    bench.pilot.take_gimbal(255, 190)
    ask(bench, 281)
    bench.run(0.1)
    assert bench.last("GIMBAL_MANAGER_STATUS").primary_control_sysid == 255


def test_a_cut_cable_is_silent_in_both_directions() -> None:
    bench = Bench(ARDUCOPTER)
    bench.steps.cut_cable()
    bench.run(0.1)
    count = len(bench.steps.heard)
    bench.rates(0.2, 0.2)
    assert not bench.gimbal_moves(3.0)
    assert len(bench.steps.heard) == count
    bench.steps.cut_cable(False)
    bench.run(1.5)
    assert len(bench.steps.heard) > count


def test_a_cable_loses_and_delays_by_its_seed() -> None:
    cable = Cable(delay_ns=30_000_000, jitter_ns=10_000_000, loss=0.2)
    first, again = (Bench(PX4, cable=cable, seed=3, quiet=False) for _ in range(2))
    for bench in (first, again):
        bench.run(3.0)
    kinds = [(s.t_ns, s.kind) for s in first.steps.heard]
    assert kinds == [(s.t_ns, s.kind) for s in again.steps.heard]
    sent = 4.2 * 50
    assert 0.6 * sent < len(first.heard("ATTITUDE")) < 0.95 * sent


@BOTH
def test_garbage_and_hostile_numbers_do_no_harm(stack: Stack) -> None:
    bench, rng = Bench(stack), random.Random(1)
    nan, inf = float("nan"), float("inf")
    for number in (22, 176, 192, 195, 400, 510, 511, 512, 1000, 1001, 2004, 65000):
        for value in (nan, inf, -inf, 1e30):
            bench.say(dialect.MAVLink_command_long_message(SYSTEM, 1, number, 0, *[value] * 7))
            bench.say(
                dialect.MAVLink_command_int_message(SYSTEM, 1, 200, number, 0, 0, *[value] * 4, 0, 0, value)
            )
    for frame in (0, 6, 200):
        bench.say(
            dialect.MAVLink_set_position_target_global_int_message(
                0, SYSTEM, 1, frame, 0, 0, 0, nan, nan, inf, nan, 0, 0, 0, nan, nan
            )
        )
    bench.say(
        dialect.MAVLink_follow_target_message(
            0, 255, 0, 0, nan, [inf] * 3, [nan] * 3, [nan] * 4, [0] * 3, [0] * 3, 0
        )
    )
    bench.run(0.5)
    for _ in range(50):
        junk = bytes(rng.randrange(256) for _ in range(200))
        bench.autopilot.receive(COMPANION_PORT, junk, bench.steps.now_ns)
    before = len(bench.heard("HEARTBEAT"))
    bench.run(3.0)
    assert len(bench.heard("HEARTBEAT")) > before
    assert all(abs(value) < 1e6 for value in bench.vehicle.newest.position)


def random_frame(rng: random.Random, number: int) -> bytes:
    """A valid frame of this message with random fields, from anybody to anybody near."""
    kind = dialect.mavlink_map[number]
    payload = bytearray(rng.randrange(256) for _ in range(kind.unpacker.size))
    for field in ("target_system", "target_component"):  # so that more of them are read
        if field in kind.ordered_fieldnames and rng.random() < 0.8:
            names = kind.ordered_fieldnames
            offset = sum(
                struct.calcsize("<" + kind.native_format.decode()[1 + n]) * max(kind.array_lengths[n], 1)
                for n in range(names.index(field))
            )
            payload[offset] = SYSTEM if field == "target_system" else 1
    head = bytes(
        (len(payload), 0, 0, rng.randrange(256), rng.choice((SYSTEM, 255, 200)), rng.choice((191, 190)))
    )
    body = head + number.to_bytes(3, "little") + bytes(payload)
    check = dialect.x25crc(body + bytes((kind.crc_extra,))).crc
    return b"\xfd" + body + check.to_bytes(2, "little")


@BOTH
def test_valid_frames_with_random_fields_do_no_harm(stack: Stack) -> None:
    bench, rng = Bench(stack), random.Random(2)
    numbers = sorted(dialect.mavlink_map)
    read_by_it = [11, 20, 21, 23, 75, 76, 84, 86, 111, 144, 282, 287, 288]
    for _ in range(1500):
        number = rng.choice(read_by_it) if rng.random() < 0.7 else rng.choice(numbers)
        bench.autopilot.receive(COMPANION_PORT, random_frame(rng, number), bench.steps.now_ns)
    before = len(bench.heard("HEARTBEAT"))
    bench.run(3.0)
    assert len(bench.heard("HEARTBEAT")) > before
    assert all(math.isfinite(value) for value in bench.vehicle.newest.position)
