"""The table of section 9.7, row by row, in the order in which it stands there, and what the states allow."""

from __future__ import annotations

import pytest
from steering_flights import CYCLE, GROUND, MS, SECOND, Operator, control, healthy

from edge_rgbt.steering.machine import Permission, SafetyMachine
from edge_rgbt.steering.rules import RULES
from edge_rgbt.steering.settings import ACKNOWLEDGEMENT, GimbalSettings, GuidedSettings, LimitSettings
from edge_rgbt.steering.situation import Holder, Level, Mode, Stack, State
from edge_rgbt.types import TrackStatus

NOTHING, HOLD, STEER = Permission.NOTHING, Permission.HOLD, Permission.STEER
FLOWN = [Level.BEACON, Level.GUIDED]


# Row 1: track lost, coasting over, or confidence below the floor.


@pytest.mark.parametrize(
    "spoiled",
    [
        {"status": TrackStatus.LOST, "confidence": 0.0},
        {"status": TrackStatus.UNCERTAIN, "unconfirmed_ns": 520 * MS},
        {"confidence": 0.1},
        {"confidence": float("nan")},
    ],
    ids=["lost", "coasting over", "below the floor", "no number"],
)
@pytest.mark.parametrize("level", [Level.GIMBAL, Level.ROI, *FLOWN])
def test_a_lost_target_holds_gimbal_and_vehicle_in_the_same_cycle(level, spoiled):
    flight = Operator(level).engaged()
    permit = flight.at(**spoiled)
    assert STEER not in (permit.gimbal, permit.vehicle)
    assert flight.machine.state is State.HOLDING
    assert flight.texts[-1] == "Steering holds: target lost"
    assert permit.texts[-1].urgent


def test_a_target_that_coasts_for_a_moment_is_steered_by():
    permit = Operator(Level.GIMBAL).engaged().at(status=TrackStatus.UNCERTAIN, unconfirmed_ns=400 * MS)
    assert permit.gimbal is STEER


# Row 2: re-found within 5 s, same track id, high confidence.


def test_the_gimbal_goes_on_when_the_target_is_found_again():
    flight = Operator(Level.GIMBAL).engaged()
    flight.for_(3 * SECOND, status=TrackStatus.LOST)
    assert flight.at().gimbal is STEER
    assert flight.machine.state is State.ENGAGED


def test_a_doubtful_target_does_not_end_a_hold():
    flight = Operator(Level.GIMBAL).engaged()
    flight.at(status=TrackStatus.LOST)
    assert flight.at(confidence=0.5).gimbal is HOLD
    assert flight.at(status=TrackStatus.UNCERTAIN).gimbal is HOLD


@pytest.mark.parametrize("level", FLOWN)
def test_a_vehicle_level_does_not_resume_by_itself(level):
    flight = Operator(level).engaged()
    flight.at(status=TrackStatus.LOST)
    permit = flight.at()
    assert (permit.gimbal, permit.vehicle) == (STEER, HOLD)


@pytest.mark.parametrize("level", FLOWN)
def test_a_vehicle_level_resumes_if_it_is_configured(level):
    flight = Operator(level, control(level, auto_resume=True)).engaged()
    flight.at(status=TrackStatus.LOST)
    assert flight.at().vehicle is STEER


def test_a_new_engagement_ends_a_hold():
    flight = Operator(Level.GUIDED).engaged()
    flight.at(status=TrackStatus.LOST)
    assert flight.engage() is None
    assert flight.at().vehicle is STEER


# Row 3: not re-found in 5 s.


@pytest.mark.parametrize("level", [Level.GIMBAL, Level.ROI, *FLOWN])
def test_a_target_that_stays_lost_ends_steering_after_five_seconds(level):
    flight = Operator(level).engaged()
    flight.for_(5 * SECOND, status=TrackStatus.LOST)
    assert flight.machine.state is State.HOLDING
    permit = flight.for_(1 * SECOND, status=TrackStatus.LOST)
    assert (permit.gimbal, permit.vehicle) == (NOTHING, NOTHING)
    assert flight.machine.engagement is None
    assert "Steering off: held too long" in flight.texts


