"""Flight modes, and the numbers that each stack gives them in HEARTBEAT and DO_SET_MODE."""

from __future__ import annotations

from enum import Enum

from edge_rgbt.mavlink.dialect import common as dialect


class FlightMode(Enum):
    """What the vehicle does, by one name for both stacks."""

    STABILIZE = "stabilize"
    POSITION = "position"  # PX4: Position; ArduCopter: Loiter
    HOLD = "hold"  # PX4: Hold; ArduCopter: Brake
    GUIDED = "guided"  # PX4: Offboard; ArduCopter: Guided
    FOLLOW = "follow"
    MISSION = "mission"
    RETURN = "return"
    LAND = "land"
    TAKEOFF = "takeoff"


def _px4(main: int, sub: int = 0) -> int:
    return main << 16 | sub << 24


PX4_MODES = {
    FlightMode.STABILIZE: _px4(7),
    FlightMode.POSITION: _px4(3),
    FlightMode.HOLD: _px4(4, 3),
    FlightMode.GUIDED: _px4(6),
    FlightMode.FOLLOW: _px4(4, 8),
    FlightMode.MISSION: _px4(4, 4),
    FlightMode.RETURN: _px4(4, 5),
    FlightMode.LAND: _px4(4, 6),
    FlightMode.TAKEOFF: _px4(4, 2),
}
ARDUCOPTER_MODES = {
    FlightMode.STABILIZE: 0,
    FlightMode.POSITION: 5,
    FlightMode.HOLD: 17,
    FlightMode.GUIDED: 4,
    FlightMode.FOLLOW: 23,
    FlightMode.MISSION: 3,
    FlightMode.RETURN: 6,
    FlightMode.LAND: 9,
}

_BY_HAND = (FlightMode.STABILIZE, FlightMode.POSITION)


def base_mode(mode: FlightMode, armed: bool) -> int:
    """MAV_MODE_FLAG bits of HEARTBEAT."""
    flags = dialect.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | dialect.MAV_MODE_FLAG_STABILIZE_ENABLED
    if mode in _BY_HAND:
        flags |= dialect.MAV_MODE_FLAG_MANUAL_INPUT_ENABLED
    else:
        flags |= dialect.MAV_MODE_FLAG_GUIDED_ENABLED
    if mode not in (*_BY_HAND, FlightMode.GUIDED):
        flags |= dialect.MAV_MODE_FLAG_AUTO_ENABLED
    return flags | (dialect.MAV_MODE_FLAG_SAFETY_ARMED if armed else 0)
