"""Flight modes in words, for people."""

from __future__ import annotations

from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect


def mode_name(message: Any) -> str:
    """Words for what ground stations show; numbers where only the autopilot's manual knows."""
    if message.autopilot == dialect.MAV_AUTOPILOT_ARDUPILOTMEGA and message.type in _COPTERS:
        return _ARDUCOPTER_MODES.get(message.custom_mode, f"mode {message.custom_mode}")
    if message.autopilot == dialect.MAV_AUTOPILOT_PX4:
        main, sub = message.custom_mode >> 16 & 255, message.custom_mode >> 24 & 255
        return _PX4_MODES.get((main, sub)) or _PX4_MODES.get((main, 0)) or f"mode {main}.{sub}"
    return f"mode {message.custom_mode}"


_COPTERS = (
    dialect.MAV_TYPE_QUADROTOR,
    dialect.MAV_TYPE_HEXAROTOR,
    dialect.MAV_TYPE_OCTOROTOR,
    dialect.MAV_TYPE_TRICOPTER,
    dialect.MAV_TYPE_COAXIAL,
    dialect.MAV_TYPE_HELICOPTER,
)
_ARDUCOPTER_MODES = {
    0: "Stabilize", 2: "AltHold", 3: "Auto", 4: "Guided", 5: "Loiter", 6: "RTL", 7: "Circle", 9: "Land",
    16: "PosHold", 17: "Brake", 20: "Guided_NoGPS", 21: "SmartRTL", 23: "Follow",
}  # fmt: skip
_PX4_MODES = {
    (1, 0): "Manual", (2, 0): "Altitude", (3, 0): "Position", (4, 0): "Auto", (4, 2): "Takeoff",
    (4, 3): "Hold", (4, 4): "Mission", (4, 5): "Return", (4, 6): "Land", (4, 8): "Follow Me", (5, 0): "Acro",
    (6, 0): "Offboard", (7, 0): "Stabilized",
}  # fmt: skip