def test_the_region_of_interest_is_taken_back_when_a_hold_runs_out():
    flight = Operator(Level.ROI).engaged()
    flight.for_(5 * SECOND, status=TrackStatus.LOST)
    permits = [flight.at(status=TrackStatus.LOST) for _ in range(3)]
    assert any(permit.farewell and permit.vehicle is NOTHING for permit in permits)


# Row 4: STOP_TRACKING or a new target by the operator.


@pytest.mark.parametrize("level", [Level.GIMBAL, *FLOWN])
def test_stopping_the_track_is_as_losing_it(level):
    flight = Operator(level).engaged()
    permit = flight.at(track_id=None, status=TrackStatus.IDLE, confidence=0.0, frame_age_ns=None)
    assert permit.gimbal is HOLD
    assert permit.vehicle is not STEER


@pytest.mark.parametrize("level", FLOWN)
def test_a_new_target_needs_a_new_engagement_of_a_vehicle_level(level):
    flight = Operator(level, control(level, auto_resume=True)).engaged()
    permit = flight.at(track_id=8)
    assert (permit.gimbal, permit.vehicle) == (HOLD, NOTHING)
    permit = flight.for_(2 * SECOND, track_id=8)
    assert (permit.gimbal, permit.vehicle) == (STEER, NOTHING)
    assert flight.engage(track_id=8) is None
    assert flight.at(track_id=8).vehicle is STEER


# Row 5: flight mode changed away from the expected one.


@pytest.mark.parametrize("level", FLOWN)
def test_a_change_of_mode_ends_everything_without_another_word(level):
    flight = Operator(level).engaged()
    permit = flight.at(mode=Mode.OTHER, mode_number=5)
    assert (permit.gimbal, permit.vehicle, permit.farewell) == (NOTHING, NOTHING, False)
    assert flight.at().vehicle is NOTHING  # back in the mode, it stays off


def test_another_mode_than_at_the_engagement_takes_no_region_of_interest():
    permit = Operator(Level.ROI).engaged().at(mode_number=5)
    assert (permit.vehicle, permit.farewell) == (NOTHING, False)


def test_the_pilot_may_switch_to_follow_after_the_beacon_was_engaged():
    flight = Operator(Level.BEACON)
    assert flight.engage(mode=Mode.OTHER, mode_number=5) is None
    assert flight.at(mode=Mode.OTHER, mode_number=5).vehicle is STEER
    assert flight.at().vehicle is STEER
    assert flight.at(mode=Mode.OTHER, mode_number=5).vehicle is NOTHING


def test_the_mode_does_not_matter_to_the_gimbal_alone():
    assert Operator(Level.GIMBAL).engaged().at(mode=Mode.FOLLOW, mode_number=23).gimbal is STEER


# Row 6: gimbal primary control taken by someone else.


@pytest.mark.parametrize("holder", [Holder.OTHERS, Holder.NOBODY])
@pytest.mark.parametrize("level", [Level.GIMBAL, *FLOWN])
def test_whoever_takes_the_gimbal_ends_steering(level, holder):
    flight = Operator(level).engaged()
    permit = flight.at(holder=holder)
    assert (permit.gimbal, permit.vehicle, permit.yielded) == (NOTHING, NOTHING, True)
    assert flight.at().gimbal is NOTHING  # given back, it is not taken without the operator


def test_the_gimbal_that_was_not_ours_yet_is_not_taken_from_us():
    flight = Operator(Level.GIMBAL)
    assert flight.engage(holder=Holder.OTHERS) is None
    assert flight.for_(2 * SECOND, holder=Holder.OTHERS).gimbal is STEER
    assert flight.for_(2 * SECOND, holder=Holder.OTHERS).gimbal is NOTHING
    assert "gimbal control not granted" in flight.texts[-1]


# Row 7: RC override.


