"""Commands: whom they mean, what they may hold, how they are answered (sections 3.1 and 3.2)."""

import math

import pytest
from camera_bench import (
    ACCEPTED,
    DENIED,
    LATER,
    MS,
    NAN,
    RGB,
    THERMAL,
    UNSUPPORTED,
    Bench,
    of,
    read_back,
)
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.camera.commands import COMMANDS
from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.camera.profile import CameraProfile
from edge_rgbt.mavlink.exchange import Priority, Received, Speaker

POINT, RECTANGLE, STOP, REQUEST, SET, GET = 2004, 2005, 2010, 512, 511, 510
BOX = (0.25, 0.25, 0.75, 0.75)
INF = float("inf")


@pytest.fixture
def bench():
    return Bench()


def kinds(out):
    return [one.message.get_type() for one in out]


# Whom a command means.


@pytest.mark.parametrize("target", [(1, 100), (0, 100)])
def test_commands_for_our_system_or_every_system_are_ours_r_cmd_1(bench, target):
    assert bench.result(STOP, target=target) == ACCEPTED


@pytest.mark.parametrize("target", [(2, 100), (1, 101), (1, 1), (1, 191), (255, 0)])
def test_commands_for_others_are_passed_over_in_silence_r_cmd_1(bench, target):
    assert bench.command(STOP, target=target) == []


@pytest.mark.parametrize(
    ("number", "params"), [(REQUEST, (259,)), (RECTANGLE, BOX), (STOP, ()), (SET, (275, 1e5))]
)
def test_a_broadcast_that_we_implement_is_obeyed_and_acknowledged_r_cmd_2(bench, number, params):
    assert bench.result(number, *params, target=(0, 0)) == ACCEPTED


@pytest.mark.parametrize("number", [176, 400, 530, 531, 532, 2000, 2500, 2020, 65535])
def test_a_broadcast_that_we_do_not_implement_meets_silence_r_cmd_2(bench, number):
    assert bench.command(number, target=(1, 0)) == []


@pytest.mark.parametrize(("number", "params"), [(REQUEST, (148,)), (SET, (33, 1e5)), (GET, (33,))])
def test_a_broadcast_about_somebody_elses_message_meets_silence_r_cmd_2(bench, number, params):
    assert bench.command(number, *params, target=(0, 0)) == []


@pytest.mark.parametrize(
    "number", [176, 400, 529, 526, 533, 531, 532, 2000, 2001, 2500, 2501, 2020, 2021, 12345]
)
def test_what_we_never_do_is_unsupported_and_never_silent_r_cmd_3(bench, number):
    assert bench.result(number) == UNSUPPORTED


def test_a_camera_without_a_known_vehicle_says_nothing_r_id_1():
    camera = CameraComponent(CameraProfile(streams=(RGB,)))
    message = dialect.MAVLink_command_long_message(0, 0, REQUEST, 0, 259, *[NAN] * 6)
    assert camera.receive(Received(message, 255, 190, "udpin:127.0.0.1:1", 0)) == []
    assert camera.due(1) == []


def test_our_own_commands_that_come_back_over_a_loop_are_not_obeyed(bench):
    assert bench.command(STOP, sender=(1, 100)) == []


# How it is answered.


def test_the_answer_goes_back_to_its_sender_from_the_camera_r_cmd_4(bench):
    ack = bench.command(STOP, sender=(201, 33), endpoint="serial:/dev/ttyTHS1:57600")[0]
    assert (ack.endpoint, ack.speaker, ack.priority) == (
        "serial:/dev/ttyTHS1:57600", Speaker.CAMERA, Priority.ACK,
    )  # fmt: skip
    message = read_back(ack.message)
    assert (message.command, message.target_system, message.target_component) == (STOP, 201, 33)
    assert (message.get_srcSystem(), message.get_srcComponent()) == (1, 100)


