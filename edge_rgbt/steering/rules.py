"""The safety table (9.7): one row, one rule. What is not in this list stops nothing.

A rule never grants anything. Steering goes on only in cycles in which none of them fires.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.situation import Channel, Engagement, Holder, Level, Mode, Situation
from edge_rgbt.types import TrackStatus

LOOP_GAP_NS = 300_000_000
GRANT_NS = 3_000_000_000
SOLUTION_NS = 300_000_000  # like all telemetry: a position older than this is none
EXPECTED_MODES = {Level.BEACON: Mode.FOLLOW, Level.GUIDED: Mode.EXTERNAL}


class Verdict(IntEnum):
    """What a rule that fires does to a channel."""

    STAY = 0
    HOLD = 1
    LEAVE = 2


Condition = Callable[[Situation, Engagement, ControlSettings], bool]


@dataclass(frozen=True)
class Rule:
    """One row. text: for the operator. within_ms: what the row allows from event to effect.

    resumes: a hold for this reason may end by itself. farewell: the vehicle is told that it is over
    (ROI_NONE, zero velocity); without, nothing more is said to it. yields: the gimbal is somebody else's now.
    """

    name: str
    text: str
    within_ms: int
    gimbal: Verdict
    vehicle: Verdict
    when: Condition
    resumes: bool = True
    farewell: bool = False
    yields: bool = False

    def verdict(self, channel: Channel, settings: ControlSettings) -> Verdict:
        if channel is Channel.GIMBAL:
            return self.gimbal
        if self.name == GROUND_LOST:
            return _ON_GCS_LOSS[settings.on_gcs_loss]
        return self.vehicle


GROUND_LOST = "ground station lost"
_ON_GCS_LOSS = {"hold": Verdict.HOLD, "disengage": Verdict.LEAVE, "continue": Verdict.STAY}


def steers_gimbal(level: Level, settings: ControlSettings) -> bool:
    """True if the level turns the gimbal by rates; `roi` leaves that to the autopilot."""
    return level is not Level.OFF and level is not Level.ROI and settings.gimbal.enabled


def _older(age_ns: int | None, limit_ms: float) -> bool:
    return age_ns is None or age_ns > limit_ms * 1e6


def _lost(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return (
        s.track_id is None
        or s.status in (TrackStatus.IDLE, TrackStatus.LOST)
        or s.unconfirmed_ns > c.limits.coast_ms * 1e6
        or not s.confidence >= c.limits.confidence_floor
    )


def _another_target(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return s.track_id is not None and s.track_id != e.track_id


def _mode_left(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    if not e.level.flies:
        return False
    expected = EXPECTED_MODES.get(e.level)
    if expected is not None and s.mode is expected:
        return False
    return e.mode_reached or s.mode_number != e.mode_number


def _not_switched(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    if e.level is not Level.GUIDED or s.mode is Mode.EXTERNAL or e.mode_reached:
        return False
    return not e.priming or s.now_ns - e.since_ns > c.guided.prime_s * 1e9


def _gimbal_taken(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return steers_gimbal(e.level, c) and e.held_gimbal and s.holder in (Holder.OTHERS, Holder.NOBODY)


def _gimbal_not_granted(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return steers_gimbal(e.level, c) and not e.held_gimbal and s.now_ns - e.since_ns > GRANT_NS


def _manager_silent(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return steers_gimbal(e.level, c) and s.holder is Holder.UNKNOWN


def _sticks_moved(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return e.level is Level.GUIDED and s.sticks_us is not None and s.sticks_us > c.guided.sticks_us


def _sticks_unknown(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    if e.level is not Level.GUIDED or not c.guided.need_rc:
        return False
    return s.sticks_us is None or _older(s.rc_age_ns, c.limits.telemetry_age_ms)


def _failsafe(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    position_lost = e.position_was_healthy and s.position_healthy is not True
    if c.gimbal.needs_position or e.level.flies:
        position_lost |= s.position_healthy is False
    return s.failsafe or s.fence_breached or position_lost


def _autopilot_lost(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return _older(s.heartbeat_age_ns, c.limits.autopilot_silent_s * 1e3)


def _landed(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return e.level is Level.GUIDED and s.in_air is not True


def _telemetry_stale(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    limit_ms = c.limits.telemetry_age_ms
    return (
        (e.level.flies and _older(s.vehicle_age_ns, limit_ms))
        or (steers_gimbal(e.level, c) and _older(s.gimbal_age_ns, limit_ms))
        or (e.clock_was_valid and not s.clock_valid)
    )


def _frame_old(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return _older(s.frame_age_ns, c.limits.frame_age_ms)


def _one_sensor(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return s.one_sensor_ns > c.limits.one_sensor_ms * 1e6


def _position_bad(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    limits = c.limits
    if not e.level.flies:
        return False
    if s.position_age_ns is None or s.horizontal_m is None or s.range_m is None:
        return True
    return not (
        s.position_age_ns <= SOLUTION_NS
        and s.horizontal_m <= limits.horizontal_m
        and s.range_m <= limits.range_m
        and s.jump_m <= limits.jump_m
    )


def _ground_lost(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return e.ground_was_heard and _older(s.ground_age_ns, c.limits.ground_silent_s * 1e3)


def _loop_stood_still(s: Situation, e: Engagement, c: ControlSettings) -> bool:
    return s.gap_ns > LOOP_GAP_NS


_STAY, _HOLD, _LEAVE = Verdict.STAY, Verdict.HOLD, Verdict.LEAVE

RULES: tuple[Rule, ...] = (
    Rule("autopilot lost", "autopilot not heard", 2000, _LEAVE, _LEAVE, _autopilot_lost),
    Rule("failsafe", "autopilot failsafe, fence or position", 1000, _LEAVE, _LEAVE, _failsafe),
    Rule("mode left", "flight mode changed", 1000, _LEAVE, _LEAVE, _mode_left),
    Rule("not switched", "not in guided or offboard mode", 1000, _LEAVE, _LEAVE, _not_switched),
    Rule("sticks moved", "pilot moved the sticks", 200, _LEAVE, _LEAVE, _sticks_moved),
    Rule("landed", "vehicle is not in the air", 1000, _LEAVE, _LEAVE, _landed),
    Rule("gimbal taken", "gimbal taken by another", 500, _LEAVE, _LEAVE, _gimbal_taken, yields=True),
    Rule("gimbal not granted", "gimbal control not granted", 4000, _LEAVE, _LEAVE, _gimbal_not_granted),
    Rule("loop stood still", "control loop stood still", 300, _LEAVE, _LEAVE, _loop_stood_still),
    Rule("another target", "another target selected", 200, _HOLD, _LEAVE, _another_target, farewell=True),
    Rule("target lost", "target lost", 200, _HOLD, _HOLD, _lost, farewell=True),
    Rule("frame old", "pictures stopped", 350, _HOLD, _HOLD, _frame_old, farewell=True),
    Rule("telemetry stale", "telemetry or clock lost", 300, _HOLD, _HOLD, _telemetry_stale, farewell=True),
    Rule("manager silent", "gimbal manager not heard", 3000, _HOLD, _STAY, _manager_silent),
    Rule("sticks unknown", "pilot's sticks not heard", 300, _STAY, _HOLD, _sticks_unknown, farewell=True),
    Rule("one sensor lost", "one camera is out", 500, _STAY, _HOLD, _one_sensor, farewell=True),
    Rule("position bad", "target position too uncertain", 20, _STAY, _HOLD, _position_bad, farewell=True),
    Rule(GROUND_LOST, "ground station lost", 5000, _STAY, _HOLD, _ground_lost, False, True),
)
