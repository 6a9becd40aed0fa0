"""One table of every command we answer, one function each, and the desk that applies the common rules."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_rgbt.mavlink.camera.command import Answered, Command, RateLimit
from edge_rgbt.mavlink.camera.control import StartRequest, TrackControl
from edge_rgbt.mavlink.camera.facts import (
    CAPTURE,
    HEARTBEAT,
    INFORMATION,
    NUMBERED,
    SETTINGS,
    STORAGE,
    STREAM,
    STREAM_STATUS,
    TARGET,
    TARGET_PLACE,
    Facts,
    Unavailable,
)
from edge_rgbt.mavlink.camera.intervals import DEFAULT, OFF, Intervals
from edge_rgbt.mavlink.camera.notices import WARNING, Notices
from edge_rgbt.mavlink.camera.selection import Refused, Selector
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Received
from edge_rgbt.mavlink.messages import TargetPhase
from edge_rgbt.types import Box

LOG = logging.getLogger(__name__)
ACCEPTED = dialect.MAV_RESULT_ACCEPTED
LATER = dialect.MAV_RESULT_TEMPORARILY_REJECTED
DENIED = dialect.MAV_RESULT_DENIED
UNSUPPORTED = dialect.MAV_RESULT_UNSUPPORTED
_HEARTBEAT_US = 1_000_000
_LOG_EVERY_NS = 1_000_000_000
_NOT_STREAMED = (STORAGE,)  # sent on request only
_TO_EVERYBODY = 2  # REQUEST_MESSAGE's response target
_SOURCES_SHOWN = {
    0: (0, 1),
    1: (0, 2),
}  # of SET_CAMERA_SOURCE: default or RGB first, default or thermal second


@dataclass(frozen=True, slots=True)
class Answer:
    """result: MAV_RESULT. messages: what was asked for, sent after the acknowledgement (R-CMD-6); to_all: on
    every endpoint. ended: a track was stopped. silent: no answer if the command was sent to everybody.
    """

    result: int
    messages: list[Any] = field(default_factory=list)
    to_all: bool = False
    ended: bool = False
    silent: bool = False


NOT_OURS = Answer(DENIED, silent=True)


class CommandDesk:
    """Answers commands. Remembers who sends too many, and how selections were answered."""

    def __init__(
        self,
        facts: Facts,
        intervals: Intervals,
        notices: Notices,
        selector: Selector,
        component: int,
        may_start: Callable[[Received], bool],
    ) -> None:
        """component: ours, for parameters that name a camera. may_start: whether this sender may select."""
        self.facts, self.intervals, self.notices, self.selector = facts, intervals, notices, selector
        self.component, self.may_start = component, may_start
        self.limit, self.answered = RateLimit(), Answered()
        self._told_ns = -_LOG_EVERY_NS

    @property
    def control(self) -> TrackControl:
        return self.facts.control

    def tell_refusal(self, command: Command, reason: str) -> None:
        """To the operator, and to the log once a second at most."""
        self.notices.say(WARNING, f"Selection refused: {reason}")
        if command.arrival_ns - self._told_ns >= _LOG_EVERY_NS:
            self._told_ns = command.arrival_ns
            LOG.warning("selection by %d/%d refused: %s", *command.sender, reason)

    def answer(self, command: Command, host: str) -> Answer | None:
        """None: say nothing. host: our address as the sender reaches it."""
        perform = COMMANDS.get(command.number)
        if perform is None:
            # Acknowledging a broadcast that is not for cameras, such as arming, would mislead its sender.
            return None if command.broadcast else Answer(UNSUPPORTED)
        # Whatever else a sender floods us with, the operator must be able to let go.
        if perform is not _stop and not self.limit.admits(command.sender, command.arrival_ns):
            return Answer(LATER)
        camera = _CAMERA_PARAMETER.get(command.number)
        if camera is not None and command.number_at(camera) not in (0, self.component):
            return None if command.broadcast else Answer(DENIED)
        if command.infinite and perform not in (_stop, _track_point, _track_rectangle):
            return Answer(DENIED)
        answer = perform(self, command, host)
        return None if answer.silent and command.broadcast else answer


def _track_point(desk: CommandDesk, command: Command, host: str) -> Answer:
    x, y, radius = command.params[:3]
    return _start(desk, command, lambda picture: desk.selector.point(x, y, radius, picture))


def _track_rectangle(desk: CommandDesk, command: Command, host: str) -> Answer:
    return _start(desk, command, lambda picture: desk.selector.rectangle(command.params[:4], picture))


def _start(desk: CommandDesk, command: Command, select: Callable[[Any], Box]) -> Answer:
    """Section 3.3. ACCEPTED: queued and attempted, the status says what comes of it."""
    before = desk.answered.before(command)
    if before is not None:
        return Answer(before)  # R-CMD-8
    answer = _selected(desk, command, select)
    desk.answered.note(command, answer.result)
    return answer


def _selected(desk: CommandDesk, command: Command, select: Callable[[Any], Box]) -> Answer:
    try:
        if not desk.may_start(command.received):  # R-SEC-5
            raise Refused("not an allowed source")
        picture = desk.selector.usable(desk.control.picture(), command.arrival_ns)
        box = select(picture)
        if command.infinite:
            raise Refused("a parameter is infinite")
    except Refused as refused:
        desk.tell_refusal(command, str(refused))
        return Answer(LATER if refused.for_now else DENIED)
    target = desk.facts.target
    track_id = target.begin()
    target.requested(box, picture.width, picture.height, command.arrival_ns)
    desk.facts.solution.discard()
    latency_ns = round(desk.selector.rules.click_latency_ms * 1e6)
    shown_ns = command.arrival_ns - latency_ns if latency_ns else None
    desk.control.start(StartRequest(track_id, box, command.sender, shown_ns))
    desk.intervals.resume((TARGET, TARGET_PLACE))
    LOG.info("track %d: %d/%d selected %.0f,%.0f %.0fx%.0f px", track_id, *command.sender, *box.as_tuple())
    return Answer(ACCEPTED)


def _stop(desk: CommandDesk, command: Command, host: str) -> Answer:
    """Always accepted, since ground stations send it twice and show an error otherwise."""
    target = desk.facts.target
    desk.answered.clear()
    desk.control.stop(command.sender)
    ended = target.phase(command.arrival_ns) is not TargetPhase.IDLE
    target.stopped()
    if ended:
        LOG.info("track %d: stopped by %d/%d", target.track_id, *command.sender)
    return Answer(ACCEPTED, ended=ended)


def _request_message(desk: CommandDesk, command: Command, host: str) -> Answer:
    message_id, which = command.number_at(1), command.number_at(2)
    if message_id is None or which is None or not command.given(1):
        return Answer(DENIED)
    if message_id == dialect.MAVLINK_MSG_ID_MESSAGE_INTERVAL:
        return Answer(ACCEPTED, [_message_interval(desk, which)]) if 0 <= which <= 65535 else Answer(DENIED)
    answer = _said(desk, command, message_id, which, host)
    to_all = command.params[6] == _TO_EVERYBODY
    return Answer(answer.result, answer.messages, to_all, silent=answer.silent)


def _request(message_id: int, which_position: int | None = None) -> Callable[..., Answer]:
    """A request of the time before REQUEST_MESSAGE; its other parameters have no meaning that counts."""

    def perform(desk: CommandDesk, command: Command, host: str) -> Answer:
        which = 0 if which_position is None else command.number_at(which_position)
        return Answer(DENIED) if which is None else _said(desk, command, message_id, which, host)

    return perform


def _said(desk: CommandDesk, command: Command, message_id: int, which: int, host: str) -> Answer:
    try:
        return Answer(ACCEPTED, desk.facts.messages(message_id, which, host, command.arrival_ns))
    except Unavailable as reason:
        return Answer(LATER) if reason.for_now else Answer(DENIED, silent=not desk.facts.offers(message_id))


def _set_message_interval(desk: CommandDesk, command: Command, host: str) -> Answer:
    message_id, which, camera = (command.number_at(position) for position in (1, 3, 4))
    interval_us = command.params[1]
    if message_id is None or not command.given(1) or message_id in _NOT_STREAMED:
        return NOT_OURS
    if not desk.facts.offers(message_id):  # the heartbeat among them, whose rate is fixed
        return NOT_OURS
    if which is None or camera not in (0, desk.component):
        return Answer(DENIED)
    which = which if message_id in NUMBERED else 0
    if message_id in NUMBERED and not 0 <= which <= len(desk.facts.profile.streams):
        return Answer(DENIED)
    if math.isnan(interval_us) or (interval_us <= 0 and interval_us not in (OFF, DEFAULT)):
        return Answer(DENIED)
    wanted_us = max(1, round(interval_us)) if interval_us > 0 else int(interval_us)
    taken = desk.intervals.ask(command.sender, (message_id, which), wanted_us, command.arrival_ns)
    return Answer(ACCEPTED if taken else LATER)


def _get_message_interval(desk: CommandDesk, command: Command, host: str) -> Answer:
    message_id = command.number_at(1)
    if message_id is None or not command.given(1) or not 0 <= message_id <= 65535:
        return NOT_OURS
    offered = message_id == HEARTBEAT or desk.facts.offers(message_id)
    return Answer(ACCEPTED, [_message_interval(desk, message_id)], silent=not offered)


def _message_interval(desk: CommandDesk, message_id: int) -> Any:
    """MESSAGE_INTERVAL (244): -1 for what does not flow, 0 for what we do not have."""
    interval_us = 0
    if message_id == HEARTBEAT:
        interval_us = _HEARTBEAT_US
    elif desk.facts.offers(message_id):
        flowing = desk.intervals.shortest_us(message_id)
        interval_us = OFF if flowing is None else max(flowing, 1)
    return dialect.MAVLink_message_interval_message(message_id, interval_us)


def _stream_hint(desk: CommandDesk, command: Command, host: str) -> Answer:
    """Start and stop of a stream: who watches opens and closes it anyway, and others go on watching."""
    which, count = command.number_at(1), len(desk.facts.profile.streams)
    if not count:
        return Answer(UNSUPPORTED, silent=True)
    return Answer(ACCEPTED if which is not None and 0 <= which <= count else DENIED)


def _set_camera_source(desk: CommandDesk, command: Command, host: str) -> Answer:
    """Each stream shows its sensor, and both stay in the tracker; what is so, is accepted."""
    shown = all(command.number_at(2 + position) in _SOURCES_SHOWN[position] for position in _SOURCES_SHOWN)
    return Answer(ACCEPTED if shown else DENIED)


def _denied(desk: CommandDesk, command: Command, host: str) -> Answer:
    return Answer(DENIED, silent=True)


def _unsupported(desk: CommandDesk, command: Command, host: str) -> Answer:
    return Answer(UNSUPPORTED, silent=True)


_Perform = Callable[[CommandDesk, Command, str], Answer]

# Section 3.2. What stands here as unsupported is so by decision; anything that is missing is unsupported too.
COMMANDS: dict[int, _Perform] = {
    dialect.MAV_CMD_CAMERA_TRACK_POINT: _track_point,
    dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE: _track_rectangle,
    dialect.MAV_CMD_CAMERA_STOP_TRACKING: _stop,
    dialect.MAV_CMD_REQUEST_MESSAGE: _request_message,
    dialect.MAV_CMD_SET_MESSAGE_INTERVAL: _set_message_interval,
    dialect.MAV_CMD_GET_MESSAGE_INTERVAL: _get_message_interval,
    dialect.MAV_CMD_REQUEST_CAMERA_INFORMATION: _request(INFORMATION),  # some clients send 0, and mean it
    dialect.MAV_CMD_REQUEST_CAMERA_SETTINGS: _request(SETTINGS),
    dialect.MAV_CMD_REQUEST_STORAGE_INFORMATION: _request(STORAGE, which_position=1),
    dialect.MAV_CMD_REQUEST_CAMERA_CAPTURE_STATUS: _request(CAPTURE),
    dialect.MAV_CMD_REQUEST_VIDEO_STREAM_INFORMATION: _request(STREAM, which_position=1),
    dialect.MAV_CMD_REQUEST_VIDEO_STREAM_STATUS: _request(STREAM_STATUS, which_position=1),
    dialect.MAV_CMD_VIDEO_START_STREAMING: _stream_hint,
    dialect.MAV_CMD_VIDEO_STOP_STREAMING: _stream_hint,
    dialect.MAV_CMD_SET_CAMERA_SOURCE: _set_camera_source,
    dialect.MAV_CMD_SET_CAMERA_MODE: _denied,  # no modes are advertised
    dialect.MAV_CMD_SET_CAMERA_ZOOM: _unsupported,
    dialect.MAV_CMD_SET_CAMERA_FOCUS: _unsupported,
    dialect.MAV_CMD_RESET_CAMERA_SETTINGS: _unsupported,
    dialect.MAV_CMD_STORAGE_FORMAT: _unsupported,  # nobody wipes a flight by radio
    dialect.MAV_CMD_SET_STORAGE_USAGE: _unsupported,
    dialect.MAV_CMD_IMAGE_START_CAPTURE: _unsupported,
    dialect.MAV_CMD_IMAGE_STOP_CAPTURE: _unsupported,
    dialect.MAV_CMD_VIDEO_START_CAPTURE: _unsupported,  # the flight is recorded from beginning to end
    dialect.MAV_CMD_VIDEO_STOP_CAPTURE: _unsupported,
}
# Where these hold the number of the camera that is meant (R-CMD-10).
_CAMERA_PARAMETER = {
    dialect.MAV_CMD_CAMERA_TRACK_POINT: 4,
    dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE: 5,
    dialect.MAV_CMD_CAMERA_STOP_TRACKING: 1,
}