def test_the_acknowledgement_comes_before_what_was_asked_for_r_cmd_6(bench):
    out = bench.command(REQUEST, 260)
    assert kinds(out) == ["COMMAND_ACK", "CAMERA_SETTINGS"]
    assert [one.endpoint for one in out] == ["udpin:127.0.0.1:14550"] * 2


def test_a_command_int_is_a_command_too(bench):
    message = dialect.MAVLink_command_int_message(1, 100, 0, RECTANGLE, 0, 0, *BOX, 0, 0, 0.0)
    assert bench.hear(message)[0].message.result == ACCEPTED
    assert len(bench.control.started) == 1


@pytest.mark.parametrize("x", [0, 100, 2**31 - 1])
def test_the_camera_of_a_command_int_is_its_x_r_cmd_10(bench, x):
    message = dialect.MAVLink_command_int_message(1, 100, 0, RECTANGLE, 0, 0, *BOX, x, 2**31 - 1, NAN)
    assert bench.hear(message)[0].message.result == ACCEPTED


def test_a_command_int_for_another_camera_is_denied_r_cmd_10(bench):
    message = dialect.MAVLink_command_int_message(1, 100, 0, RECTANGLE, 0, 0, *BOX, 101, 0, 0.0)
    assert bench.hear(message)[0].message.result == DENIED


@pytest.mark.parametrize(("number", "params"), [(POINT, (0.5, 0.5, 0.1)), (RECTANGLE, BOX), (STOP, ())])
@pytest.mark.parametrize("camera", [0.0, NAN, 100.0])
def test_the_camera_parameter_may_be_left_out_or_name_us_r_cmd_10(bench, number, params, camera):
    assert bench.result(number, *params, camera) == ACCEPTED


@pytest.mark.parametrize(("number", "params"), [(POINT, (0.5, 0.5, 0.1)), (RECTANGLE, BOX), (STOP, ())])
def test_the_parameter_of_another_camera_is_denied_and_broadcast_ignored_r_cmd_10(bench, number, params):
    assert bench.result(number, *params, 101.0) == DENIED
    assert bench.command(number, *params, 1.5, target=(1, 0)) == []
    assert bench.control.started == bench.control.stopped == []


# What is answered, table of section 3.2.


@pytest.mark.parametrize(
    ("number", "params", "kind", "count"),
    [
        (521, (1,), "CAMERA_INFORMATION", 1),
        (521, (0,), "CAMERA_INFORMATION", 1),  # a shipped Mission Planner asks so
        (522, (1,), "CAMERA_SETTINGS", 1),
        (525, (0, 1), "STORAGE_INFORMATION", 1),
        (525, (1, 1), "STORAGE_INFORMATION", 1),
        (527, (1,), "CAMERA_CAPTURE_STATUS", 1),
        (2504, (0,), "VIDEO_STREAM_INFORMATION", 2),
        (2504, (), "VIDEO_STREAM_INFORMATION", 2),
        (2504, (2,), "VIDEO_STREAM_INFORMATION", 1),
        (2505, (0,), "VIDEO_STREAM_STATUS", 2),
        (REQUEST, (259,), "CAMERA_INFORMATION", 1),
        (REQUEST, (260,), "CAMERA_SETTINGS", 1),
        (REQUEST, (261, 0), "STORAGE_INFORMATION", 1),
        (REQUEST, (262,), "CAMERA_CAPTURE_STATUS", 1),
        (REQUEST, (269, 0), "VIDEO_STREAM_INFORMATION", 2),
        (REQUEST, (269, 1), "VIDEO_STREAM_INFORMATION", 1),
        (REQUEST, (270,), "VIDEO_STREAM_STATUS", 2),
        (REQUEST, (271,), "CAMERA_FOV_STATUS", 1),
        (REQUEST, (275,), "CAMERA_TRACKING_IMAGE_STATUS", 1),
        (REQUEST, (244, 275), "MESSAGE_INTERVAL", 1),
    ],
)
def test_a_request_is_accepted_and_its_message_sent(bench, number, params, kind, count):
    bench.command(521)  # the session's first information brings the streams along
    bench.run(3)
    out = bench.command(number, *params)
    assert out[0].message.result == ACCEPTED
    assert kinds(out[1:]) == [kind] * count


