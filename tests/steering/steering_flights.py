"""Situations of a healthy flight for tests, to be spoiled in one place."""

from __future__ import annotations

from dataclasses import replace

from edge_rgbt.steering.machine import Permit, SafetyMachine
from edge_rgbt.steering.settings import ACKNOWLEDGEMENT, ControlSettings, GuidedSettings
from edge_rgbt.steering.situation import Holder, Level, Mode, Situation, Stack
from edge_rgbt.types import TrackStatus

MS, SECOND = 1_000_000, 1_000_000_000
CYCLE = 20 * MS
GROUND = 255
MODES = {Level.BEACON: Mode.FOLLOW, Level.GUIDED: Mode.EXTERNAL}


def control(level: Level = Level.GUIDED, guided: GuidedSettings | None = None, **others) -> ControlSettings:
    """Settings that allow a level."""
    guided = guided or GuidedSettings(acknowledgement=ACKNOWLEDGEMENT)
    return ControlSettings(level=level.name.lower(), guided=guided, **others)


def healthy(level: Level = Level.GUIDED, **others) -> Situation:
    """Everything as good as it gets, in the mode that the level expects."""
    values = {
        "now_ns": 100 * SECOND,
        "gap_ns": CYCLE,
        "track_id": 7,
        "status": TrackStatus.TRACKING,
        "confidence": 0.9,
        "frame_age_ns": 60 * MS,
        "position_age_ns": 60 * MS,
        "horizontal_m": 2.0,
        "range_m": 40.0,
        "stack": Stack.ARDUPILOT,
        "multicopter": True,
        "in_air": True,
        "mode": MODES.get(level, Mode.OTHER),
        "mode_number": 4,
        "position_healthy": True,
        "heartbeat_age_ns": 500 * MS,
        "gimbal_age_ns": 20 * MS,
        "vehicle_age_ns": 20 * MS,
        "clock_valid": True,
        "holder": Holder.US,
        "rc_age_ns": 50 * MS,
        "sticks_us": 5,
        "ground_age_ns": 400 * MS,
    }
    return Situation(**(values | others))


class Operator:
    """A machine that is stepped through time; `at` spoils the situation, everything else stays healthy."""

    def __init__(self, level: Level = Level.GUIDED, settings: ControlSettings | None = None) -> None:
        self.level = level
        self.machine = SafetyMachine(settings or control(level))
        self.now = healthy(level)
        self.texts: list[str] = []

    def engage(self, level: Level | None = None, **others) -> str | None:
        return self.machine.engage(level or self.level, GROUND, replace(self.now, **others))

    def engaged(self) -> Operator:
        assert self.engage() is None
        self.at()
        return self

    def at(self, after_ns: int = CYCLE, **others) -> Permit:
        """One cycle later."""
        self.now = replace(self.now, now_ns=self.now.now_ns + after_ns)
        permit = self.machine.step(replace(self.now, **others))
        self.texts += [text.text for text in permit.texts]
        return permit

    def for_(self, duration_ns: int, **others) -> Permit:
        """Cycle after cycle, until so much later; the last permit."""
        permit = self.at(**others)
        for _ in range(duration_ns // CYCLE - 1):
            permit = self.at(**others)
        return permit
