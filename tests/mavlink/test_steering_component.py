"""Steering against the simulated autopilots: what is said to whom and when (sections 9.1 to 9.5).

Time synchronisation, telemetry, geolocation and steering are the real ones, and so are the bytes between.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from benchmarks.closed_loop_world import (
    GROUND,
    SYSTEM,
    Flight,
    TrackerManners,
    Walker,
    guided_control,
    spoiled,
)
from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, FlightMode
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.steering.orders import ACCEPTED, DENIED, ENGAGE, REJECTED, UNSUPPORTED
from edge_rgbt.steering.settings import ControlSettings, SwitchSettings
from edge_rgbt.steering.situation import Level, State
from edge_rgbt.types import TrackStatus, Usable


def level_of(control: ControlSettings) -> str:
    return control.level


pytestmark = pytest.mark.slow  # half a second to three each
STACKS = pytest.mark.parametrize("stack", [ARDUCOPTER, PX4], ids=lambda stack: stack.name)
GIMBAL = ControlSettings(level="gimbal")
BEACON = ControlSettings(level="beacon")
RATES, CONFIGURE = "GIMBAL_MANAGER_SET_ATTITUDE", 1001


def flight(control=GIMBAL, stack=ARDUCOPTER, **others) -> Flight:
    others = {"walker": Walker(3, (20.0, 0.0), 1.0)} | others
    return Flight(control, stack, **others)


def rates(flown: Flight, since_s: float = 0.0):
    return [s for s in flown.steered(since_s) if s.kind == RATES]


def commands(flown: Flight, number: int, since_s: float = 0.0):
    return [s.message for s in flown.steered(since_s) if getattr(s.message, "command", None) == number]


def is_zero(message) -> bool:
    return message.angular_velocity_y == message.angular_velocity_z == 0.0


def require_burst(flown: Flight, since_s: float, released: bool = True) -> None:
    """R-GM-3: zero rates at least three times over 300 ms, then the release."""
    found = rates(flown, since_s)
    zeros = [s for s in found if is_zero(s.message)]
    assert len(zeros) >= 3
    assert zeros[-1].t_ns - zeros[0].t_ns >= 280_000_000
    assert is_zero(found[-1].message)
    if released:
        releases = [s for s in flown.steered(since_s) if getattr(s.message, "command", None) == CONFIGURE]
        assert releases
        last = releases[0].message
        assert (last.param1, last.param2, last.param3, last.param4) == (-3, -3, -1, -1)
        assert releases[0].t_ns > zeros[2].t_ns


# Nothing before, nothing after.


@STACKS
@pytest.mark.parametrize("control", [ControlSettings(), GIMBAL, BEACON, guided_control()], ids=level_of)
def test_nothing_is_steered_before_an_operator_engages(control, stack):
    flown = flight(control, stack).fly(3)
    flown.select(1)
    flown.fly(2)
    assert flown.steering.machine.engagement is None
    assert not flown.steered()


def test_nothing_but_an_answer_is_said_while_steering_is_off():
    flown = flight(ControlSettings()).fly(2)
    flown.select(1)
    flown.fly(1)
    said = {s.kind for s in flown.steps.said if s.component == 191}
    assert said == set()


# The gimbal.


@STACKS
def test_the_gimbal_is_taken_before_it_is_turned(stack):
    """R-GM-2."""
    flown = flight(GIMBAL, stack).start().fly(1.0)
    (take, *_) = commands(flown, CONFIGURE)
    assert (take.param1, take.param2, take.param3, take.param4) == (SYSTEM, 191, -1, -1)
    first = rates(flown)[0]
    assert flown.autopilot.gimbal.control == (SYSTEM, 191)
    statuses = [s for s in flown.steps.heard if s.kind == "GIMBAL_MANAGER_STATUS"]
    shown = next(s for s in statuses if s.message.primary_control_compid == 191)
    assert shown.t_ns <= first.t_ns


@STACKS
def test_rates_are_message_282_without_angles(stack):
    """R-GM-1: q NaN, x exactly 0.0, roll and pitch locked, the primary gimbal; R-GM-3: 10 to 20 Hz."""
    flown = flight(GIMBAL, stack).start().fly(3.0)
    found = rates(flown)
    for spoken in found:
        m = spoken.message
        assert all(math.isnan(part) for part in m.q)
        assert m.angular_velocity_x == 0.0
        assert math.isfinite(m.angular_velocity_y)
        assert math.isfinite(m.angular_velocity_z)
        assert (m.flags, m.gimbal_device_id) == (12 + 16, 0)
        assert (m.target_system, m.target_component) == (SYSTEM, 1)
        assert (spoken.system, spoken.component) == (SYSTEM, 191)
    lasted_s = (found[-1].t_ns - found[0].t_ns) * 1e-9
    assert 10 <= (len(found) - 1) / lasted_s <= 20.5
    assert flown.autopilot.gimbal.nan_rates == 0


def test_without_the_lock_yaw_counts_from_the_nose():
    control = replace(GIMBAL, gimbal=replace(GIMBAL.gimbal, yaw_lock=False))
    flown = flight(control).start().fly(6.0)
    assert {s.message.flags for s in rates(flown)} == {12}
    assert flown.off_centre() < 0.1


@STACKS
def test_the_target_comes_to_the_middle_and_stays(stack):
    flown = flight(GIMBAL, stack).start().fly(4.0)
    for _ in range(30):
        assert flown.fly(0.2).off_centre() < 0.15


@STACKS
def test_a_lost_target_stops_the_gimbal_within_200_ms(stack):
    """9.7 row 1. The tracker's own answer is 100 ms late and is not counted."""
    flown = flight(GIMBAL, stack, walker=Walker(3, (20, 0), 4.0)).start().fly(4.0)
    flown.eyes.manners.hold_s = 0.0
    flown.eyes.manners.hidden.append((flown.t_s, flown.t_s + 2))
    while flown.observation.state.status is not TrackStatus.LOST:
        flown.fly(0.01)
    lost_s = flown.t_s
    flown.fly(1.0)
    assert any(is_zero(s.message) for s in rates(flown, lost_s) if s.t_ns <= (lost_s + 0.2) * 1e9)
    assert all(is_zero(s.message) for s in rates(flown, lost_s + 0.2))
    require_burst(flown, lost_s, released=False)
    assert any("target lost" in text for text in flown.texts())