def test_moved_sticks_end_guided_flight_in_the_same_cycle():
    permit = Operator(Level.GUIDED).engaged().at(sticks_us=150)
    assert (permit.gimbal, permit.vehicle, permit.farewell) == (NOTHING, NOTHING, False)


def test_moved_sticks_do_not_matter_to_a_beacon():
    assert Operator(Level.BEACON).engaged().at(sticks_us=400).vehicle is STEER


def test_guided_flight_holds_while_the_pilots_radio_is_not_heard():
    assert Operator(Level.GUIDED).engaged().at(rc_age_ns=300 * MS).vehicle is HOLD
    assert Operator(Level.GUIDED).engaged().at(sticks_us=None).vehicle is HOLD


# Row 8: autopilot failsafe, fence breach, EKF or GPS bad.


@pytest.mark.parametrize(
    "spoiled",
    [
        {"failsafe": True},
        {"fence_breached": True},
        {"position_healthy": False},
        {"position_healthy": None},
    ],
    ids=["system status", "fence", "position bad", "position unknown"],
)
@pytest.mark.parametrize("level", [Level.GIMBAL, Level.ROI, *FLOWN])
def test_a_failsafe_ends_steering(level, spoiled):
    permit = Operator(level).engaged().at(**spoiled)
    assert (permit.gimbal, permit.vehicle, permit.farewell) == (NOTHING, NOTHING, False)


def test_a_gimbal_is_not_engaged_where_the_position_is_bad_unless_that_is_configured():
    assert Operator(Level.GIMBAL).engage(position_healthy=False) == "autopilot failsafe, fence or position"
    bench = control(Level.GIMBAL, gimbal=GimbalSettings(needs_position=False))
    flight = Operator(Level.GIMBAL, bench)
    assert flight.engage(position_healthy=False) is None
    assert flight.at(position_healthy=False).gimbal is STEER


# Row 9: autopilot link lost (no heartbeat 2 s).


@pytest.mark.parametrize("age_ns", [1980 * MS, None])
@pytest.mark.parametrize("level", [Level.GIMBAL, Level.ROI, *FLOWN])
def test_a_silent_autopilot_ends_steering_within_two_seconds(level, age_ns):
    permit = Operator(level).engaged().at(heartbeat_age_ns=age_ns)
    assert (permit.gimbal, permit.vehicle) == (NOTHING, NOTHING)


def test_one_missed_heartbeat_ends_nothing():
    assert Operator(Level.GUIDED).engaged().at(heartbeat_age_ns=1900 * MS).vehicle is STEER


# Row 10: time offset lost, or telemetry older than 0.3 s.


@pytest.mark.parametrize(
    "spoiled",
    [{"clock_valid": False}, {"gimbal_age_ns": 285 * MS}, {"gimbal_age_ns": None}],
    ids=["clock", "gimbal late", "gimbal unknown"],
)
@pytest.mark.parametrize("level", [Level.GIMBAL, *FLOWN])
def test_stale_telemetry_holds(level, spoiled):
    permit = Operator(level).engaged().at(**spoiled)
    assert permit.gimbal is HOLD
    assert permit.vehicle is not STEER


@pytest.mark.parametrize("age_ns", [285 * MS, None])
@pytest.mark.parametrize("level", [Level.ROI, *FLOWN])
def test_a_vehicle_that_says_no_more_where_it_is_holds(level, age_ns):
    assert Operator(level).engaged().at(vehicle_age_ns=age_ns).vehicle is HOLD


def test_a_hold_for_telemetry_ends_with_it():
    flight = Operator(Level.GIMBAL).engaged()
    flight.at(clock_valid=False)
    assert flight.at().gimbal is STEER


def test_a_gimbal_needs_no_clock_that_never_was():
    flight = Operator(Level.GIMBAL)
    assert flight.engage(clock_valid=False) is None
    assert flight.at(clock_valid=False).gimbal is STEER


# Row 11: frame older than 350 ms, inference stalled.


