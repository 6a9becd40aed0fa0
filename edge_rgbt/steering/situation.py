"""Everything that steering decides upon, put together once per cycle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from edge_rgbt.types import TrackStatus


class Level(IntEnum):
    """How much may be steered; each one has to be configured and engaged."""

    OFF = 0
    GIMBAL = 1
    ROI = 2
    BEACON = 3
    GUIDED = 4

    @property
    def flies(self) -> bool:
        """True for the levels that move more than the gimbal."""
        return self > Level.GIMBAL


class State(Enum):
    """DISENGAGED: nothing is sent. ARMED: neither, but an engagement would be accepted. ENGAGED: steering.
    HOLDING: engaged, and for a moment not steering."""

    DISENGAGED = "disengaged"
    ARMED = "armed"
    ENGAGED = "engaged"
    HOLDING = "holding"


class Channel(Enum):
    """The two things that are steered, each held and let go for reasons of its own."""

    GIMBAL = "gimbal"
    VEHICLE = "vehicle"


class Stack(Enum):
    """Whose autopilot it is; what is not one of the two is not steered."""

    PX4 = "px4"
    ARDUPILOT = "ardupilot"
    OTHER = "other"


class Mode(Enum):
    """The flight modes that matter here."""

    FOLLOW = "follow"
    EXTERNAL = "guided"  # ArduPilot's Guided, PX4's Offboard
    OTHER = "other"


class Holder(Enum):
    """Who controls the gimbal, as its manager says (281). UNKNOWN: no manager was heard lately."""

    UNKNOWN = "unknown"
    NOBODY = "nobody"
    US = "us"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Situation:
    """One cycle's inputs. Ages are None for what was never heard; nothing is ever assumed to be good.

    track_id: None without a track. frame_age_ns: since the capture of the newest tracked picture.
    unconfirmed_ns: since a picture confirmed the box. one_sensor_ns: for how long one camera has been out.
    position_age_ns, horizontal_m, range_m: of the target's position on earth; jump_m: from the one before.
    mode, mode_number: as decoded, and as the heartbeat has it. clock_valid: the offset to the autopilot's
    clock is known. position_healthy: satellite fix and estimator, None if nothing tells.
    sticks_us: how far the farthest of roll, pitch and yaw is from the middle, and throttle from where it was
    at the engagement. ground_age_ns: heartbeat of the ground station that engaged. gap_ns: since the cycle
    before. beacon_collides: the beacon would speak with the vehicle's own system id.
    """

    now_ns: int
    gap_ns: int = 0
    track_id: int | None = None
    status: TrackStatus = TrackStatus.IDLE
    confidence: float = 0.0
    frame_age_ns: int | None = None
    unconfirmed_ns: int = 0
    one_sensor_ns: int = 0
    position_age_ns: int | None = None
    horizontal_m: float | None = None
    range_m: float | None = None
    jump_m: float = 0.0
    stack: Stack = Stack.OTHER
    multicopter: bool = False
    in_air: bool | None = None
    mode: Mode = Mode.OTHER
    mode_number: int | None = None
    failsafe: bool = False
    fence_breached: bool = False
    position_healthy: bool | None = None
    heartbeat_age_ns: int | None = None
    gimbal_age_ns: int | None = None
    vehicle_age_ns: int | None = None
    clock_valid: bool = False
    holder: Holder = Holder.UNKNOWN
    rc_age_ns: int | None = None
    sticks_us: int | None = None
    ground_age_ns: int | None = None
    beacon_collides: bool = False


@dataclass(frozen=True, slots=True)
class Engagement:
    """What an operator asked for, and what was the case then.

    by: system id of his ground station, None for the switch on the radio. priming: outside Offboard still,
    and waiting for the pilot to switch there.
    """

    level: Level
    by: int | None
    since_ns: int
    track_id: int
    mode_number: int
    position_was_healthy: bool
    clock_was_valid: bool
    ground_was_heard: bool
    mode_reached: bool
    held_gimbal: bool = False
    priming: bool = False