def test_a_gimbal_that_is_held_hears_from_us_twice_a_second():
    """R-GM-3."""
    flown = flight().start().fly(2.0)
    flown.eyes.manners.hidden.append((flown.t_s, flown.t_s + 60))
    flown.fly(4.0)
    assert flown.steering.machine.state is State.HOLDING
    times = [s.t_ns for s in rates(flown, flown.t_s - 2.0)]
    assert max(later - sooner for sooner, later in itertools.pairwise(times)) <= 500_000_000


@STACKS
def test_the_operators_end_stops_and_releases_the_gimbal(stack):
    flown = flight(GIMBAL, stack, walker=Walker(3, (20, 0), 4.0)).start().fly(3.0)
    since_s = flown.t_s
    assert flown.order(0.0) == ACCEPTED
    flown.fly(1.0)
    require_burst(flown, since_s)
    assert flown.autopilot.gimbal.control == (0, 0)
    assert not flown.steered(since_s + 0.8)
    still = flown.vehicle.gimbal.command
    assert (still.pitch_rad_s, still.yaw_rad_s) == (0.0, 0.0)


@STACKS
def test_a_hold_that_runs_out_releases_the_gimbal(stack):
    flown = flight(GIMBAL, stack).start().fly(2.0)
    flown.eyes.manners.hidden.append((flown.t_s, flown.t_s + 60))
    since_s = flown.t_s
    flown.fly(8.0)
    require_burst(flown, since_s)
    assert flown.autopilot.gimbal.control == (0, 0)