@pytest.mark.parametrize("age_ns", [335 * MS, None])
@pytest.mark.parametrize("level", [Level.GIMBAL, *FLOWN])
def test_an_old_picture_holds_within_350_ms(level, age_ns):
    permit = Operator(level).engaged().at(frame_age_ns=age_ns)
    assert permit.gimbal is HOLD
    assert permit.vehicle is not STEER


# Row 12: one sensor lost.


def test_the_gimbal_goes_on_with_one_camera():
    assert Operator(Level.GIMBAL).engaged().at(one_sensor_ns=3 * SECOND).gimbal is STEER


@pytest.mark.parametrize("level", [Level.ROI, *FLOWN])
def test_a_vehicle_level_holds_with_one_camera_within_500_ms(level):
    permit = Operator(level).engaged().at(one_sensor_ns=420 * MS)
    assert permit.vehicle is HOLD
    assert permit.gimbal is (NOTHING if level is Level.ROI else STEER)


# Row 13: h_acc or range beyond limits, jump > 30 m between solutions.


@pytest.mark.parametrize(
    "spoiled",
    [
        {"horizontal_m": 16.0},
        {"horizontal_m": float("nan")},
        {"range_m": 301.0},
        {"jump_m": 31.0},
        {"position_age_ns": 320 * MS},
        {"position_age_ns": None},
    ],
    ids=["sigma", "sigma is no number", "range", "jump", "old", "none"],
)
@pytest.mark.parametrize("level", [Level.ROI, *FLOWN])
def test_a_bad_position_holds_the_vehicle_in_the_same_cycle(level, spoiled):
    assert Operator(level).engaged().at(**spoiled).vehicle is HOLD


def test_a_gimbal_needs_no_position():
    permit = Operator(Level.GIMBAL).engaged().at(position_age_ns=None, horizontal_m=None, range_m=None)
    assert permit.gimbal is STEER


# Row 14: process exit, crash (the rest of it in tests/mavlink/test_steering_guard.py).


@pytest.mark.parametrize("level", [Level.GIMBAL, *FLOWN])
def test_a_control_loop_that_stood_still_ends_steering(level):
    permit = Operator(level).engaged().at(gap_ns=310 * MS)
    assert (permit.gimbal, permit.vehicle) == (NOTHING, NOTHING)


# Row 15: GCS link lost.


@pytest.mark.parametrize(("choice", "left"), [("hold", HOLD), ("disengage", NOTHING), ("continue", STEER)])
def test_a_lost_ground_station_does_to_a_vehicle_level_what_is_configured(choice, left):
    flight = Operator(Level.BEACON, control(Level.BEACON, on_gcs_loss=choice)).engaged()
    assert flight.at(ground_age_ns=4980 * MS).vehicle is left


def test_a_lost_ground_station_leaves_the_gimbal_alone():
    assert Operator(Level.GIMBAL).engaged().at(ground_age_ns=60 * SECOND).gimbal is STEER


def test_a_ground_station_that_comes_back_does_not_resume_flight():
    flight = Operator(Level.GUIDED, control(Level.GUIDED, auto_resume=True)).engaged()
    flight.at(ground_age_ns=6 * SECOND)
    assert flight.for_(1 * SECOND).vehicle is HOLD


# Guided flight (9.5).


def test_guided_flight_ends_with_the_landing():
    assert Operator(Level.GUIDED).engaged().at(in_air=False).vehicle is NOTHING
    assert Operator(Level.GUIDED).engaged().at(in_air=None).vehicle is NOTHING


@pytest.mark.parametrize(
    "spoiled",
    [
        {"mode": Mode.OTHER},
        {"in_air": False},
        {"in_air": None},
        {"multicopter": False},
        {"sticks_us": 150},
        {"sticks_us": None},
        {"stack": Stack.OTHER},
        {"clock_valid": False},
        {"position_healthy": None},
        {"status": TrackStatus.UNCERTAIN},
        {"confidence": 0.5},
        {"track_id": None},
        {"holder": Holder.UNKNOWN},
        {"heartbeat_age_ns": None},
        {"mode_number": None},
    ],
    ids=str,
)
def test_guided_flight_is_refused_while_anything_is_amiss(spoiled):
    flight = Operator(Level.GUIDED)
    assert flight.engage(**spoiled)
    assert flight.at().vehicle is NOTHING


