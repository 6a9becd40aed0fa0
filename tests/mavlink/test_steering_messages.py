"""What steering says, field by field, and what it makes of what it hears; through pymavlink's own packing."""

from __future__ import annotations

import math
import struct

import pytest

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Received
from edge_rgbt.mavlink.framing import FrameWriter
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.steering.journal import ControlRecord, Journal
from edge_rgbt.mavlink.steering.messages import (
    follow_target,
    gimbal_rates,
    release_gimbal,
    roi_location,
    roi_none,
    take_gimbal,
    velocity_setpoint,
)
from edge_rgbt.mavlink.steering.switch import Flip, PilotSwitch
from edge_rgbt.mavlink.steering.watch import VehicleWatch, read_beat, read_travel
from edge_rgbt.steering.gimbal_law import Rates
from edge_rgbt.steering.settings import SwitchSettings
from edge_rgbt.steering.situation import Holder, Mode, Stack
from edge_rgbt.steering.stand_off import Velocity
from edge_rgbt.types import TargetPosition

SYSTEM, MANAGER = 7, 154
US = Identity(SYSTEM, 191)
SECOND = 1_000_000_000


def wired(message):
    """The message as a receiver reads it."""
    (parsed,) = dialect.MAVLink(None).parse_buffer(FrameWriter().write(US, message))
    return parsed


def target(**others) -> TargetPosition:
    values = {
        "track_id": 1, "timestamp_ns": SECOND, "latitude_deg": 47.3977, "longitude_deg": 8.5456,
        "altitude_m": 488.5, "horizontal_m": 2.5, "vertical_m": 3.0, "covariance_ne_m2": (4.0, 0.0, 4.0),
        "range_m": 40.0,
    }  # fmt: skip
    return TargetPosition(**(values | others))


def test_rates_leave_the_angles_open():
    """R-GM-1."""
    m = wired(gimbal_rates(SYSTEM, MANAGER, Rates(0.1, -0.2), yaw_lock=False))
    assert m.id == 282
    assert all(math.isnan(part) for part in m.q)
    assert (m.angular_velocity_x, m.flags, m.gimbal_device_id) == (0.0, 12, 0)
    assert (m.angular_velocity_y, m.angular_velocity_z) == pytest.approx((0.1, -0.2))


def test_zero_rates_are_zeros_on_the_wire_and_not_nan():
    data = FrameWriter().write(US, gimbal_rates(SYSTEM, MANAGER, Rates(), True))
    flags, *floats = struct.unpack("<I7f", data[10:42])
    assert flags == 28
    assert all(map(math.isnan, floats[:4]))
    assert floats[4:] == [0.0, 0.0, 0.0]


def test_control_is_taken_for_the_companion_and_released_by_minus_three():
    """R-GM-2, R-GM-3."""
    take, release = wired(take_gimbal(SYSTEM, MANAGER)), wired(release_gimbal(SYSTEM, MANAGER))
    assert (take.command, take.target_component) == (1001, MANAGER)
    assert (take.param1, take.param2, take.param3, take.param4) == (SYSTEM, 191, -1, -1)
    assert (release.param1, release.param2, release.param3, release.param4) == (-3, -3, -1, -1)


def test_a_region_of_interest_says_its_frame():
    m = wired(roi_location(SYSTEM, target()))
    assert (m.get_type(), m.command, m.frame, m.target_component) == ("COMMAND_INT", 195, 0, 1)
    assert (m.x, m.y, m.z) == (473977000, 85456000, 488.5)
    assert wired(roi_none(SYSTEM)).command == 197


@pytest.mark.parametrize(("stack", "unknown"), [(Stack.PX4, math.nan), (Stack.ARDUPILOT, 0.0)])
def test_an_unknown_velocity_is_what_each_stack_takes_for_unknown(stack, unknown):
    m = wired(follow_target(target(), 1234, stack))
    assert str(list(m.vel)) == str([unknown] * 3)
    assert (m.timestamp, m.est_capabilities) == (1234, 1)
    assert list(m.attitude_q) == [1.0, 0.0, 0.0, 0.0]
    assert list(m.position_cov) == pytest.approx([2.5, 2.5, 3.0])
    assert m.custom_state == 0


def test_a_known_course_is_the_beacons_attitude():
    moving = target(velocity_ned_mps=(0.0, 2.0, 0.0), speed_sigma_mps=0.2, course_rad=math.pi / 2)
    m = wired(follow_target(moving, 1, Stack.ARDUPILOT))
    assert m.est_capabilities == 1 + 2 + 8
    assert list(m.vel) == [0.0, 2.0, 0.0]
    assert list(m.attitude_q) == pytest.approx([math.sqrt(0.5), 0, 0, math.sqrt(0.5)])


@pytest.mark.parametrize(("turn", "mask"), [(None, 0x0DC7), (0.3, 0x05C7)])
@pytest.mark.parametrize(("stack", "number", "frame"), [(Stack.ARDUPILOT, 86, 6), (Stack.PX4, 84, 1)])
def test_set_points_are_velocities(stack, number, frame, turn, mask):
    m = wired(velocity_setpoint(SYSTEM, Velocity(1.0, -2.0, 0.5, turn), 99, stack))
    assert (m.id, m.coordinate_frame, m.type_mask, m.time_boot_ms) == (number, frame, mask, 99)
    assert (m.vx, m.vy, m.vz) == (1.0, -2.0, 0.5)
    assert m.yaw_rate == pytest.approx(turn or 0.0)