@STACKS
def test_whoever_takes_the_gimbal_has_it(stack):
    """R-GM-2: silence within one period of the status, after one last zero; never taken back."""
    flown = flight(GIMBAL, stack, walker=Walker(3, (20, 0), 4.0)).start().fly(3.0)
    flown.pilot.take_gimbal()
    taken = [0]
    while not taken[-1]:
        flown.fly(0.01)
        status = flown.steps.last("GIMBAL_MANAGER_STATUS")
        taken.append(flown.t_s * (status.primary_control_sysid == GROUND))
    flown.fly(0.05)
    assert all(is_zero(s.message) for s in rates(flown, taken[-1] + 0.001))
    assert len(rates(flown, taken[-1] + 0.001)) <= 1
    flown.fly(3.0)
    assert not flown.steered(taken[-1] + 0.05)
    assert flown.autopilot.gimbal.control == (GROUND, 190)
    assert any("gimbal taken by another" in text for text in flown.texts())


def test_an_earlier_life_that_died_in_control_is_cleaned_up():
    """9.7, process exit: zero rates on restart. The manager still says that the gimbal is ours."""
    flown = flight()
    flown.autopilot.gimbal.configure((SYSTEM, 191), SYSTEM, 191)
    flown.fly(3.0)
    require_burst(flown, 0.0)
    assert flown.autopilot.gimbal.control == (0, 0)


def test_the_last_words_are_all_said_at_once():
    """Closing: three zero rates and the release, before the endpoints close."""
    flown = flight(walker=Walker(3, (20, 0), 4.0)).start().fly(2.0)
    said = [outgoing.message for outgoing in flown.steering.closing()]
    assert [m.get_type() for m in said] == [RATES] * 3 + ["COMMAND_LONG"]
    assert all(is_zero(m) for m in said[:3])
    assert said[3].param1 == -3
    assert flown.steering.still(0.0)


def test_a_fault_of_our_own_stops_the_gimbal():
    """R-GM-3: an exception is a way out too."""
    flown = flight(walker=Walker(3, (20, 0), 4.0)).start().fly(2.0)
    flown.steering.watch.channels = "nonsense"  # type: ignore[assignment]  # whatever breaks a cycle
    said = [outgoing.message for outgoing in flown.steering.due(flown.steps.now_ns + 20_000_000)]
    assert [m.get_type() for m in said] == [RATES] * 3 + ["COMMAND_LONG"]
    assert flown.steering.machine.engagement is None


# The region of interest (9.3).


ROI = ControlSettings(level="roi", auto_resume=True)


@STACKS
def test_the_region_of_interest_follows_slowly_and_is_taken_back(stack):
    flown = flight(ROI, stack, walker=Walker(3, (25, 0), 3.0)).start().fly(5.0)
    found = [s for s in flown.steered() if getattr(s.message, "command", None) == 195]
    assert len(found) >= 3
    for spoken in found:
        m = spoken.message
        assert (spoken.kind, m.frame, m.target_component, m.param1) == ("COMMAND_INT", 0, 1, 0)
    gaps = [b.t_ns - a.t_ns for a, b in itertools.pairwise(found)]
    assert min(gaps) >= 490_000_000
    north, east = flown.vehicle.home.metres(found[-1].message.x / 1e7, found[-1].message.y / 1e7)
    true = flown.walker.at(found[-1].t_ns)
    assert math.hypot(north - true[0], east - true[1]) < 4.0
    assert not rates(flown)
    flown.order(0.0)
    flown.fly(0.5)
    assert commands(flown, 197)


def test_a_target_that_stands_is_said_once():
    flown = flight(ROI, walker=Walker(3, (25, 0), 0.0), manners=TrackerManners(noise=0.0)).start().fly(3.0)
    assert len(commands(flown, 195)) == 1


# The beacon (9.4).


def beacons(flown: Flight, since_s: float = 0.0):
    return [s for s in flown.steered(since_s) if s.kind == "FOLLOW_TARGET"]


