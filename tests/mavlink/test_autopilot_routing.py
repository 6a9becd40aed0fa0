"""Section 1.4: what the two stacks pass on of a camera beside them, and what they take for their own."""

from __future__ import annotations

import pytest

from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, Stack
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Speaker
from edge_rgbt.mavlink.heartbeat import heartbeat
from edge_rgbt.mavlink.messages import Health
from tests.mavlink.simulated_autopilots import SYSTEM, Bench

BOTH = pytest.mark.parametrize("stack", [PX4, ARDUCOPTER], ids=lambda stack: stack.name)
CAMERA = 100
TRACK = dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE


def at_ground(bench: Bench, kind: str) -> list[tuple[int, int]]:
    """(system, component) of those whose message of this kind came out at the ground station."""
    return [(s.system, s.component) for s in bench.steps.ground if s.kind == kind]


def camera_beats(bench: Bench) -> None:
    bench.say(heartbeat(Speaker.CAMERA, Health.STANDBY), Speaker.CAMERA)
    bench.run(0.1)


def track_from_ground(bench: Bench) -> None:
    bench.steps.say(
        dialect.MAVLink_command_long_message(SYSTEM, CAMERA, TRACK, 0, 0.4, 0.4, 0.6, 0.6, 0, 0, 0)
    )
    bench.run(0.1)


@BOTH
def test_the_cameras_heartbeat_reaches_the_ground(stack: Stack) -> None:
    bench = Bench(stack)
    camera_beats(bench)
    assert (SYSTEM, CAMERA) in at_ground(bench, "HEARTBEAT")


@BOTH
def test_a_command_to_the_camera_reaches_it_and_nobody_answers_for_it(stack: Stack) -> None:
    bench = Bench(stack)
    camera_beats(bench)
    track_from_ground(bench)
    assert [s.message.command for s in bench.heard("COMMAND_LONG") if s.system == 255] == [TRACK]
    assert at_ground(bench, "COMMAND_ACK") == []


@BOTH
def test_the_cameras_answer_goes_back_to_the_ground(stack: Stack) -> None:
    bench = Bench(stack)
    camera_beats(bench)
    track_from_ground(bench)
    bench.say(dialect.MAVLink_command_ack_message(TRACK, 0, 0, 0, 255, 190), Speaker.CAMERA)
    bench.run(0.1)
    assert at_ground(bench, "COMMAND_ACK") == [(SYSTEM, CAMERA)]


def test_before_its_first_heartbeat_arducopter_answers_for_the_camera() -> None:
    bench = Bench(ARDUCOPTER)
    track_from_ground(bench)
    answers = [s for s in bench.steps.ground if s.kind == "COMMAND_ACK"]
    assert [(s.component, s.message.result) for s in answers] == [(1, dialect.MAV_RESULT_UNSUPPORTED)]


def test_before_its_first_heartbeat_px4_drops_commands_to_the_camera() -> None:
    bench = Bench(PX4)
    track_from_ground(bench)
    assert at_ground(bench, "COMMAND_ACK") == []
    assert bench.heard("COMMAND_LONG") == []


@BOTH
def test_untargeted_messages_are_passed_on(stack: Stack) -> None:
    bench = Bench(stack)
    bench.steps.say(dialect.MAVLink_heartbeat_message(6, 8, 0, 0, 4, 3))
    camera_beats(bench)
    bench.say(dialect.MAVLink_statustext_message(4, b"target lost"), Speaker.CAMERA)
    bench.run(0.1)
    assert at_ground(bench, "STATUSTEXT") == [(SYSTEM, CAMERA)]


def test_px4_passes_nothing_on_from_a_link_without_forwarding() -> None:
    bench = Bench(PX4)
    bench.autopilot.parameters["MAV_0_FORWARD"] = 0
    camera_beats(bench)
    assert (SYSTEM, CAMERA) not in at_ground(bench, "HEARTBEAT")


def test_px4_still_obeys_on_a_link_without_forwarding() -> None:
    bench = Bench(PX4)
    bench.autopilot.parameters["MAV_0_FORWARD"] = 0
    assert bench.take_gimbal() == dialect.MAV_RESULT_ACCEPTED


def test_what_is_for_another_vehicle_is_not_obeyed() -> None:
    bench = Bench(ARDUCOPTER)
    bench.say(dialect.MAVLink_command_long_message(SYSTEM + 1, 1, 1001, 0, 255, 190, -1, -1, 0, 0, 0))
    bench.run(0.2)
    assert bench.heard("COMMAND_ACK") == []
    assert bench.autopilot.gimbal.control == (0, 0)


def test_forwarded_frames_keep_source_and_sequence() -> None:
    bench = Bench(ARDUCOPTER)
    for _ in range(3):
        camera_beats(bench)
    beats = [s.message for s in bench.steps.ground if s.component == CAMERA]
    assert [beat.get_seq() for beat in beats] == [0, 1, 2]


def test_arducopter_finds_the_camera_asks_once_a_second_and_tells_the_operator() -> None:
    """Section 6.4, CAM1_TYPE 6."""
    bench = Bench(ARDUCOPTER)
    camera_beats(bench)
    bench.run(2.5)
    asked = [s.message for s in bench.heard("COMMAND_LONG") if s.message.target_component == CAMERA]
    assert [(a.command, a.param1) for a in asked] == [(512, 259.0)] * 3
    names = [list(name.ljust(32, b"\0")) for name in (b"edge-rgbt", b"tracker")]
    nan = float("nan")
    bench.say(
        dialect.MAVLink_camera_information_message(0, *names, 1, nan, nan, nan, 640, 512, 0, 1536, 0, b""),
        Speaker.CAMERA,
    )
    bench.run(2.0)
    texts = [s.message.text for s in bench.steps.ground if s.kind == "STATUSTEXT"]
    assert texts == ["Camera: edge-rgbt tracker"]
    assert len(bench.heard("COMMAND_LONG")) == 3
    bench.steps.say(dialect.MAVLink_command_long_message(SYSTEM, 1, 512, 0, 259, 0, 0, 0, 0, 0, 0))
    bench.run(0.2)
    assert (SYSTEM, 1) in at_ground(bench, "CAMERA_INFORMATION")


def test_arducopter_looks_for_a_camera_only_in_its_first_minute_while_armed() -> None:
    bench = Bench(ARDUCOPTER)
    bench.run(60.0)
    camera_beats(bench)
    bench.run(2.0)
    assert bench.heard("COMMAND_LONG") == []