@pytest.mark.parametrize(
    ("number", "params"),
    [
        (2504, (3,)), (2504, (-1,)), (2504, (1.5,)), (2505, (9,)), (REQUEST, (269, 3)), (525, (2, 1)),
        (REQUEST, (397,)), (REQUEST, (33,)), (REQUEST, (277,)), (REQUEST, (NAN,)), (REQUEST, (259.5,)),
        (REQUEST, (-1,)), (REQUEST, (1e30,)), (REQUEST, (390,)), (GET, (NAN,)), (GET, (70000,)),
        (530, (0, 1)),
    ],
)  # fmt: skip
def test_a_request_for_what_is_not_there_is_denied(bench, number, params):
    assert bench.result(number, *params) == DENIED


@pytest.mark.parametrize(
    ("number", "params"), [(REQUEST, (INF,)), (REQUEST, (259, 0, INF)), (SET, (275, INF)), (521, (INF,))]
)
def test_an_infinite_parameter_is_denied_r_cmd_7(bench, number, params):
    assert bench.result(number, *params) == DENIED


def test_a_stop_is_accepted_whatever_it_holds_and_however_often_r_cmd_7(bench):
    assert [bench.result(STOP) for _ in range(3)] == [ACCEPTED] * 3
    assert bench.result(STOP, NAN, INF, -INF) == ACCEPTED


def test_a_request_may_ask_for_an_answer_to_everybody(bench):
    assert bench.command(REQUEST, 260, 0, 0, 0, 0, 0, 2)[1].endpoint is None


def test_a_position_that_is_not_known_cannot_be_requested_now_r_gs_1(bench):
    assert bench.result(REQUEST, 276) == LATER


@pytest.mark.parametrize(
    ("profile", "ready", "size"),
    [
        (CameraProfile(streams=(RGB,)), False, (1280, 1024)),
        (CameraProfile(size_px=(800, 600)), False, (800, 600)),
        (CameraProfile(), True, (640, 512)),
        (CameraProfile(), False, (640, 480)),
    ],
)
def test_a_camera_describes_itself_before_its_first_picture(profile, ready, size):
    """Heartbeats begin at boot, and MAVSDK gives a camera up that does not answer then."""
    bench = Bench(profile)
    bench.control.ready = ready
    (message,) = of("CAMERA_INFORMATION", bench.command(REQUEST, 259))
    assert (message.resolution_h, message.resolution_v) == size


@pytest.mark.parametrize("number", [2502, 2503])
def test_stream_hints_are_accepted_for_streams_that_exist(bench, number):
    assert [bench.result(number, one) for one in (0, 1, 2, NAN)] == [ACCEPTED] * 4
    assert bench.result(number, 3) == DENIED
    assert Bench(CameraProfile()).result(number, 1) == UNSUPPORTED


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (0, 0, ACCEPTED),
        (1, 2, ACCEPTED),
        (NAN, NAN, ACCEPTED),
        (2, 1, DENIED),
        (3, 0, DENIED),
        (0, 3, DENIED),
    ],
)
def test_a_camera_source_is_accepted_where_it_is_what_is_shown(bench, first, second, result):
    assert bench.result(534, 0, first, second) == result


def test_all_streams_follow_the_first_information_of_a_session_main_one_last_r_vs_1_r_vs_2(bench):
    out = bench.command(REQUEST, 259)
    assert kinds(out) == ["COMMAND_ACK", "CAMERA_INFORMATION", *["VIDEO_STREAM_INFORMATION"] * 2]
    assert [message.stream_id for message in of("VIDEO_STREAM_INFORMATION", out)] == [2, 1]
    bench.run(3)
    assert kinds(bench.command(REQUEST, 259)) == ["COMMAND_ACK", "CAMERA_INFORMATION"]
    assert len(bench.command(REQUEST, 259, endpoint="tcpin:127.0.0.1:5760")) == 4  # a session of its own