@STACKS
def test_the_beacon_speaks_with_a_number_of_its_own(stack):
    flown = flight(BEACON, stack).start(FlightMode.FOLLOW).fly(3.0)
    found = beacons(flown)
    assert {(s.system, s.component) for s in found} == {(200, 191)}
    lasted_s = (found[-1].t_ns - found[0].t_ns) * 1e-9
    assert (len(found) - 1) / lasted_s == pytest.approx(4, rel=0.15)


@STACKS
def test_the_beacon_says_what_each_stack_understands(stack):
    flown = flight(BEACON, stack).start(FlightMode.FOLLOW).fly(4.0)
    stamps = []
    for spoken in beacons(flown):
        m = spoken.message
        stamps.append(m.timestamp)
        assert m.est_capabilities & 1
        assert m.lat or m.lon
        if not m.est_capabilities & 2:
            unknown = [math.isnan(v) for v in m.vel] if stack is PX4 else [v == 0 for v in m.vel]
            assert all(unknown)
        assert all(math.isfinite(v) for v in (m.alt, *m.acc, *m.rates, *m.attitude_q))
    assert stamps == sorted(set(stamps))
    assert beacons(flown)[-1].message.est_capabilities & 2
    behind_ms = flown.autopilot.boot_ns // 1_000_000 - stamps[-1]
    assert 60 <= behind_ms <= 700


@STACKS
def test_the_beacon_falls_silent_within_200_ms_of_a_loss(stack):
    """Acceptance item 13."""
    flown = flight(BEACON, stack).start(FlightMode.FOLLOW).fly(2.0)
    flown.eyes.manners.hold_s = 0.0
    hidden_s = flown.t_s
    flown.eyes.manners.hidden.append((hidden_s, hidden_s + 60))
    flown.fly(3.0)
    assert not beacons(flown, hidden_s + 0.1 + 0.2)  # 100 ms: the tracker's own latency


@STACKS
def test_the_beacon_never_feeds_a_guess(stack):
    flown = flight(BEACON, stack).start(FlightMode.FOLLOW).fly(2.0)
    hidden_s = flown.t_s
    flown.eyes.manners.hidden.append((hidden_s, hidden_s + 60))
    flown.fly(0.7)
    assert flown.observation.state.status is TrackStatus.UNCERTAIN
    assert not beacons(flown, hidden_s + 0.15)


@STACKS
def test_a_beacon_follows_the_mode_that_the_pilot_chooses(stack):
    """None after a change of mode; and the mode is his to enter after the engagement."""
    flown = flight(BEACON, stack).start().fly(1.0)
    assert beacons(flown)
    flown.pilot.mode(FlightMode.FOLLOW)
    flown.fly(2.5)
    assert beacons(flown, flown.t_s - 0.5)
    flown.pilot.mode(FlightMode.POSITION)
    left_s = flown.t_s
    flown.fly(3.0)
    assert not beacons(flown, left_s + 1.05)  # one heartbeat
    require_burst(flown, left_s)


def test_the_vehicle_is_never_beaconed_with_its_own_number():
    flown = flight(replace(BEACON, beacon_sysid=SYSTEM)).fly(4.0)
    flown.select(1)
    flown.fly(1.0)
    assert flown.order(1.0) == REJECTED
    assert not flown.steered()
    assert "Steering refused: beacon_sysid is the vehicle's own" in flown.texts()


# Guided flight (9.5).


def setpoints(flown: Flight, since_s: float = 0.0):
    return [s for s in flown.steered(since_s) if s.kind.startswith("SET_POSITION_TARGET")]


def test_ardupilot_is_flown_by_velocities():
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(4.0)
    found = setpoints(flown)
    for spoken in found:
        m = spoken.message
        assert spoken.kind == "SET_POSITION_TARGET_GLOBAL_INT"
        assert (m.type_mask, m.coordinate_frame, m.target_component) == (0x0DC7, 6, 1)
        assert math.hypot(m.vx, m.vy) <= 5.0
        assert abs(m.vz) <= 1.5
    assert (len(found) - 1) / ((found[-1].t_ns - found[0].t_ns) * 1e-9) == pytest.approx(10, rel=0.1)


