"""TIMESYNC, SYSTEM_TIME and what becomes of telemetry's times (R-TM-1 to R-TM-5, R-EP-9)."""

import random

import pytest
from flying import (
    GIMBAL,
    MS,
    PICTURE,
    SECOND,
    VEHICLE,
    Vehicle,
    euler,
    gimbal,
    heartbeat,
    on_the_wire,
    position,
    seen_at,
)

from edge_rgbt.geolocation import AutopilotClock
from edge_rgbt.geolocation.rotations import from_degrees
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Priority
from edge_rgbt.mavlink.identity import Identity

UDP = "udpin:127.0.0.1:14540"
AHEAD = 100 * SECOND


def questions(vehicle: Vehicle, start_ns: int, end_ns: int) -> list[int]:
    """When we ask, polled every 20 ms."""
    vehicle.say(heartbeat(), start_ns)
    times = []
    for t in range(start_ns, end_ns, 20 * MS):
        if t % SECOND == 0:
            vehicle.say(heartbeat(), t)
        times += [t for o in vehicle.time.due(t) if o.message.get_type() == "TIMESYNC"]
    return times


@pytest.mark.parametrize("ts1", [1, 2**53 + 1, 2**62 + 7, 1_234_567_890_123_456_789])
def test_a_question_is_answered_with_its_own_stamp_bit_for_bit_r_tm_1(ts1):
    vehicle = Vehicle()
    (reply,) = vehicle.say(dialect.MAVLink_timesync_message(0, ts1), 5_000_000_123, Identity(7, 1))
    assert reply.priority is Priority.ACK
    assert reply.endpoint == vehicle.endpoint
    read = on_the_wire(reply.message)
    assert (read.tc1, read.ts1) == (5_000_000_123, ts1)


def test_anybodys_question_is_answered_r_tm_1():
    vehicle = Vehicle()
    assert vehicle.say(dialect.MAVLink_timesync_message(0, 77), SECOND, Identity(8, 191), UDP)


def test_we_ask_at_10_hz_for_3_s_and_then_at_1_hz_r_tm_2():
    times = questions(Vehicle(), 0, 10 * SECOND)
    assert sum(t < 3 * SECOND for t in times) == 30
    assert sum(t >= 3 * SECOND for t in times) == 7


def test_nobody_is_asked_before_the_autopilot_was_heard():
    vehicle = Vehicle()
    assert not vehicle.time.due(SECOND)
    vehicle.say(heartbeat(), 2 * SECOND)
    (question,) = vehicle.time.due(2 * SECOND)
    assert question.endpoint == vehicle.endpoint


def answered(vehicle: Vehicle, t_ns: int, rtt_ns: int, endpoint: str = "", late_ns: int = 0) -> None:
    """One question and its answer; late_ns of the way back more than of the way there."""
    vehicle.say(heartbeat(), t_ns, endpoint=endpoint)
    (question,) = vehicle.time.due(t_ns)
    theirs = t_ns + (rtt_ns - late_ns) // 2 + vehicle.boot_ns
    vehicle.say(
        dialect.MAVLink_timesync_message(theirs, question.message.ts1), t_ns + rtt_ns, endpoint=endpoint
    )


def test_the_offset_is_valid_from_the_fifth_answer_on_r_tm_2():
    vehicle = Vehicle()
    for k in range(5):
        assert not vehicle.clock.valid(k * SECOND)
        answered(vehicle, k * SECOND, 10 * MS)
    assert vehicle.clock.valid(5 * SECOND)
    assert vehicle.clock.offset_ns(5 * SECOND) == pytest.approx(AHEAD, abs=1000)
    assert vehicle.clock.sigma_ns() == 5 * MS
    assert vehicle.clock.boot_ms(5 * SECOND) == 105_000


@pytest.mark.parametrize(
    ("endpoint", "rtt_ms", "counts"),
    [("serial:/dev/ttyTHS1:57600", 49, True), ("serial:/dev/ttyTHS1:57600", 50, False),
     (UDP, 19, True), (UDP, 20, False)],
)  # fmt: skip
def test_slow_answers_do_not_count_r_tm_2(endpoint, rtt_ms, counts):
    vehicle = Vehicle(endpoint=endpoint)
    for k in range(6):
        answered(vehicle, k * SECOND, rtt_ms * MS)
    assert vehicle.clock.valid(6 * SECOND) is counts