def beat(autopilot=3, kind=2, mode=4, status=4):
    return dialect.MAVLink_heartbeat_message(kind, autopilot, 1, mode, status, 3)


@pytest.mark.parametrize(
    ("message", "stack", "mode"),
    [
        (beat(3, mode=4), Stack.ARDUPILOT, Mode.EXTERNAL),
        (beat(3, mode=23), Stack.ARDUPILOT, Mode.FOLLOW),
        (beat(3, mode=5), Stack.ARDUPILOT, Mode.OTHER),
        (beat(3, kind=1, mode=4), Stack.OTHER, Mode.OTHER),  # a plane numbers its modes in another way
        (beat(12, mode=6 << 16), Stack.PX4, Mode.EXTERNAL),
        (beat(12, mode=4 << 16 | 8 << 24), Stack.PX4, Mode.FOLLOW),
        (beat(12, mode=4 << 16 | 3 << 24), Stack.PX4, Mode.OTHER),
        (beat(0, mode=4), Stack.OTHER, Mode.OTHER),
    ],
)
def test_the_flight_mode_is_read_as_each_stack_counts(message, stack, mode):
    read = read_beat(message, 5)
    assert (read.stack, read.mode) == (stack, mode)


@pytest.mark.parametrize(("status", "failsafe"), [(3, False), (4, False), (5, True), (6, True), (8, True)])
def test_a_critical_status_is_a_failsafe(status, failsafe):
    assert read_beat(beat(status=status), 5).failsafe is failsafe


def test_an_axis_that_turns_all_round_has_no_stop():
    free = dialect.MAVLink_gimbal_manager_information_message(0, 0, 1, 0, 0, -1.57, 0.4, -math.pi, math.pi)
    travel = read_travel(free)
    assert (travel.pitch_low_rad, travel.pitch_high_rad) == (-1.57, 0.4)
    assert (travel.yaw_low_rad, travel.yaw_high_rad) == (None, None)


def told(message, component=1, system=SYSTEM, at_ns=SECOND, endpoint="serial:/dev/x:1") -> Received:
    return Received(message, system, component, endpoint, at_ns)


def status(system=0, component=0):
    return dialect.MAVLink_gimbal_manager_status_message(0, 0, 1, system, component, 0, 0)


def watch() -> VehicleWatch:
    made = VehicleWatch()
    made.belong_to(SYSTEM)
    return made


def test_the_manager_is_whoever_says_that_it_is():
    """R-GM-4."""
    seen = watch()
    seen.receive(told(status(), component=MANAGER))
    seen.receive(told(status(SYSTEM, 191), component=1))  # another one, while the first speaks
    assert seen.manager == (MANAGER, "serial:/dev/x:1")
    assert seen.holder(SECOND) is Holder.NOBODY


@pytest.mark.parametrize(
    ("owner", "holder"), [((SYSTEM, 191), Holder.US), ((255, 190), Holder.OTHERS), ((0, 0), Holder.NOBODY)]
)
def test_the_manager_says_who_controls(owner, holder):
    seen = watch()
    seen.receive(told(status(*owner)))
    assert seen.holder(SECOND) is holder
    assert seen.holder(4 * SECOND) is Holder.UNKNOWN


def test_another_vehicle_on_the_same_radio_counts_for_nothing():
    seen = watch()
    for message in (beat(), status(SYSTEM, 191), dialect.MAVLink_extended_sys_state_message(0, 2)):
        seen.receive(told(message, system=8))
    assert (seen.beat, seen.primary, seen.in_air) == (None, None, None)


def channels(*values: int):
    filled = [*values, *[0] * (18 - len(values))]
    return dialect.MAVLink_rc_channels_message(0, len(values), *filled, 200)


def test_sticks_are_measured_from_their_rest():
    seen = watch()
    seen.receive(told(channels(1500, 1510, 1100, 1480)))
    assert seen.sticks_us(throttle_rest_us=1100) == 20
    assert seen.sticks_us(throttle_rest_us=1500) == 400
    seen.receive(told(channels(1700, 1500, 1100, 1500)))
    assert seen.sticks_us(throttle_rest_us=1100) == 200


@pytest.mark.parametrize("values", [(), (0, 0, 0, 0), (65535,) * 4])
def test_a_radio_that_is_off_tells_nothing_of_the_sticks(values):
    seen = watch()
    seen.receive(told(channels(*values)))
    assert seen.sticks_us(1500) is None


def test_a_switch_has_to_be_seen_down_first():
    switch = PilotSwitch(SwitchSettings(channel=7))

    def at(value: int) -> Flip | None:
        return switch.look((1500,) * 6 + (value,))

    assert [at(1900), at(1900), at(1000), at(1690), at(1900), at(1900), at(0), at(1000)] == [
        None, None, Flip.DOWN, None, Flip.UP, None, None, Flip.DOWN,
    ]  # fmt: skip


def test_everything_is_recorded_and_little_is_logged(caplog):
    records: list[ControlRecord] = []
    journal = Journal(records.append, dry_run=True)
    with caplog.at_level("INFO"):
        for cycle in range(60):
            journal.note(
                gimbal_rates(SYSTEM, 1, Rates(), True), {"frame_age_ns": cycle}, cycle * SECOND // 20
            )
    assert [record.inputs["frame_age_ns"] for record in records] == list(range(60))
    assert not any(record.sent for record in records)
    assert len(caplog.records) == 3
    assert "dry run: GIMBAL_MANAGER_SET_ATTITUDE" in caplog.text