def primed_px4() -> Flight:
    """PX4 enters Offboard only while set-points come, so they begin before it, as zero."""
    flown = flight(guided_control(prime_s=20.0), PX4).start()
    flown.fly(1.0)
    assert all(s.message.vx == s.message.vy == s.message.vz == 0.0 for s in setpoints(flown))
    assert flown.pilot.mode(FlightMode.GUIDED) == ACCEPTED
    return flown


def test_px4_is_flown_in_its_local_frame():
    flown = primed_px4().fly(6.0)
    found = setpoints(flown)
    assert {s.kind for s in found} == {"SET_POSITION_TARGET_LOCAL_NED"}
    assert {(s.message.type_mask, s.message.coordinate_frame) for s in found} == {(0x0DC7, 1)}
    assert flown.autopilot.flight.mode is FlightMode.GUIDED
    assert any(abs(s.message.vx) + abs(s.message.vy) > 0.2 for s in found)


def test_px4_is_not_engaged_outside_offboard_without_priming():
    flown = flight(guided_control(), PX4).fly(4.0)
    flown.select(1)
    flown.fly(1.0)
    assert flown.order(1.0) == REJECTED
    assert not flown.steered()


@pytest.mark.parametrize("leave", ["mode", "landing", "sticks", "failsafe", "fence", "gps"])
def test_guided_flight_ends_when_the_vehicle_says_so(leave):
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(2.0)
    left_s, within_s = flown.t_s, {"sticks": 0.2}.get(leave, 1.05)
    if leave == "mode":
        flown.pilot.mode(FlightMode.POSITION)
    elif leave == "landing":
        flown.pilot.mode(FlightMode.LAND)
    elif leave == "sticks":
        flown.pilot.sticks(roll=0.5)
    elif leave == "failsafe":
        flown.pilot.failsafe()
    elif leave == "fence":
        flown.pilot.fence_breach()
    else:
        flown.pilot.gps(1)
    flown.fly(3.0)
    assert not setpoints(flown, left_s + within_s)
    assert flown.steering.machine.engagement is None
    require_burst(flown, left_s)


def test_a_lost_target_ends_in_one_velocity_of_zero():
    flown = flight(guided_control(), walker=Walker(3, (26, 0), 2.0)).start(FlightMode.GUIDED).fly(2.0)
    flown.eyes.manners.hold_s = 0.0
    hidden_s = flown.t_s
    flown.eyes.manners.hidden.append((hidden_s, hidden_s + 60))
    flown.fly(3.0)
    last = setpoints(flown)[-1]
    assert (last.message.vx, last.message.vy, last.message.vz) == (0.0, 0.0, 0.0)
    assert last.t_ns * 1e-9 < hidden_s + 0.1 + 0.2


# The row of the sensors and of the pictures, with real telemetry.


def test_one_camera_is_enough_for_the_gimbal_and_not_for_the_vehicle():
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(1.0)
    flown.eyes.manners.usable = Usable.TIR
    since_s = flown.t_s
    flown.fly(2.0)
    assert not setpoints(flown, since_s + 0.1 + 0.5)
    assert any(not is_zero(s.message) for s in rates(flown, since_s + 1.0))


def test_pictures_that_stop_stop_the_gimbal_within_350_ms():
    flown = flight(walker=Walker(3, (20, 0), 4.0)).start().fly(3.0)
    flown.eyes.manners.stalled.append((flown.t_s, flown.t_s + 60))
    flown.fly(0.2)
    captured_ns = flown.observation.state.timestamp_ns
    flown.fly(1.0)
    limit_s = (captured_ns - flown.autopilot.began_ns) * 1e-9 + 0.35
    assert all(is_zero(s.message) for s in rates(flown, limit_s))


