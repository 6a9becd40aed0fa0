"""What is asked of the autopilot, and which messages count (section 8.2, R-EP-8, R-EP-9)."""

import math
import random

import pytest
from flying import (
    GIMBAL,
    MS,
    SECOND,
    SERIAL,
    VEHICLE,
    Vehicle,
    euler,
    fix,
    gimbal,
    heartbeat,
    position,
)

from edge_rgbt.geolocation import AutopilotClock, GeolocationSettings, MountSettings, Telemetry
from edge_rgbt.geolocation.rotations import from_degrees, heading_of
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Received
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.telemetry import TelemetryReader, yaw_from_north

NOW = 50 * SECOND
RADIO = "udpin:127.0.0.1:14540"


def asked(vehicle: Vehicle, t_ns: int) -> dict[int, float]:
    """Message id -> interval in microseconds of what is asked for at a time."""
    found = {}
    for outgoing in vehicle.reader.due(t_ns):
        command = outgoing.message
        assert command.command == dialect.MAV_CMD_SET_MESSAGE_INTERVAL
        assert (command.target_system, command.target_component) == (VEHICLE.system, 1)
        assert outgoing.endpoint == vehicle.endpoint
        found[command.param1] = command.param2
    return found


def polled(vehicle: Vehicle, start_ns: int, end_ns: int, seen=lambda t: None) -> dict[int, dict[int, float]]:
    """Time -> what is asked for then, with an autopilot whose heartbeat comes."""
    found = {}
    for t in range(start_ns, end_ns, 50 * MS):
        if (t - start_ns) % SECOND == 0:
            vehicle.say(heartbeat(), t)
        seen(t)
        asks = asked(vehicle, t)
        if asks:
            found[t] = asks
    return found


def test_everything_that_is_needed_is_asked_for_a_second_after_the_connection():
    (at, asks), *_ = polled(Vehicle(), NOW, NOW + 2 * SECOND).items()
    assert at == NOW + SECOND
    assert asks == {
        31: 50_000, 33: 100_000, 242: 5_000_000, 24: 1_000_000, 1: 1_000_000, 2: 1_000_000,
        245: 1_000_000, 285: 50_000, 281: 500_000, 132: 200_000, 136: 1_000_000,
    }  # fmt: skip


def test_what_a_vehicle_does_not_use_is_not_asked_for():
    settings = GeolocationSettings(hfov_deg=60, heights=("home",))
    vehicle = Vehicle(settings, MountSettings(kind="fixed"))
    ((_, asks),) = polled(vehicle, NOW, NOW + 2 * SECOND).items()
    assert not {285, 265, 281, 132, 136} & set(asks)


def test_missing_messages_are_asked_for_every_10_s_in_their_other_form_too():
    rounds = polled(Vehicle(), NOW, NOW + 32 * SECOND)
    assert [t - NOW for t in rounds] == [s * SECOND for s in (1, 11, 21, 31)]
    assert [{30, 31} & set(asks) for asks in rounds.values()] == [{31}, {30}, {31}, {30}]
    assert [{265, 285} & set(asks) for asks in rounds.values()] == [{285}, {265}, {285}, {265}]


def test_what_arrives_anyway_is_not_asked_for_and_stops_the_asking():
    vehicle = Vehicle()

    def telling(t):
        vehicle.say(euler(vehicle.boot_ms(t), 0, 0, 0), t)
        if t % (100 * MS) == 0 and t > NOW + 5 * SECOND:
            vehicle.say(position(vehicle.boot_ms(t), 50), t)

    first, second, *_ = polled(vehicle, NOW, NOW + 12 * SECOND, telling).values()
    assert not {30, 31} & set(first)
    assert 33 in first
    assert 33 not in second
    assert 24 in second
    assert "GLOBAL_POSITION_INT" not in vehicle.reader.missing(NOW + 12 * SECOND)
    assert "GPS_RAW_INT" in vehicle.reader.missing(NOW + 12 * SECOND)


def test_a_message_that_comes_too_seldom_is_asked_for():
    vehicle = Vehicle()

    def telling(t):
        if t % (250 * MS) == 0:  # ArduPilot's usual 4 Hz
            vehicle.say(euler(vehicle.boot_ms(t), 0, 0, 0), t)

    (asks,) = polled(vehicle, NOW, NOW + 2 * SECOND, telling).values()
    assert 31 in asks