def test_offboard_is_primed_only_where_that_is_configured():
    outside = {"stack": Stack.PX4, "mode": Mode.OTHER, "mode_number": 3}
    assert Operator(Level.GUIDED).engage(**outside) == "not in guided or offboard mode"
    primed = GuidedSettings(acknowledgement=ACKNOWLEDGEMENT, prime_s=10)
    flight = Operator(Level.GUIDED, control(Level.GUIDED, primed))
    assert flight.engage(**outside) is None
    permit = flight.for_(5 * SECOND, **outside)
    assert (permit.vehicle, permit.priming) == (STEER, True)
    permit = flight.at(stack=Stack.PX4, mode=Mode.EXTERNAL, mode_number=6)
    assert (permit.vehicle, permit.priming) == (STEER, False)
    assert flight.at(**outside).vehicle is NOTHING


def test_priming_ends_when_the_pilot_does_not_switch():
    primed = GuidedSettings(acknowledgement=ACKNOWLEDGEMENT, prime_s=10)
    flight = Operator(Level.GUIDED, control(Level.GUIDED, primed))
    outside = {"stack": Stack.PX4, "mode": Mode.OTHER, "mode_number": 3}
    assert flight.engage(**outside) is None
    assert flight.for_(11 * SECOND, **outside).vehicle is NOTHING


# States.


def test_nothing_is_engaged_by_itself():
    flight = Operator(Level.GUIDED)
    permit = flight.for_(10 * SECOND)
    assert (permit.gimbal, permit.vehicle) == (NOTHING, NOTHING)
    assert flight.machine.state is State.ARMED


def test_a_state_that_would_refuse_an_engagement_is_not_armed():
    flight = Operator(Level.GUIDED)
    flight.at(in_air=False)
    assert flight.machine.state is State.DISENGAGED


def test_steering_that_is_off_takes_no_engagement():
    flight = Operator(Level.GIMBAL, control(Level.OFF))
    assert flight.engage() == "steering is off in the configuration"
    flight.at()
    assert flight.machine.state is State.DISENGAGED


def test_no_level_above_the_configured_one_is_engaged():
    assert Operator(Level.GUIDED, control(Level.ROI)).engage() == "level guided is not enabled, roi is"


def test_the_operators_end_lets_the_vehicle_be_told():
    flight = Operator(Level.GUIDED).engaged()
    assert flight.machine.disengage("by the operator")
    permit = flight.at()
    assert (permit.gimbal, permit.vehicle, permit.farewell) == (NOTHING, NOTHING, True)


def test_the_operators_end_after_a_change_of_mode_says_nothing():
    flight = Operator(Level.GUIDED).engaged()
    flight.machine.disengage("by the operator")
    assert not flight.at(mode=Mode.OTHER, mode_number=5).farewell


def test_a_region_of_interest_leaves_the_gimbal_to_the_autopilot():
    permit = Operator(Level.ROI).engaged().at()
    assert (permit.gimbal, permit.vehicle) == (NOTHING, STEER)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_rule_fires_in_a_healthy_flight(rule):
    for level in (Level.GIMBAL, Level.ROI, *FLOWN):
        machine = SafetyMachine(control(level))
        assert machine.engage(level, GROUND, healthy(level)) is None
        assert machine.engagement is not None
        assert not rule.when(healthy(level), machine.engagement, machine.settings)


def test_the_limits_leave_a_cycle_to_what_the_table_allows():
    limits = LimitSettings()
    assert limits.frame_age_ms * MS + CYCLE <= 350 * MS
    assert limits.telemetry_age_ms * MS + CYCLE <= 300 * MS
    assert limits.autopilot_silent_s * SECOND + CYCLE <= 2 * SECOND
    assert limits.ground_silent_s * SECOND + CYCLE <= 5 * SECOND
    assert limits.one_sensor_ms * MS + CYCLE <= 500 * MS