def test_the_fastest_answer_of_20_s_counts_r_tm_2():
    vehicle = Vehicle()
    answered(vehicle, 0, 2 * MS)
    for k in range(1, 6):  # slow, and all of the delay on the way back
        answered(vehicle, k * SECOND, 40 * MS, late_ns=38 * MS)
    assert vehicle.clock.offset_ns(6 * SECOND) == pytest.approx(AHEAD, abs=1000)
    for k in range(6, 23):
        answered(vehicle, k * SECOND, 40 * MS, late_ns=38 * MS)
    assert vehicle.clock.offset_ns(23 * SECOND) == pytest.approx(AHEAD - 19 * MS, abs=1000)
    assert vehicle.clock.sigma_ns() == 20 * MS


def test_without_answers_for_20_s_the_offset_is_no_longer_valid():
    vehicle = Vehicle()
    for k in range(6):
        answered(vehicle, k * SECOND, 4 * MS)
    assert vehicle.clock.valid(25 * SECOND)
    assert not vehicle.clock.valid(26 * SECOND)
    assert vehicle.clock.boot_ms(26 * SECOND) is None


def test_a_slow_drift_is_followed_r_tm_2():
    """80 parts per million over five minutes on a link that jitters by 10 ms."""
    clock, jitter = AutopilotClock(), random.Random(3)
    drift = 80e-6
    for second in range(300):
        t, there = second * SECOND, jitter.randrange(MS, 10 * MS)
        rtt = there + jitter.randrange(MS, 10 * MS)
        clock.add(t, t + rtt, round((t + there) * (1 + drift)) + AHEAD, 50 * MS)
    now = 300 * SECOND
    wrong = abs(clock.offset_ns(now) - (AHEAD + now * drift))
    assert wrong < clock.sigma_ns() + MS
    ahead = 15 * SECOND  # while nothing comes, the clock goes on at the fitted rate
    assert clock.offset_ns(now + ahead) - clock.offset_ns(now) == pytest.approx(ahead * drift, abs=0.5 * MS)


@pytest.mark.parametrize("forged", ["unknown", "changed", "twice", "late", "another vehicle"])
def test_answers_that_are_not_to_our_question_are_ignored_r_tm_2(forged):
    vehicle = Vehicle()
    for k in range(4):
        answered(vehicle, k * SECOND, 4 * MS)
    t = 4 * SECOND
    vehicle.say(heartbeat(), t)
    (question,) = vehicle.time.due(t)
    ts1, arrival, who = question.message.ts1, t + 4 * MS, VEHICLE
    theirs = t + vehicle.boot_ns + 2 * MS
    if forged == "twice":
        ts1 = 3 * SECOND
    elif forged in ("unknown", "changed"):
        ts1 = ts1 + 1 if forged == "changed" else 42
    elif forged == "late":
        arrival = t + 3 * SECOND
    else:
        who = Identity(8, 1)
    vehicle.say(dialect.MAVLink_timesync_message(theirs, ts1), arrival, who)
    assert not vehicle.clock.valid(arrival)


def test_an_autopilot_that_restarts_takes_its_offset_with_it_r_ep_9():
    vehicle = Vehicle()
    vehicle.synchronise(20 * SECOND)
    assert vehicle.clock.valid(20 * SECOND)
    vehicle.say(dialect.MAVLink_system_time_message(0, vehicle.boot_ms(20 * SECOND)), 20 * SECOND)
    vehicle.say(dialect.MAVLink_system_time_message(0, 3_000), 21 * SECOND)
    assert not vehicle.clock.valid(21 * SECOND)
    vehicle.boot_ns = -18 * SECOND
    assert len(questions(vehicle, 21 * SECOND, 22 * SECOND)) == 10  # fast again
    vehicle.synchronise(23 * SECOND)
    assert vehicle.clock.boot_ms(23 * SECOND) == pytest.approx(5_000, abs=1)


