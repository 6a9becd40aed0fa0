"""What steering may do: the table [control] and those below it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from edge_rgbt.steering.situation import Level

# The sentence that has to stand in the configuration before anything flies the vehicle by set-points.
ACKNOWLEDGEMENT = "I have a pilot with a mode switch and accept that the vehicle moves by itself"
SHORTEST_STAND_OFF_M = 10.0


def _require(settings: object, **limits: tuple[float, float]) -> None:
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} is {value:g}, expected {low:g} to {high:g}")


@dataclass(frozen=True)
class GimbalSettings:
    """How the gimbal is turned (9.2).

    enabled: steer it with every level but `roi`. latency_ms: from exposure to the gimbal's motion; the gain
    is 0.3 over it. yaw_lock: yaw rates count from north, else from the vehicle's nose. send_hz: of messages.
    needs_position: not even the gimbal is steered while the autopilot says that its position is bad; false
    for the bench, without satellites. A position that was good and is lost ends steering all the same.
    """

    enabled: bool = True
    latency_ms: float = 150.0
    dead_band_deg: float = 0.3
    rate_deg_s: float = 30.0
    acceleration_deg_s2: float = 90.0
    soft_stop_deg: float = 5.0
    yaw_lock: bool = True
    send_hz: float = 20.0
    needs_position: bool = True

    def __post_init__(self) -> None:
        _require(
            self,
            latency_ms=(50, 1000),
            dead_band_deg=(0, 5),
            rate_deg_s=(1, 60),
            acceleration_deg_s2=(5, 360),
            soft_stop_deg=(0, 30),
            send_hz=(10, 20),
        )

    @property
    def gain_per_s(self) -> float:
        return 0.3 / (self.latency_ms * 1e-3)


@dataclass(frozen=True)
class GuidedSettings:
    """The stand-off controller (9.5).

    acknowledgement: without the sentence that `ACKNOWLEDGEMENT` holds the level `guided` is refused.
    distance_m: horizontally from the target. bearing_deg: from the target to the vehicle, from north; left
    out, as when it was engaged. height_m: above home; left out, as when it was engaged. lowest_m, highest_m:
    the band above home. farthest_m: from where it was engaged. turn: turn the nose to the target.
    sticks_us: how far a stick may be from the middle. need_rc: hold while no sticks are heard of.
    prime_s: PX4 enters Offboard only while set-points stream. For so long after an engagement outside it zero
    velocity is sent so that the pilot can switch; 0 sends nothing outside Offboard.
    """

    acknowledgement: str = ""
    distance_m: float = 20.0
    bearing_deg: float | None = None
    height_m: float | None = None
    lowest_m: float = 10.0
    highest_m: float = 120.0
    farthest_m: float = 300.0
    speed_m_s: float = 5.0
    climb_m_s: float = 1.5
    acceleration_m_s2: float = 2.0
    turn: bool = False
    turn_deg_s: float = 30.0
    sticks_us: int = 100
    need_rc: bool = True
    prime_s: float = 0.0

    def __post_init__(self) -> None:
        _require(
            self,
            distance_m=(SHORTEST_STAND_OFF_M, 500),
            bearing_deg=(-360, 360),
            height_m=(2, 500),
            lowest_m=(2, 500),
            highest_m=(2, 500),
            farthest_m=(20, 5000),
            speed_m_s=(0.1, 5),
            climb_m_s=(0.1, 1.5),
            acceleration_m_s2=(0.1, 2),
            turn_deg_s=(1, 30),
            sticks_us=(20, 400),
            prime_s=(0, 60),
        )
        if self.lowest_m >= self.highest_m:
            raise ValueError(f"lowest_m {self.lowest_m:g} is not below highest_m {self.highest_m:g}")
        if self.acknowledgement not in ("", ACKNOWLEDGEMENT):
            raise ValueError(f"acknowledgement has to be exactly: {ACKNOWLEDGEMENT}")

    @property
    def acknowledged(self) -> bool:
        return self.acknowledgement == ACKNOWLEDGEMENT


@dataclass(frozen=True)
class SwitchSettings:
    """A switch on the pilot's radio that engages and disengages. channel: left out, there is none.

    on_above_us: engaged above; the switch has to be seen below first.
    """

    channel: int | None = None
    on_above_us: int = 1700

    def __post_init__(self) -> None:
        _require(self, channel=(5, 18), on_above_us=(1200, 1900))


@dataclass(frozen=True)
class LimitSettings:
    """When steering holds (9.7).

    confidence_floor: below it the track counts as lost; confidence_again: needed to engage and to go on.
    coast_ms: how long an unconfirmed track is steered by. found_again_s: how long a hold lasts at most.
    Ages and silences end one cycle of 20 ms, or a little more, before the time that the rule allows.
    """

    confidence_floor: float = 0.2
    confidence_again: float = 0.6
    coast_ms: float = 500.0
    frame_age_ms: float = 330.0
    telemetry_age_ms: float = 280.0
    found_again_s: float = 5.0
    autopilot_silent_s: float = 1.95
    ground_silent_s: float = 4.9
    one_sensor_ms: float = 400.0
    horizontal_m: float = 15.0
    range_m: float = 300.0
    jump_m: float = 30.0

    def __post_init__(self) -> None:
        _require(
            self,
            confidence_floor=(0, 1),
            confidence_again=(0, 1),
            coast_ms=(0, 1000),
            frame_age_ms=(50, 330),
            telemetry_age_ms=(50, 280),
            found_again_s=(0, 5),
            autopilot_silent_s=(1.2, 1.98),
            ground_silent_s=(1.2, 4.98),
            one_sensor_ms=(0, 480),
            horizontal_m=(0.5, 50),
            range_m=(10, 1000),
            jump_m=(1, 30),
        )
        if self.confidence_again < self.confidence_floor:
            raise ValueError(
                f"confidence_again {self.confidence_again:g} is below "
                f"confidence_floor {self.confidence_floor:g}"
            )


@dataclass(frozen=True)
class ControlSettings:
    """level: the most that an operator can engage; `off` takes no engagement at all.

    dry_run: compute and log everything, send nothing. auto_resume: vehicle levels go on by themselves when
    the same target is found again. on_gcs_loss: of vehicle levels. beacon_sysid: speaks
    FOLLOW_TARGET; left out, mavlink.beacon_sysid does.
    engage_systems: system ids that may engage; empty: any ground station that sends heartbeats.
    """

    level: Literal["off", "gimbal", "roi", "beacon", "guided"] = "off"
    dry_run: bool = False
    auto_resume: bool = False
    on_gcs_loss: Literal["hold", "disengage", "continue"] = "hold"
    beacon_sysid: int | None = None
    engage_systems: tuple[int, ...] = ()
    gimbal: GimbalSettings = field(default_factory=GimbalSettings)
    guided: GuidedSettings = field(default_factory=GuidedSettings)
    switch: SwitchSettings = field(default_factory=SwitchSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)

    def __post_init__(self) -> None:
        _require(self, beacon_sysid=(1, 250))
        if not all(1 <= system <= 255 for system in self.engage_systems):
            raise ValueError(f"engage_systems is {list(self.engage_systems)}, expected numbers from 1 to 255")
        if self.level == "guided" and not self.guided.acknowledged:
            raise ValueError(f'level is "guided", which needs guided.acknowledgement = "{ACKNOWLEDGEMENT}" ')
        if self.level == "gimbal" and not self.gimbal.enabled:
            raise ValueError('level is "gimbal" and gimbal.enabled is false; nothing would be steered')
        if not math.isfinite(self.guided.distance_m):
            raise ValueError(f"guided.distance_m is {self.guided.distance_m}, expected a number")

    @property
    def most(self) -> Level:
        return Level[self.level.upper()]