def test_after_a_lost_link_everything_is_asked_for_anew_and_forgotten_r_ep_8():
    vehicle = Vehicle()
    polled(vehicle, NOW, NOW + 2 * SECOND)
    vehicle.fly(NOW + 2 * SECOND, 50)
    vehicle.reader.link_changed(SERIAL, up=False)
    assert vehicle.telemetry.at(NOW + 2 * SECOND).position is None
    assert not polled(vehicle, NOW + 3 * SECOND, NOW + 4 * SECOND)
    assert 33 in polled(vehicle, NOW + 4 * SECOND, NOW + 5 * SECOND)[NOW + 4 * SECOND]


def test_after_a_restart_of_the_autopilot_everything_is_asked_for_anew_r_ep_9():
    vehicle = Vehicle()
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, 50)
    polled(vehicle, NOW, NOW + 2 * SECOND)
    vehicle.boot_ns = 3 * SECOND - NOW
    vehicle.say(euler(vehicle.boot_ms(NOW + 2 * SECOND), 0, 0, 0), NOW + 2 * SECOND)
    assert vehicle.telemetry.at(NOW).position is None
    assert not vehicle.clock.valid(NOW + 2 * SECOND)
    assert 33 in polled(vehicle, NOW + 2 * SECOND, NOW + 4 * SECOND)[NOW + 3 * SECOND]


def test_the_same_autopilot_over_two_links_is_heard_once():
    vehicle = Vehicle()
    for k in range(10):
        t = NOW + k * 50 * MS
        vehicle.say(euler(vehicle.boot_ms(t), 0, 0, k), t)
        vehicle.say(euler(vehicle.boot_ms(t), 0, 0, k), t + 30 * MS, endpoint=RADIO)
    assert len(vehicle.telemetry._attitude) == 10


def test_the_other_link_takes_over_after_3_s_of_silence():
    vehicle = Vehicle()
    vehicle.say(heartbeat(), NOW)
    vehicle.say(euler(0, 0, 0, 0), NOW + 2 * SECOND, endpoint=RADIO)
    assert len(vehicle.telemetry._attitude) == 0
    vehicle.say(euler(0, 0, 0, 0), NOW + 3 * SECOND + MS, endpoint=RADIO)
    assert len(vehicle.telemetry._attitude) == 1


def heading(vehicle: Vehicle, t_ns: int) -> float:
    return math.degrees(heading_of(vehicle.telemetry.at(t_ns).attitude.value))


def test_attitude_angles_do_not_mix_with_quaternions():
    vehicle = Vehicle()
    for k in range(10):
        t = NOW + k * 50 * MS
        q = from_degrees(0, 0, 10)
        vehicle.say(dialect.MAVLink_attitude_quaternion_message(vehicle.boot_ms(t), *q, 0, 0, 0), t + MS)
        vehicle.say(euler(vehicle.boot_ms(t), 0, 0, 40), t + 2 * MS)
    assert heading(vehicle, NOW + 520 * MS) == pytest.approx(10, abs=0.01)


def test_mount_orientation_with_an_absolute_yaw_counts_from_north():
    vehicle = Vehicle()
    vehicle.say(heartbeat(), NOW)
    vehicle.say(dialect.MAVLink_mount_orientation_message(0, 0, -30, 20, 200), NOW)
    told = vehicle.telemetry.at(NOW).orientation.value
    assert told.from_north
    assert math.degrees(heading_of(told.rotation)) % 360 == pytest.approx(200)


def test_mount_orientation_without_one_counts_from_the_vehicles_heading():
    vehicle = Vehicle()
    vehicle.say(heartbeat(), NOW)
    vehicle.say(dialect.MAVLink_mount_orientation_message(0, 0, -30, 20, math.nan), NOW)
    told = vehicle.telemetry.at(NOW).orientation.value
    assert not told.from_north
    assert math.degrees(heading_of(told.rotation)) == pytest.approx(20)


@pytest.mark.parametrize("wanted", [None, 154])
def test_one_gimbal_counts_where_two_devices_speak(wanted):
    vehicle = Vehicle(mount=MountSettings(gimbal_component=wanted))
    vehicle.say(heartbeat(), NOW)
    vehicle.say(gimbal(0, from_degrees(0, -10, 0), 32), NOW, Identity(7, 155))
    vehicle.say(gimbal(0, from_degrees(0, -20, 0), 32), NOW + 10 * MS, GIMBAL)
    assert len(vehicle.telemetry._gimbal) == 1
    rotation = vehicle.telemetry.at(NOW + 10 * MS).gimbal.value.rotation
    assert rotation == pytest.approx(from_degrees(0, -10 if wanted is None else -20, 0), abs=1e-6)