@pytest.mark.parametrize("jump_s", [-60, -2, 2])
def test_a_timesync_answer_whose_time_jumps_resets_the_offset_r_ep_9(jump_s):
    vehicle = Vehicle()
    vehicle.synchronise(20 * SECOND)
    vehicle.boot_ns += jump_s * SECOND
    answered(vehicle, 21 * SECOND, 4 * MS)
    assert not vehicle.clock.valid(21 * SECOND)


def test_a_lost_link_resets_the_offset_another_ones_does_not_r_ep_8():
    vehicle = Vehicle()
    vehicle.synchronise(20 * SECOND)
    vehicle.time.link_changed(UDP, up=False)
    assert vehicle.clock.valid(20 * SECOND)
    vehicle.time.link_changed(vehicle.endpoint, up=False)
    assert not vehicle.clock.valid(20 * SECOND)


@pytest.mark.parametrize("unix_us", [0, 999_999_999_999_999])
def test_system_time_without_satellites_is_no_time_of_day_r_tm_3(unix_us):
    vehicle = Vehicle()
    vehicle.say(dialect.MAVLink_system_time_message(unix_us, 1000), SECOND)
    assert vehicle.clock.unix_ns(SECOND) is None


def test_system_time_tells_the_time_of_day_r_tm_3():
    vehicle = Vehicle()
    vehicle.synchronise(20 * SECOND)
    unix_us = 1_790_000_000_000_000
    sent, arrival = 21 * SECOND, 21 * SECOND + 30 * MS  # the offset takes the way out
    vehicle.say(dialect.MAVLink_system_time_message(unix_us, vehicle.boot_ms(sent)), arrival)
    assert vehicle.clock.unix_ns(22 * SECOND) == pytest.approx(unix_us * 1000 + SECOND, abs=2 * MS)


def test_with_a_valid_offset_samples_lie_where_they_were_measured_r_tm_4():
    vehicle = Vehicle()
    vehicle.synchronise(20 * SECOND)
    measured = 21 * SECOND
    for k in range(2):
        t = measured + k * 100 * MS
        vehicle.say(euler(vehicle.boot_ms(t), 0, 0, 10 * k), t + 35 * MS)
    half_way = vehicle.telemetry.at(measured + 50 * MS).attitude
    assert half_way.value[3] == pytest.approx(0.0436, abs=1e-3)  # sin of 5/2 degrees
    assert half_way.time_sigma_ns == 2 * MS


def test_without_an_offset_samples_are_as_old_as_the_configured_latency_r_tm_5():
    vehicle = Vehicle()
    vehicle.say(position(5, 50), 21 * SECOND)
    newest = vehicle.telemetry.at(21 * SECOND).position
    assert newest.time_sigma_ns == 40 * MS
    assert vehicle.telemetry._position.newest_ns == 21 * SECOND - 20 * MS


def test_a_gimbal_with_a_clock_of_its_own_is_not_put_on_the_autopilots_r_tm_5():
    vehicle = Vehicle()
    vehicle.synchronise(20 * SECOND)
    vehicle.say(gimbal(123, (1, 0, 0, 0), 32), 21 * SECOND, GIMBAL)
    told = vehicle.telemetry.at(21 * SECOND).gimbal
    assert told.time_sigma_ns == 40 * MS
    assert vehicle.clock.valid(21 * SECOND)  # and its small stamp is no restart of the autopilot


def test_time_uncertainty_enters_the_covariance_r_tm_5():
    """A vehicle at 15 m/s whose telemetry may be 40 ms off is 0.6 m off along its way."""

    def northern_variance(synchronised: bool) -> float:
        vehicle, now = Vehicle(), 30 * SECOND
        if synchronised:
            vehicle.synchronise(now - SECOND)
        vehicle.fly(now, 50, without=("GLOBAL_POSITION_INT",))
        vehicle.say(position(vehicle.boot_ms(now), 50, velocity=(15, 0, 0)), now)
        vehicle.point(now, from_degrees(0, -90, 0), 64)
        return vehicle.locator.locate(seen_at(now), 1, *PICTURE).covariance_ne_m2[0]

    assert northern_variance(False) - northern_variance(True) == pytest.approx(0.6**2, rel=0.05)
