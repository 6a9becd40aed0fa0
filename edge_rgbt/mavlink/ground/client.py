"""A ground station that looks for a vehicle with our camera, shows its track and selects targets.

Without input or output of its own: messages and times come in, messages to send go out, and `state` is what a
page shows. It asks only for what any MAVLink camera answers, so it works with others as well.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.ground.commands import NAN, Answer, PendingCommands
from edge_rgbt.mavlink.ground.modes import mode_name
from edge_rgbt.mavlink.identity import ONBOARD_COMPUTER_COMPONENT, Identity

STATUS_HZ, POSITION_HZ = 10.0, 5.0
LINK_LOST_NS = 5_000_000_000
_SECOND_NS = 1_000_000_000
_ASK_AGAIN_NS = 2 * _SECOND_NS
_LEASE_NS = 20 * _SECOND_NS  # intervals end a minute after the last word from us
_MESSAGES = 40
_COASTING = 8
CONTROL_COMMAND = dialect.MAV_CMD_USER_1
_STREAMS, _INFORMATION = 269, 259
_IMAGE_STATUS, _GEO_STATUS = 275, 276
_ATTITUDE, _POSITION = 30, 33
_CONTROL_STATES = {0: "disengaged", 1: "armed", 2: "engaged", 3: "holding"}


@dataclass(frozen=True, slots=True)
class GroundIdentity(Identity):
    """A ground station's numbers, which the vehicle's side may never use (R-ID-3).

    Not 255: an autopilot takes that for the operator's main station and would miss its loss beside this one.
    """

    system: int = 252
    component: int = 190

    def __post_init__(self) -> None:
        if not 1 <= self.system <= 255:
            raise UsageError(f"MAVLink system id {self.system}: use 1 to 255; 252 is the console's own")


class GroundClient:
    """One camera of one vehicle: the first that is heard. Belongs to one thread."""

    def __init__(self, identity: GroundIdentity | None = None) -> None:
        self.identity = identity or GroundIdentity()
        self._commands = PendingCommands()
        self._seen: dict[str, tuple[dict[str, Any], int]] = {}  # part of the state -> what, when
        self._streams: dict[int, dict[str, Any]] = {}
        self._stream_count = 0
        self._texts: deque[dict[str, Any]] = deque(maxlen=_MESSAGES)
        self._chunks: dict[tuple[int, int], dict[int, str]] = {}
        self._numbers: dict[str, float] = {}
        self._renew_ns: dict[int, int] = {}  # message -> when its interval is asked for again
        self._vehicle: int | None = None
        self._camera: tuple[int, int] | None = None
        self._heard_ns: int | None = None
        self._beat_ns = self._ask_ns = 0
        self._text_number = 0

    @property
    def camera(self) -> tuple[int, int] | None:
        """System and component; None until its heartbeat came."""
        return self._camera

    def receive(self, message: Any, system: int, component: int, now_ns: int) -> list[Any]:
        """Takes in one message; what to send because of it."""
        kind = message.get_type()
        if system == self.identity.system:
            return []
        if kind == "HEARTBEAT":
            return self._heartbeat(message, system, component, now_ns)
        if system == self._vehicle or (system, component) == self._camera:
            self._heard_ns = now_ns
            handler = _HANDLERS.get(kind)
            if handler is not None:
                handler(self, message, component, now_ns)
        return []

    def due(self, now_ns: int) -> list[Any]:
        """Heartbeat, questions not answered yet, commands to repeat."""
        out = []
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + _SECOND_NS
            out.append(
                dialect.MAVLink_heartbeat_message(
                    dialect.MAV_TYPE_GCS, dialect.MAV_AUTOPILOT_INVALID, 0, 0, dialect.MAV_STATE_ACTIVE, 3
                )
            )
        if self._camera is not None and now_ns >= self._ask_ns:
            self._ask_ns = now_ns + _ASK_AGAIN_NS
            out += self._questions(now_ns)
        return out + self._commands.due(now_ns)

    def track(
        self, rectangle: tuple[float, float, float, float], done: Callable[[Answer], None], now_ns: int
    ) -> list[Any]:
        """Selects what lies in left, top, right, bottom, as fractions of the main stream's picture."""
        return self._ask(dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE, rectangle, done, now_ns)

    def stop(self, done: Callable[[Answer], None], now_ns: int) -> list[Any]:
        return self._ask(dialect.MAV_CMD_CAMERA_STOP_TRACKING, (), done, now_ns)

    def control(self, engage: bool, done: Callable[[Answer], None], now_ns: int) -> list[Any]:
        """Lets the companion steer, or takes it back."""
        if self._camera is None:
            done(Answer(CONTROL_COMMAND, None))
            return []
        target = self._camera[0], ONBOARD_COMPUTER_COMPONENT
        return [self._commands.send(target, CONTROL_COMMAND, (float(engage),), done, now_ns)]

    def state(self, now_ns: int) -> dict[str, Any]:
        """What is known, ready for JSON: parts that were never heard are null, ages are in milliseconds."""
        parts = {
            name: {**values, "age_ms": (now_ns - at_ns) // 1_000_000}
            for name, (values, at_ns) in self._seen.items()
        }
        silent_ns = None if self._heard_ns is None else now_ns - self._heard_ns
        return {
            "link": {
                "up": silent_ns is not None and silent_ns < LINK_LOST_NS,
                "silent_ms": None if silent_ns is None else silent_ns // 1_000_000,
            },
            "vehicle": self._merged(parts, "vehicle", "position", "attitude"),
            "camera": self._merged(parts, "camera", "information"),
            "track": parts.get("track"),
            "target": parts.get("target"),
            "streams": [self._streams[number] for number in sorted(self._streams)],
            "numbers": {name: round(value, 3) for name, value in self._numbers.items()},
            "control": _CONTROL_STATES.get(int(self._numbers.get("ctl_state", -1))),
            "texts": list(self._texts),
        }

    def _merged(self, parts: dict[str, Any], *names: str) -> dict[str, Any] | None:
        if names[0] not in parts:
            return None
        merged: dict[str, Any] = {}
        for name in reversed(names):
            merged |= parts.get(name, {})
        return merged

    def _ask(
        self, command: int, params: tuple[float, ...], done: Callable[[Answer], None], now_ns: int
    ) -> list[Any]:
        if self._camera is None:
            done(Answer(command, None))
            return []
        return [self._commands.send(self._camera, command, params, done, now_ns)]

    def _heartbeat(self, message: Any, system: int, component: int, now_ns: int) -> list[Any]:
        if component == 1 and message.autopilot != dialect.MAV_AUTOPILOT_INVALID:
            if self._vehicle is None:
                self._vehicle = system
            if system == self._vehicle:
                self._heard_ns = now_ns
                armed = bool(message.base_mode & dialect.MAV_MODE_FLAG_SAFETY_ARMED)
                self._note("vehicle", now_ns, system=system, armed=armed, mode=mode_name(message))
        elif message.type == dialect.MAV_TYPE_CAMERA:
            fresh = self._camera is None
            if fresh:
                self._camera = (system, component)
                self._ask_ns = now_ns  # everything at once
            if self._camera == (system, component):
                self._heard_ns = now_ns
                state = dialect.enums["MAV_STATE"].get(message.system_status)
                name = state.name.removeprefix("MAV_STATE_").lower() if state else str(message.system_status)
                self._note("camera", now_ns, system=system, component=component, state=name)
            return self.due(now_ns) if fresh else []
        return []

    def _questions(self, now_ns: int) -> list[Any]:
        """Asked again until answered; the intervals as long as the link lives, for leases end."""
        questions = []
        if "information" not in self._seen:
            questions.append((dialect.MAV_CMD_REQUEST_MESSAGE, (_INFORMATION,)))
        elif len(self._streams) < max(self._stream_count, 1):
            questions.append((dialect.MAV_CMD_REQUEST_MESSAGE, (_STREAMS, 0.0)))
        for message, rate_hz in ((_IMAGE_STATUS, STATUS_HZ), (_GEO_STATUS, POSITION_HZ)):
            if now_ns >= self._renew_ns.get(message, 0):
                self._renew_ns[message] = now_ns + _LEASE_NS
                questions.append((dialect.MAV_CMD_SET_MESSAGE_INTERVAL, (float(message), 1e6 / rate_hz)))
        assert self._camera is not None
        return [_command(self._camera, number, params) for number, params in questions] + self._telemetry(
            now_ns
        )

    def _telemetry(self, now_ns: int) -> list[Any]:
        """Asks the autopilot for place and heading while they do not come by themselves."""
        missing = [
            message
            for part, message in (("position", _POSITION), ("attitude", _ATTITUDE))
            if now_ns - self._seen.get(part, ({}, -LINK_LOST_NS))[1] >= LINK_LOST_NS
        ]
        if self._vehicle is None:
            return []
        interval = dialect.MAV_CMD_SET_MESSAGE_INTERVAL
        return [_command((self._vehicle, 1), interval, (float(m), 1e6 / POSITION_HZ)) for m in missing]

    def _note(self, part: str, now_ns: int, **values: Any) -> None:
        self._seen[part] = values, now_ns

    def _position(self, message: Any, component: int, now_ns: int) -> None:
        if component == 1:
            speed = math.hypot(message.vx, message.vy) / 100
            self._note(
                "position", now_ns, latitude_deg=message.lat / 1e7, longitude_deg=message.lon / 1e7,
                altitude_m=message.alt / 1e3, height_m=message.relative_alt / 1e3, speed_mps=round(speed, 2),
            )  # fmt: skip

    def _attitude(self, message: Any, component: int, now_ns: int) -> None:
        if component == 1:
            self._note("attitude", now_ns, heading_deg=round(math.degrees(message.yaw) % 360, 1))

    def _information(self, message: Any, component: int, now_ns: int) -> None:
        if self._camera is not None and component == self._camera[1]:
            version = [message.firmware_version >> shift & 255 for shift in (0, 8, 16)]
            self._note(
                "information", now_ns, vendor=_text(message.vendor_name), model=_text(message.model_name),
                firmware=".".join(map(str, version)), size_px=[message.resolution_h, message.resolution_v],
            )  # fmt: skip

    def _stream(self, message: Any, component: int, now_ns: int) -> None:
        self._stream_count = message.count
        self._streams[message.stream_id] = {
            "id": message.stream_id,
            "name": message.name,
            "uri": message.uri,
            "thermal": bool(message.flags & dialect.VIDEO_STREAM_STATUS_FLAGS_THERMAL),
            "running": bool(message.flags & dialect.VIDEO_STREAM_STATUS_FLAGS_RUNNING),
            "size_px": [message.resolution_h, message.resolution_v],
        }

    def _image_status(self, message: Any, component: int, now_ns: int) -> None:
        flags, box = message.tracking_status, None
        if flags & dialect.CAMERA_TRACKING_STATUS_FLAGS_ACTIVE:
            status = "coasting" if flags & _COASTING else "tracking"
            box = _box(message)
        else:
            status = "lost" if flags & dialect.CAMERA_TRACKING_STATUS_FLAGS_ERROR else "idle"
        self._note("track", now_ns, status=status, box=box)

    def _geo_status(self, message: Any, component: int, now_ns: int) -> None:
        if not message.tracking_status & dialect.CAMERA_TRACKING_STATUS_FLAGS_ACTIVE:
            self._seen.pop("target", None)
            return
        speed = math.hypot(message.vel_n, message.vel_e)
        self._note(
            "target", now_ns, latitude_deg=message.lat / 1e7, longitude_deg=message.lon / 1e7,
            altitude_m=_number(message.alt), sigma_m=_number(message.h_acc), range_m=_number(message.dist),
            speed_mps=_number(speed), course_deg=_number(math.degrees(message.hdg)),
            coasting=bool(message.tracking_status & _COASTING),
        )  # fmt: skip

    def _named_value(self, message: Any, component: int, now_ns: int) -> None:
        if math.isfinite(message.value):
            self._numbers[message.name] = float(message.value)

    def _status_text(self, message: Any, component: int, now_ns: int) -> None:
        text = message.text
        if message.id:
            parts = self._chunks.setdefault((component, message.id), {})
            parts[message.chunk_seq] = text
            if len(text.encode()) >= 50 and message.chunk_seq < 9:
                return
            text = "".join(parts[number] for number in sorted(self._chunks.pop((component, message.id))))
        self._text_number += 1
        self._texts.append({"number": self._text_number, "severity": message.severity, "text": text})

    def _acknowledged(self, message: Any, component: int, now_ns: int) -> None:
        if message.target_system in (0, self.identity.system):
            self._commands.answered(component, message.command, message.result)


_HANDLERS: dict[str, Callable[[GroundClient, Any, int, int], None]] = {
    "GLOBAL_POSITION_INT": GroundClient._position,
    "ATTITUDE": GroundClient._attitude,
    "CAMERA_INFORMATION": GroundClient._information,
    "VIDEO_STREAM_INFORMATION": GroundClient._stream,
    "CAMERA_TRACKING_IMAGE_STATUS": GroundClient._image_status,
    "CAMERA_TRACKING_GEO_STATUS": GroundClient._geo_status,
    "NAMED_VALUE_FLOAT": GroundClient._named_value,
    "STATUSTEXT": GroundClient._status_text,
    "COMMAND_ACK": GroundClient._acknowledged,
}


def _command(target: tuple[int, int], number: int, params: tuple[float, ...]) -> Any:
    return dialect.MAVLink_command_long_message(*target, number, 0, *params, *(NAN,) * (7 - len(params)))


def _box(message: Any) -> list[float] | None:
    """Left, top, width, height as fractions; a circle becomes the square round it."""
    if message.tracking_mode == dialect.CAMERA_TRACKING_MODE_POINT:
        x, y, r = message.point_x, message.point_y, message.radius
        values = [x - r, y - r, 2 * r, 2 * r]
    else:
        left, top = message.rec_top_x, message.rec_top_y
        values = [left, top, message.rec_bottom_x - left, message.rec_bottom_y - top]
    return [round(v, 5) for v in values] if all(map(math.isfinite, values)) else None


def _number(value: float) -> float | None:
    """NaN is "unknown", which JSON cannot say."""
    return round(value, 3) if math.isfinite(value) else None


def _text(letters: Any) -> str:
    """A name as pymavlink gives it: a list of character codes, filled up with zeros."""
    if isinstance(letters, str):
        return letters
    return bytes(letters).split(b"\0")[0].decode(errors="replace")
