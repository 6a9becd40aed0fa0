"""What steering has to know of autopilot, gimbal manager, pilot and ground stations, from their messages."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.autopilot_link import AutopilotLink
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Received
from edge_rgbt.mavlink.identity import ONBOARD_COMPUTER_COMPONENT
from edge_rgbt.steering.gimbal_law import Travel
from edge_rgbt.steering.situation import Holder, Mode, Stack

MULTICOPTERS = frozenset((2, 13, 14, 15, 29, 35, 43))  # MAV_TYPE: quad, hexa, octo, tri, dodeca, deca, any
STATUS_LASTS_NS = 2_500_000_000  # GIMBAL_MANAGER_STATUS comes twice a second
LANDED_LASTS_NS = 3_000_000_000
_MOST_GROUNDS = 16
_CRITICAL = dialect.MAV_STATE_CRITICAL
_RC_CENTRE_US = 1500
_RC_VALID_US = range(800, 2201)
_THROTTLE = 2
_PX4_MODES = {(6, 0): Mode.EXTERNAL, (4, 8): Mode.FOLLOW}
_ARDUCOPTER_MODES = {4: Mode.EXTERNAL, 23: Mode.FOLLOW}


@dataclass(frozen=True, slots=True)
class Beat:
    """The autopilot's heartbeat."""

    at_ns: int
    stack: Stack
    vehicle_type: int
    mode: Mode
    mode_number: int
    failsafe: bool


def read_beat(message: Any, at_ns: int) -> Beat:
    """A HEARTBEAT of compid 1; modes count for the two stacks that steering knows."""
    mode = Mode.OTHER
    stack = Stack.OTHER
    if message.autopilot == dialect.MAV_AUTOPILOT_PX4:
        stack = Stack.PX4
        main, sub = message.custom_mode >> 16 & 255, message.custom_mode >> 24 & 255
        mode = _PX4_MODES.get((main, sub if main == 4 else 0), Mode.OTHER)
    elif message.autopilot == dialect.MAV_AUTOPILOT_ARDUPILOTMEGA and message.type in MULTICOPTERS:
        stack = Stack.ARDUPILOT
        mode = _ARDUCOPTER_MODES.get(message.custom_mode, Mode.OTHER)
    failsafe = message.system_status >= _CRITICAL
    return Beat(at_ns, stack, message.type, mode, message.custom_mode, failsafe)