def test_a_cut_cable_ends_all_control_within_two_seconds():
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(2.0)
    flown.steps.cut_cable()
    cut_s = flown.t_s
    flown.fly(4.0)
    assert not setpoints(flown, cut_s + 0.35)
    assert flown.steering.machine.engagement is None
    flown.steps.cut_cable(False)
    flown.fly(4.0)
    # The cable's return begins nothing (R-EP-8); what the gimbal did not hear in the meantime, it hears now.
    assert not setpoints(flown, cut_s + 4.0)
    assert all(is_zero(s.message) for s in rates(flown, cut_s + 4.0))
    assert flown.autopilot.gimbal.control == (0, 0)


# Orders.


def test_a_dry_run_computes_and_sends_nothing():
    control = replace(guided_control(), dry_run=True)
    flown = flight(control).start(FlightMode.GUIDED).fly(2.0)
    assert not flown.steered()
    kinds = {record.kind for record in flown.records}
    assert {RATES, "SET_POSITION_TARGET_GLOBAL_INT", "COMMAND_LONG"} <= kinds
    assert not any(record.sent for record in flown.records)
    assert "Dry run: nothing is sent" in flown.texts()


def test_every_control_message_is_recorded_with_its_inputs():
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(2.0)
    flown.order(0.0)
    flown.fly(1.0)
    sent = [(s.kind, s.message.to_dict()) for s in flown.steered()]
    assert len(flown.records) == len(sent)
    for record, (kind, fields) in zip(flown.records, sent, strict=True):
        assert record.kind == kind
        assert str(record.message) == str({k: v for k, v in fields.items() if k != "mavpackettype"})
        assert {"status", "confidence", "frame_age_ns", "mode", "holder", "level"} <= set(record.inputs)


def test_the_operator_sees_the_state():
    flown = flight().start().fly(0.3)
    numbers = [s.message for s in flown.steps.ground if s.kind == "NAMED_VALUE_FLOAT"]
    assert [m.value for m in numbers if m.name == "ctl_state"][-1] == 2
    assert [m.value for m in numbers if m.name == "ctl_level"][-1] == Level.GIMBAL


def test_a_lower_level_may_be_engaged():
    flown = flight(guided_control()).start(level=1).fly(1.0)
    assert flown.steering.machine.level is Level.GIMBAL
    assert not setpoints(flown)


@pytest.mark.parametrize(
    ("engage", "level", "result"),
    [(1.0, 4.0, DENIED), (2.0, 0.0, DENIED), (1.0, 9.0, DENIED), (math.nan, 0.0, DENIED), (1.0, 0.5, DENIED)],
)
def test_an_order_that_makes_no_sense_is_denied(engage, level, result):
    flown = flight().fly(4.0)
    flown.select(1)
    flown.fly(1.0)
    assert flown.order(engage, level) == result
    assert flown.steering.machine.engagement is None


def test_an_engagement_without_a_target_is_refused_with_the_reason():
    flown = flight().fly(4.0)
    assert flown.order(1.0) == REJECTED
    flown.fly(1.0)
    assert "Steering refused: no target is tracked" in flown.texts()


def test_who_is_no_ground_station_may_not_engage():
    """R-SEC-5."""
    flown = flight().fly(4.0)
    flown.select(1)
    flown.fly(1.0)
    assert flown.order(1.0, system=99) == DENIED


def test_another_ground_station_may_end_but_not_take_over():
    """R-SEC-5: only the ground station that engaged steers; whoever sees danger may end it."""
    flown = flight().start()
    beat = dialect.MAVLink_heartbeat_message(dialect.MAV_TYPE_GCS, 8, 0, 0, 4, 3)
    flown.steps.say(beat, 252)
    flown.fly(0.2)
    assert flown.order(1.0, system=252) == DENIED
    assert flown.steering.machine.engagement.by == GROUND
    assert flown.order(0.0, system=252) == ACCEPTED
    assert flown.steering.machine.engagement is None


