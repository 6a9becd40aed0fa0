"""The ground station's part of the conversation, with exact times and no network."""

from __future__ import annotations

import math
from typing import Any

import pytest

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.ground import Answer, GroundClient, GroundIdentity

SECOND = 1_000_000_000
NAN = math.nan
VEHICLE = dialect.MAVLink_heartbeat_message(dialect.MAV_TYPE_QUADROTOR, 3, 128, 4, 4, 3)
CAMERA = dialect.MAVLink_heartbeat_message(dialect.MAV_TYPE_CAMERA, 8, 0, 0, 3, 3)


@pytest.fixture
def client() -> GroundClient:
    """One that has heard vehicle 7 and its camera at time 0."""
    made = GroundClient()
    made.receive(VEHICLE, 7, 1, 0)
    made.receive(CAMERA, 7, 100, 0)
    return made


def kinds(messages: list[Any]) -> list[str]:
    return [message.get_type() for message in messages]


def asked(messages: list[Any]) -> list[tuple[int, float]]:
    return [(m.command, m.param1) for m in messages if m.get_type() == "COMMAND_LONG"]


def status(flags: int, mode: int = 2, box: tuple[float, ...] = (0.4, 0.3, 0.5, 0.6)) -> Any:
    return dialect.MAVLink_camera_tracking_image_status_message(flags, mode, 4, NAN, NAN, NAN, *box)


def acknowledge(command: int, result: int, system: int = 252) -> Any:
    return dialect.MAVLink_command_ack_message(command, result, 0, 0, system, 190)


def test_it_is_no_ground_station_that_an_autopilot_waits_for():
    assert GroundIdentity().system != 255
    with pytest.raises(UsageError):
        GroundIdentity(0)


def test_it_beats_once_a_second_whether_or_not_anybody_is_there():
    client = GroundClient()
    beats = [now for now in range(0, 5 * SECOND, SECOND // 20) if kinds(client.due(now)) == ["HEARTBEAT"]]
    assert len(beats) == 5


def test_a_camera_is_asked_what_it_is_at_its_first_heartbeat():
    client = GroundClient()
    client.receive(VEHICLE, 7, 1, 0)
    questions = asked(client.receive(CAMERA, 7, 100, 0))
    assert (dialect.MAV_CMD_REQUEST_MESSAGE, 259) in questions
    assert (dialect.MAV_CMD_SET_MESSAGE_INTERVAL, 275) in questions


def test_a_question_without_an_answer_is_asked_again(client):
    client.due(0)
    later = [q for now in range(0, 9 * SECOND, SECOND // 10) for q in asked(client.due(now))]
    assert later.count((dialect.MAV_CMD_REQUEST_MESSAGE, 259)) == 4


def test_intervals_are_renewed_before_their_lease_ends(client):
    client.due(0)
    renewed = [q for now in range(0, 59 * SECOND, SECOND // 2) for q in asked(client.due(now))]
    assert renewed.count((dialect.MAV_CMD_SET_MESSAGE_INTERVAL, 275)) >= 2


def test_the_autopilot_is_asked_for_its_place_while_it_does_not_come(client):
    def asked_for_position(now: int) -> bool:
        return any(
            m.target_component == 1 and m.param1 == 33
            for m in client.due(now)
            if m.get_type() == "COMMAND_LONG"
        )

    assert asked_for_position(2 * SECOND)
    client.receive(dialect.MAVLink_global_position_int_message(0, 1, 1, 1, 1, 0, 0, 0, 0), 7, 1, 3 * SECOND)
    assert not any(asked_for_position(now) for now in range(3 * SECOND, 8 * SECOND, SECOND // 4))
    assert any(asked_for_position(now) for now in range(8 * SECOND, 11 * SECOND, SECOND // 4))


def test_a_selection_is_sent_again_until_it_is_answered(client):
    answers: list[Answer] = []
    first = client.track((0.1, 0.2, 0.3, 0.4), answers.append, 0)
    again = [m for now in (SECOND // 2, SECOND) for m in client.due(now) if m.get_type() == "COMMAND_LONG"]
    repeated = [m for m in again if m.command == dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE]
    client.receive(acknowledge(dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE, 0), 7, 100, SECOND)
    assert (first[0].param1, first[0].param4) == pytest.approx((0.1, 0.4))
    assert math.isnan(first[0].param7)
    assert len(repeated) == 2
    assert [answer.accepted for answer in answers] == [True]


def test_silence_ends_a_command_after_two_seconds(client):
    answers: list[Answer] = []
    client.stop(answers.append, 0)
    for now in range(0, 3 * SECOND, SECOND // 10):
        client.due(now)
    assert [answer.text for answer in answers] == ["no answer"]


def test_a_refusal_is_told_in_words(client):
    answers: list[Answer] = []
    client.track((0, 0, 0.001, 0.001), answers.append, 0)
    client.receive(acknowledge(dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE, 2), 7, 100, 1)
    assert [answer.text for answer in answers] == ["refused"]


def test_an_answer_to_another_station_is_not_ours(client):
    answers: list[Answer] = []
    client.stop(answers.append, 0)
    client.receive(acknowledge(dialect.MAV_CMD_CAMERA_STOP_TRACKING, 0, system=255), 7, 100, 1)
    assert answers == []


def test_without_a_camera_a_selection_fails_at_once():
    answers: list[Answer] = []
    assert GroundClient().track((0, 0, 1, 1), answers.append, 0) == []
    assert [answer.result for answer in answers] == [None]


@pytest.mark.parametrize(("flags", "shown"), [(1, "tracking"), (1 | 8, "coasting"), (2, "lost"), (0, "idle")])
def test_the_status_of_the_track_is_told_in_words(client, flags, shown):
    client.receive(status(flags), 7, 100, SECOND)
    track = client.state(2 * SECOND)["track"]
    assert track["status"] == shown
    assert track["age_ms"] == 1000
    assert track["box"] == (pytest.approx([0.4, 0.3, 0.1, 0.3], abs=1e-4) if flags & 1 else None)


def test_a_position_that_ended_is_not_shown(client):
    position = [int(47.4e7), int(8.5e7), 490.0, 3.0, 4.0, 1.0, 0.0, 0.0, NAN, 60.0, NAN, NAN]
    client.receive(dialect.MAVLink_camera_tracking_geo_status_message(1, *position), 7, 100, 1)
    assert client.state(2)["target"]["course_deg"] is None
    client.receive(dialect.MAVLink_camera_tracking_geo_status_message(2, *position), 7, 100, 2)
    assert client.state(3)["target"] is None


def test_another_vehicle_on_the_same_radio_is_not_mixed_in(client):
    client.receive(VEHICLE, 9, 1, 1)
    client.receive(status(1), 9, 100, 1)
    state = client.state(2)
    assert state["vehicle"]["system"] == 7
    assert state["track"] is None


def test_a_long_text_is_put_together(client):
    letters = "x" * 50
    client.receive(dialect.MAVLink_statustext_message(4, letters.encode(), 3, 0), 7, 100, 1)
    client.receive(dialect.MAVLink_statustext_message(4, b"end", 3, 1), 7, 100, 2)
    assert [text["text"] for text in client.state(3)["texts"]] == [letters + "end"]


def test_a_silent_drone_is_said_to_be_silent(client):
    assert client.state(SECOND)["link"]["up"]
    assert client.state(6 * SECOND)["link"] == {"up": False, "silent_ms": 6000}