class VehicleWatch:
    """The newest of everything, with its time. Messages of other vehicles do not count."""

    def __init__(self) -> None:
        self.link = AutopilotLink()
        self.grounds: OrderedDict[int, int] = OrderedDict()  # system id -> when its heartbeat came
        self.on_channels: Callable[[tuple[int, ...], int], None] = lambda channels, at_ns: None
        self._readers: dict[str, Callable[[Any, int], None]] = {
            "HEARTBEAT": self._heartbeat,
            "EXTENDED_SYS_STATE": self._landed_state,
            "FENCE_STATUS": self._fence,
            "RC_CHANNELS": self._channels,
            "ATTITUDE": self._turning,
            "ATTITUDE_QUATERNION": self._turning,
        }
        self._forget()

    @property
    def system(self) -> int | None:
        return self.link.system

    def belong_to(self, system: int) -> None:
        """The vehicle's id, from now on."""
        if system != self.link.system:
            self.link.belong_to(system)
            self._forget()

    def lose(self, endpoint: str) -> None:
        """A link went down, or the autopilot restarted: what came over it is of another life."""
        if self.link.lose(endpoint):
            self._forget()

    def _forget(self) -> None:
        self.beat: Beat | None = None
        self.in_air: tuple[int, bool] | None = None
        self.fence_breached = False
        self.channels: tuple[int, tuple[int, ...]] | None = None
        self.yaw_rate_rad_s = 0.0
        self.travel = Travel()
        self.travel_known = False
        self.manager: tuple[int, str] | None = None  # component and endpoint (R-GM-4)
        self.primary: tuple[int, tuple[int, int]] | None = None

    def receive(self, received: Received) -> None:
        """Takes in one message of anybody."""
        message, kind = received.message, received.message.get_type()
        if kind == "HEARTBEAT" and message.type == dialect.MAV_TYPE_GCS:
            self.grounds.pop(received.system, None)
            self.grounds[received.system] = received.arrival_ns
            if len(self.grounds) > _MOST_GROUNDS:
                self.grounds.popitem(last=False)
        elif kind in ("GIMBAL_MANAGER_STATUS", "GIMBAL_MANAGER_INFORMATION"):
            self._manager_spoke(message, received)
        if kind in self._readers and self.link.heard(received):
            self._readers[kind](message, received.arrival_ns)

    def holder(self, now_ns: int) -> Holder:
        """Who controls the gimbal, says its manager."""
        if self.primary is None or now_ns - self.primary[0] > STATUS_LASTS_NS:
            return Holder.UNKNOWN
        owner = self.primary[1]
        if owner == (self.system, ONBOARD_COMPUTER_COMPONENT):
            return Holder.US
        return Holder.NOBODY if owner[0] == 0 else Holder.OTHERS

    def airborne(self, now_ns: int) -> bool | None:
        if self.in_air is None or now_ns - self.in_air[0] > LANDED_LASTS_NS:
            return None
        return self.in_air[1]

    def sticks_us(self, throttle_rest_us: int | None) -> int | None:
        """How far the farthest stick is from its rest; None if the pilot's radio is not heard.

        throttle_rest_us: where that one rests; None: wherever it is now.
        """
        if self.channels is None or len(self.channels[1]) < 4:
            return None
        first = self.channels[1][:4]
        if any(value not in _RC_VALID_US for value in first):
            return None
        rests = [_RC_CENTRE_US] * 4
        rests[_THROTTLE] = first[_THROTTLE] if throttle_rest_us is None else throttle_rest_us
        return max(abs(value - rest) for value, rest in zip(first, rests, strict=True))

    @property
    def throttle_us(self) -> int | None:
        if self.channels is None or len(self.channels[1]) <= _THROTTLE:
            return None
        return self.channels[1][_THROTTLE]

    def _heartbeat(self, message: Any, at_ns: int) -> None:
        if message.autopilot != dialect.MAV_AUTOPILOT_INVALID:
            self.beat = read_beat(message, at_ns)

    def _landed_state(self, message: Any, at_ns: int) -> None:
        self.in_air = at_ns, message.landed_state == dialect.MAV_LANDED_STATE_IN_AIR

    def _fence(self, message: Any, at_ns: int) -> None:
        self.fence_breached = bool(message.breach_status)

    def _channels(self, message: Any, at_ns: int) -> None:
        count = min(message.chancount, 18)
        values = tuple(getattr(message, f"chan{number}_raw") for number in range(1, count + 1))
        self.channels = at_ns, values
        self.on_channels(values, at_ns)

    def _turning(self, message: Any, at_ns: int) -> None:
        if math.isfinite(message.yawspeed):
            self.yaw_rate_rad_s = message.yawspeed

    def _manager_spoke(self, message: Any, received: Received) -> None:
        """The first that speaks is the manager; while it does, another one is not listened to."""
        if received.system != self.system:
            return
        speaker = received.component, received.endpoint
        silent = self.primary is not None and received.arrival_ns - self.primary[0] > STATUS_LASTS_NS
        if self.manager is None or silent:
            self.manager = speaker
        if speaker != self.manager:
            return
        if message.get_type() == "GIMBAL_MANAGER_STATUS":
            owner = message.primary_control_sysid, message.primary_control_compid
            self.primary = received.arrival_ns, owner
        else:
            self.travel, self.travel_known = read_travel(message), True


def read_travel(message: Any) -> Travel:
    """GIMBAL_MANAGER_INFORMATION: limits in radians; an axis that turns all round has none."""
    pitch = _limits(message.pitch_min, message.pitch_max)
    yaw = _limits(message.yaw_min, message.yaw_max)
    return Travel(*pitch, *yaw)


def _limits(low: float, high: float) -> tuple[float | None, float | None]:
    real = math.isfinite(low) and math.isfinite(high) and low < high and high - low < math.tau - 0.01
    return (low, high) if real else (None, None)