def test_configured_systems_alone_may_engage():
    flown = flight(replace(GIMBAL, engage_systems=(42,))).fly(4.0)
    flown.select(1)
    flown.fly(1.0)
    assert flown.order(1.0) == DENIED
    assert flown.order(1.0, system=42) == ACCEPTED


def test_an_unknown_command_to_the_companion_is_answered():
    """R-CMD-3."""
    flown = flight().fly(3.0)
    flown.steps.say(dialect.MAVLink_command_long_message(SYSTEM, 191, 400, 0, 1, 0, 0, 0, 0, 0, 0))
    flown.fly(0.2)
    acks = [s.message for s in flown.steps.ground if s.kind == "COMMAND_ACK"]
    assert [(ack.command, ack.result) for ack in acks] == [(400, UNSUPPORTED)]


def test_an_engagement_sent_to_everybody_is_nobodys():
    flown = flight().fly(4.0)
    flown.select(1)
    flown.fly(1.0)
    flown.steps.say(dialect.MAVLink_command_long_message(SYSTEM, 0, ENGAGE, 0, 1, 0, 0, 0, 0, 0, 0))
    flown.fly(0.2)
    assert flown.steering.machine.engagement is None


def test_a_retransmitted_order_engages_once():
    flown = flight().start()
    since_ns = flown.steering.machine.engagement.since_ns
    assert flown.order(1.0) == ACCEPTED
    assert flown.steering.machine.engagement.since_ns == since_ns


def test_a_retransmitted_order_does_not_engage_what_has_ended_since():
    flown = flight(guided_control()).start(FlightMode.GUIDED)
    flown.pilot.sticks(roll=0.6)
    flown.fly(0.4)
    flown.pilot.sticks()
    flown.fly(0.4)
    assert flown.order(1.0) == REJECTED
    assert flown.steering.machine.engagement is None
    flown.fly(2.0)
    assert flown.order(1.0) == ACCEPTED  # by now it is another wish


def test_the_pilots_switch_engages_and_ends():
    control = replace(GIMBAL, switch=SwitchSettings(channel=7))
    flown = flight(control)
    flown.pilot.switch(7, 1.0)  # left up at the start: no engagement
    flown.fly(4.0)
    flown.select(1)
    flown.fly(2.0)
    assert flown.steering.machine.engagement is None
    flown.pilot.switch(7, -1.0)
    flown.fly(0.5)
    flown.pilot.switch(7, 1.0)
    flown.fly(0.5)
    assert flown.steering.machine.engagement is not None
    flown.pilot.switch(7, -1.0)
    flown.fly(0.5)
    assert flown.steering.machine.engagement is None


def test_a_new_target_leaves_a_vehicle_level_with_the_gimbal():
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(2.0)
    flown.select(2)
    since_s = flown.t_s
    flown.fly(3.0)
    assert flown.steering.machine.level is Level.GIMBAL
    assert not setpoints(flown, since_s + 0.1 + 0.2)
    assert any(not is_zero(s.message) for s in rates(flown, since_s + 1.0))


def test_stopping_the_track_holds_and_then_ends():
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(2.0)
    flown.stop_track()
    since_s = flown.t_s
    flown.fly(7.0)
    assert not setpoints(flown, since_s + 0.2)
    assert flown.steering.machine.engagement is None
    require_burst(flown, since_s)


def test_a_rebooted_autopilot_ends_steering_for_good():
    flown = flight(guided_control()).start(FlightMode.GUIDED).fly(2.0)
    flown.pilot.reboot()
    since_s = flown.t_s
    flown.fly(6.0)
    assert not setpoints(flown, since_s + 0.4)
    assert flown.steering.machine.engagement is None


def test_a_doubtful_confidence_stops_at_once():
    flown = flight().start().fly(1.0)
    flown.steps.ticks.append(lambda now_ns: flown.steering.seen(spoiled(flown.observation, confidence=0.05)))
    flown.fly(0.05)
    assert flown.steering.machine.state is State.HOLDING