@pytest.mark.parametrize(
    ("local", "public", "host"),
    [
        ("10.0.0.5", "", "10.0.0.5"),
        ("127.0.0.1", "", "192.0.2.7"),  # a router on this machine, ground stations behind it
        ("127.0.0.1", "drone.example", "drone.example"),
        ("", "", "192.0.2.7"),  # a serial line
        ("::1", "", "192.0.2.7"),
    ],
)
def test_stream_addresses_are_those_that_the_peer_can_reach(local, public, host):
    profile = CameraProfile(streams=(RGB, THERMAL), public_host=public)
    bench = Bench(profile, outward_host=lambda: "192.0.2.7")
    message = of("VIDEO_STREAM_INFORMATION", bench.command(2504, 1, local=local))[0]
    assert message.uri == f"rtsp://{host}:8554/rgb"


def test_a_machine_without_a_network_gives_the_address_that_it_has():
    message = of("VIDEO_STREAM_INFORMATION", Bench().command(2504, 1, local="127.0.0.1"))[0]
    assert message.uri == "rtsp://127.0.0.1:8554/rgb"


# Too many, and again.


def test_a_request_sent_again_is_answered_again_in_full_r_cmd_8(bench):
    assert kinds(bench.command(REQUEST, 260)) == kinds(bench.command(REQUEST, 260))


def test_more_than_fifty_commands_in_a_second_are_put_off_and_counted_r_cmd_9(bench):
    results = [bench.result(REQUEST, 260) for _ in range(80)]
    assert results == [ACCEPTED] * 50 + [LATER] * 30
    assert bench.camera.refused == 30
    assert bench.result(REQUEST, 260, sender=(254, 190)) == ACCEPTED  # others are not held up
    assert bench.result(STOP) == ACCEPTED  # and the operator can always let go
    bench.now_ns += 1100 * MS
    assert bench.result(REQUEST, 260) == ACCEPTED


@given(
    number=st.one_of(st.sampled_from(sorted(COMMANDS)), st.integers(0, 65535)),
    params=st.lists(st.floats(width=32), min_size=7, max_size=7),
    target=st.tuples(st.sampled_from((0, 1, 2)), st.sampled_from((0, 100, 1))),
)
def test_whatever_a_command_holds_it_gets_one_answer_or_none_and_never_raises(number, params, target):
    bench = Bench()
    out = bench.hear(dialect.MAVLink_command_long_message(*target, number, 0, *params))
    acks = of("COMMAND_ACK", out)
    if target[0] in (0, 1) and target[1] == 100:
        assert len(acks) == 1
    elif target[0] == 2 or target[1] == 1:
        assert out == []
    for one in [*out, *(sent for _, sent in bench.run(0.2))]:
        message = read_back(one.message)
        assert message.get_type() != "BAD_DATA"
        if message.get_type() == "CAMERA_TRACKING_IMAGE_STATUS" and message.tracking_status & 1:
            assert not math.isnan(message.rec_top_x)


@given(st.data())
def test_whatever_a_command_int_holds_never_raises(data):
    integers = st.integers(-(2**31), 2**31 - 1)
    params = [data.draw(st.floats(width=32)) for _ in range(4)]
    message = dialect.MAVLink_command_int_message(
        1, 100, data.draw(st.integers(0, 255)), data.draw(st.sampled_from(sorted(COMMANDS))), 0, 0, *params,
        data.draw(integers), data.draw(integers), data.draw(st.floats(width=32)),
    )  # fmt: skip
    assert len(of("COMMAND_ACK", Bench().hear(message))) == 1
