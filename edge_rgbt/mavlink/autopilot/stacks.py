"""Where PX4 and ArduCopter differ: one field per row of the table in section 9.1, then what else differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from edge_rgbt.mavlink.autopilot.modes import ARDUCOPTER_MODES, PX4_MODES, FlightMode
from edge_rgbt.mavlink.dialect import common as dialect

UNSUPPORTED = dialect.MAV_RESULT_UNSUPPORTED


class PitchYawMessage(Enum):
    """What becomes of GIMBAL_MANAGER_SET_PITCHYAW."""

    IGNORED = "no handler"
    BOTH_AXES = "angles of both axes, or rates of both axes, nothing else"


class TakeControl(Enum):
    """Who gets the gimbal when DO_GIMBAL_MANAGER_CONFIGURE says -2."""

    AUTOPILOT = "the autopilot itself"
    SENDER = "whoever sent it"


@dataclass(frozen=True, slots=True)
class Understanding:
    """Who understands what, row by row.

    control_enforced: only the holder of the gimbal moves it. rates_end_after_s: rates of message 282 without
    a newer one, None for never. pitchyaw_needs_control: command 1000 is DENIED to others.
    long_altitude_above_home: of a location in a COMMAND_LONG; a COMMAND_INT says its frame.
    reposition_needs_guided: without bit 0 it is DENIED in another mode. beacon_of_any_system: FOLLOW_TARGET;
    otherwise only of FOLL_SYSID, and never of the own system.
    guided_silence_leaves_mode: setpoints must go on, or the mode is left; otherwise a velocity ends by
    itself and a position is flown to. track_commands: the answer to CAMERA_TRACK_* on compid 1.
    """

    control_enforced: bool  # DO_GIMBAL_MANAGER_CONFIGURE (1001)
    rates_end_after_s: float | None  # GIMBAL_MANAGER_SET_ATTITUDE (282)
    pitchyaw_message: PitchYawMessage  # GIMBAL_MANAGER_SET_PITCHYAW (287)
    pitchyaw_needs_control: bool  # DO_GIMBAL_MANAGER_PITCHYAW (1000)
    manual_control: bool  # GIMBAL_MANAGER_SET_MANUAL_CONTROL (288)
    long_altitude_above_home: bool  # DO_SET_ROI_LOCATION (195)
    reposition_needs_guided: bool  # DO_REPOSITION (192)
    beacon_of_any_system: bool  # FOLLOW_TARGET (144)
    guided_silence_leaves_mode: bool  # SET_POSITION_TARGET_GLOBAL_INT (86)
    track_commands: int  # CAMERA_TRACK_* to compid 1


@dataclass(frozen=True, slots=True)
class Stack:
    """One autopilot.

    streams: message id -> Hz, sent unasked on an onboard link. timesync_hz: how often it asks;
    timesync_carries_system: it hides its system id in the stamp. floods_and_learns: ArduPilot's routing,
    otherwise PX4's. sticks_end_automatic_modes: moving them hands the vehicle to the pilot.
    unknown_message: the answer when one is asked for that it does not have.
    parameters: names and defaults; a whole number is an integer parameter.
    """

    name: str
    autopilot: int
    version: int
    understands: Understanding
    modes: Mapping[FlightMode, int]
    minus_two_gives_to: TakeControl
    roi_none_looks_ahead: bool
    follow_points_gimbal: bool
    floods_and_learns: bool
    timesync_hz: float
    timesync_carries_system: bool
    sticks_end_automatic_modes: bool
    integers_as_bytes: bool
    unknown_message: int
    streams: Mapping[int, float]
    parameters: Mapping[str, float | int]

    def mode_of(self, number: int) -> FlightMode | None:
        """The mode with this number in HEARTBEAT.custom_mode; None for one that is not flown here."""
        return next((mode for mode, known in self.modes.items() if known == number), None)


def _version(major: int, minor: int, patch: int) -> int:
    return major << 24 | minor << 16 | patch << 8 | 255  # 255: an official release


PX4 = Stack(
    name="px4",
    autopilot=dialect.MAV_AUTOPILOT_PX4,
    version=_version(1, 17, 0),
    understands=Understanding(
        control_enforced=True,
        rates_end_after_s=2.0,
        pitchyaw_message=PitchYawMessage.IGNORED,
        pitchyaw_needs_control=True,
        manual_control=True,
        long_altitude_above_home=False,
        reposition_needs_guided=False,
        beacon_of_any_system=True,
        guided_silence_leaves_mode=True,
        track_commands=UNSUPPORTED,
    ),
    modes=PX4_MODES,
    minus_two_gives_to=TakeControl.AUTOPILOT,
    roi_none_looks_ahead=True,
    follow_points_gimbal=True,
    floods_and_learns=False,
    timesync_hz=10.0,
    timesync_carries_system=False,
    sticks_end_automatic_modes=True,
    integers_as_bytes=True,
    unknown_message=dialect.MAV_RESULT_DENIED,
    streams={
        dialect.MAVLINK_MSG_ID_SYS_STATUS: 5.0,
        dialect.MAVLINK_MSG_ID_SYSTEM_TIME: 1.0,
        dialect.MAVLINK_MSG_ID_GPS_RAW_INT: 5.0,
        dialect.MAVLINK_MSG_ID_ATTITUDE: 50.0,  # 100 in the real one, which nobody here needs
        dialect.MAVLINK_MSG_ID_ATTITUDE_QUATERNION: 50.0,
        dialect.MAVLINK_MSG_ID_LOCAL_POSITION_NED: 30.0,
        dialect.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: 50.0,
        dialect.MAVLINK_MSG_ID_RC_CHANNELS: 20.0,
        dialect.MAVLINK_MSG_ID_DISTANCE_SENSOR: 10.0,
        dialect.MAVLINK_MSG_ID_ESTIMATOR_STATUS: 1.0,
        dialect.MAVLINK_MSG_ID_HOME_POSITION: 0.5,
        dialect.MAVLINK_MSG_ID_EXTENDED_SYS_STATE: 5.0,
        dialect.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: 10.0,
        dialect.MAVLINK_MSG_ID_GIMBAL_MANAGER_STATUS: 0.5,
    },
    parameters={
        "MAV_SYS_ID": 1,
        "COM_OF_LOSS_T": 1.0,
        "COM_OBL_RC_ACT": 0,
        "COM_RC_OVERRIDE": 1,
        "FLW_TGT_DST": 8.0,
        "FLW_TGT_HT": 8.0,
        "FLW_TGT_FA": 180.0,
        "FLW_TGT_MAX_VEL": 5.0,
        "MNT_MODE_IN": 4,
    },
)

ARDUCOPTER = Stack(
    name="arducopter",
    autopilot=dialect.MAV_AUTOPILOT_ARDUPILOTMEGA,
    version=_version(4, 6, 0),
    understands=Understanding(
        control_enforced=False,
        rates_end_after_s=None,
        pitchyaw_message=PitchYawMessage.BOTH_AXES,
        pitchyaw_needs_control=False,
        manual_control=False,
        long_altitude_above_home=True,
        reposition_needs_guided=True,
        beacon_of_any_system=False,
        guided_silence_leaves_mode=False,
        track_commands=UNSUPPORTED,
    ),
    modes=ARDUCOPTER_MODES,
    minus_two_gives_to=TakeControl.SENDER,
    roi_none_looks_ahead=False,
    follow_points_gimbal=False,
    floods_and_learns=True,
    timesync_hz=0.1,
    timesync_carries_system=True,
    sticks_end_automatic_modes=False,
    integers_as_bytes=False,
    unknown_message=dialect.MAV_RESULT_FAILED,
    streams={},  # SRn_* are zero until somebody asks
    parameters={
        "SYSID_THISMAV": 1,
        "GUID_TIMEOUT": 3.0,
        "FOLL_ENABLE": 1,
        "FOLL_SYSID": 200,
        "FOLL_DIST_MAX": 100.0,
        "FOLL_OFS_X": 0.0,
        "FOLL_OFS_Y": 0.0,
        "FOLL_OFS_Z": 0.0,
        "FOLL_POS_P": 0.1,
        "CAM1_TYPE": 6,
        "MNT1_TYPE": 1,
    },
)

STACKS = {stack.name: stack for stack in (PX4, ARDUCOPTER)}