@pytest.mark.parametrize(
    ("flags", "north"),
    [(0, False), (16, True), (32, False), (48, False), (64, True), (80, True), (44, False), (60, False)],
)
def test_flags_32_and_64_are_tested_before_16(flags, north):
    assert yaw_from_north(flags) is north


@pytest.mark.parametrize(
    ("told_mm", "sigma_m"), [(700, 0.7), (0, 1.5), (2**32 - 1, 1.5)], ids=["told", "absent", "unknown"]
)
def test_a_receiver_that_does_not_tell_its_accuracy_is_taken_for_a_usual_one(told_mm, sigma_m):
    vehicle = Vehicle()
    vehicle.say(heartbeat(), NOW)
    vehicle.say(fix(horizontal_m=told_mm / 1000), NOW)
    assert vehicle.telemetry.at(NOW).fix.horizontal_m == sigma_m


def test_a_gimbal_that_changes_its_frame_between_two_samples_is_not_mixed():
    vehicle = Vehicle()
    vehicle.say(heartbeat(), NOW)
    vehicle.say(gimbal(0, from_degrees(0, -30, 10), 32), NOW + 20 * MS)
    vehicle.say(gimbal(100, from_degrees(0, -30, 100), 64), NOW + 120 * MS)
    told = [vehicle.telemetry.at(NOW + ms * MS).gimbal.value for ms in (40, 60)]
    assert [one.from_north for one in told] == [False, True]
    assert [math.degrees(heading_of(one.rotation)) for one in told] == pytest.approx([10, 100], abs=1e-4)


@pytest.mark.parametrize("q", [(0, 0, 0, 0), (math.nan, 0, 0, 0), (9, 9, 9, 9)])
def test_a_gimbal_that_tells_no_attitude_is_passed_over(q):
    vehicle = Vehicle()
    vehicle.say(heartbeat(), NOW)
    vehicle.say(gimbal(0, q, 32), NOW)
    assert vehicle.telemetry.at(NOW).gimbal is None


def random_message(name: str, rng: random.Random):
    """A message of this kind with any bytes in it, over the wire; some numbers become NaN or infinity."""
    cls = getattr(dialect, f"MAVLink_{name.lower()}_message")
    payload = bytearray(rng.randbytes(cls.unpacker.size))
    if rng.random() < 0.5:
        payload[rng.randrange(len(payload)) :] = b""  # what is zero at the end is cut off (R-V2-3)
    speaker = dialect.MAVLink(None, srcSystem=VEHICLE.system, srcComponent=1)
    frame = dialect.MAVLink_message(cls.id, name)._pack(speaker, cls.crc_extra, bytes(payload) or b"\0")
    (message,) = dialect.MAVLink(None).parse_buffer(frame)
    return message


def test_any_numbers_in_any_message_leave_the_components_working_r_ep_10():
    rng, vehicle = random.Random(5), Vehicle()
    names = [*vehicle.reader._readers, *vehicle.reader._gimbal_readers, "TIMESYNC", "HEARTBEAT"]
    vehicle.synchronise(NOW - SECOND)
    for k in range(3000):
        t = NOW + k * 10 * MS
        received = Received(random_message(rng.choice(names), rng), VEHICLE.system, 1, SERIAL, t)
        for component in (vehicle.time, vehicle.reader):
            component.receive(received)
            component.due(t)
        vehicle.locator.view(t, 640, 512)
    for component in (vehicle.time, vehicle.reader):
        component.link_changed(SERIAL, up=False)
    later = t + 2 * SECOND
    vehicle.synchronise(later)
    vehicle.fly(later, 50)
    vehicle.point(later, (1.0, 0, 0, 0), 32)
    assert vehicle.telemetry.at(later).position.value.relative_m == 50


def test_before_a_vehicle_is_known_nothing_is_read_or_asked():
    reader = TelemetryReader(Telemetry(), AutopilotClock())
    assert not reader.due(NOW)
    received = Received(euler(0, 0, 0, 0), 7, 1, SERIAL, NOW)
    assert not reader.receive(received)
    assert not reader.due(NOW + 20 * SECOND)
