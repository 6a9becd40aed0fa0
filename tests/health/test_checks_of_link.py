"""What the doctor says of a MAVLink link: the verdicts by themselves, then against simulated autopilots."""

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from edge_rgbt.health.checks.finding import Site, Verdict
from edge_rgbt.health.checks.link import check_link, judge
from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, AutopilotSettings, SimulatedAutopilot
from edge_rgbt.mavlink.autopilot.server import AutopilotServer
from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.mavlink.probe import Sight
from edge_rgbt.sim.vehicle import Vehicle
from tests.mavlink.stations import Line, UdpEnd, Voice, free_port

SERIAL = parse_endpoint("serial:/dev/ttyTHS1:57600")
UDP = parse_endpoint("udpin:0.0.0.0:14550")
SEEN = Sight(opened=True, received_bytes=1000, frames=40)


def verdicts(endpoint=SERIAL, **seen):
    return list(judge(endpoint, replace(SEEN, **seen), 3.0))


def only(verdict, found):
    (one,) = [finding for finding in found if finding.verdict is verdict]
    return one


def test_bytes_that_are_no_messages_mean_a_wrong_baud_rate():
    finding = only(Verdict.WRONG, verdicts(frames=0))
    assert "no message among them" in finding.found
    assert "SERIALn_BAUD" in finding.advice


def test_silence_names_the_port_settings_of_both_autopilots():
    advice = only(Verdict.WRONG, verdicts(frames=0, received_bytes=0)).advice
    assert "SERIALn_PROTOCOL = 2" in advice
    assert "MAV_n_CONFIG" in advice


def test_a_device_that_this_user_may_not_open_names_the_group():
    problem = "[Errno 13] Permission denied: '/dev/ttyTHS1'"
    assert "dialout" in only(Verdict.WRONG, verdicts(opened=False, problem=problem)).advice


def test_several_vehicles_need_a_number():
    assert "mavlink.sysid" in only(Verdict.NOTE, verdicts(vehicles={1: 0, 2: 0})).advice


def test_a_second_camera_with_our_numbers_is_a_conflict():
    finding = only(Verdict.WRONG, verdicts(vehicles={7: 0}, doubles={(7, 100), (9, 100)}))
    assert "7/100" in finding.found
    assert "camera_compid" in finding.advice


def test_version_1_names_its_setting():
    finding = only(Verdict.WRONG, verdicts(vehicles={7: 0}, old={7}))
    assert "SERIALn_PROTOCOL = 2" in finding.advice


def test_messages_that_come_back_mean_a_loop():
    assert "TX and RX are joined" in only(Verdict.WRONG, verdicts(vehicles={7: 0}, echoed=True)).advice


def test_a_ground_station_without_a_vehicle_needs_a_number():
    finding = only(Verdict.NOTE, verdicts(UDP, others={(255, 190): 6}))
    assert "mavlink.sysid" in finding.advice


def test_forwarding_that_is_off_everywhere_is_named():
    off = {"MAV_0_FORWARD": 0, "MAV_1_FORWARD": 0}
    finding = only(Verdict.WRONG, verdicts(vehicles={1: 12}, parameters=off))
    assert "MAV_n_FORWARD = 1" in finding.advice


def test_forwarding_that_is_on_somewhere_is_worth_a_look():
    some = {"MAV_0_FORWARD": 1, "MAV_1_FORWARD": 0}
    assert "MAV_1_FORWARD is 0" in only(Verdict.NOTE, verdicts(vehicles={1: 12}, parameters=some)).found


def test_parameters_that_are_not_told_are_named_for_looking_up():
    assert "CAM1_TYPE" in only(Verdict.NOTE, verdicts(vehicles={1: 3})).advice


def test_a_ground_station_that_never_asks_may_have_no_route():
    seen = verdicts(vehicles={1: 0}, others={(255, 190): 6})
    assert "does not ask for our camera" in only(Verdict.NOTE, seen).found


def test_nothing_is_wrong_with_a_link_as_it_should_be():
    seen = verdicts(vehicles={1: 3}, parameters={"CAM1_TYPE": 6.0}, asked=True)
    assert {finding.verdict for finding in seen} == {Verdict.GOOD}


@contextmanager
def flying(stack, **parameters):
    """An endpoint of ours that leads to an autopilot."""
    settings, quiet = AutopilotSettings(system=7), replace(stack, streams={})
    autopilot = SimulatedAutopilot(Vehicle(), quiet, settings, began_ns=time.monotonic_ns())
    for name, value in parameters.items():
        autopilot.parameters[name] = value
    port = free_port()
    with AutopilotServer(
        autopilot, [parse_endpoint(f"tcpin:127.0.0.1:{port}"), parse_endpoint("udpout:127.0.0.1:9")]
    ):
        yield f"tcp:127.0.0.1:{port}"


def examined(url):
    return list(check_link(Site(configured=True, mavlink_urls=(url,), heartbeat_s=10.0)))


@pytest.mark.slow
def test_an_ardupilot_that_uses_our_camera_is_good():
    with flying(ARDUCOPTER) as url:
        found = examined(url)
    assert [finding.verdict for finding in found] == [Verdict.GOOD] * 2
    assert found[0].found.endswith("heartbeat of vehicle 7")
    assert "asked what it is" in found[1].found


@pytest.mark.slow
def test_an_ardupilot_with_another_camera_type_is_named():
    with flying(ARDUCOPTER, CAM1_TYPE=1) as url:
        assert "CAM1_TYPE is 1" in only(Verdict.WRONG, examined(url)).found


@pytest.mark.slow
def test_a_px4_that_does_not_forward_is_named():
    with flying(PX4, MAV_0_FORWARD=0, MAV_1_FORWARD=0) as url:
        assert "MAV_0_FORWARD, MAV_1_FORWARD is 0" in only(Verdict.WRONG, examined(url)).found


@pytest.mark.slow
def test_a_px4_that_forwards_is_good():
    with flying(PX4) as url:
        assert {finding.verdict for finding in examined(url)} == {Verdict.GOOD}


@contextmanager
def repeating(send, frame):
    stop = threading.Event()

    def run():
        while not stop.wait(0.1):
            send(frame())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
def test_a_vehicle_of_version_1_beside_another_camera_is_told(tmp_path):
    line, vehicle, camera = Line(tmp_path), Voice(7, 1), Voice(7, 100)

    def beats():
        return vehicle.heartbeat(2, 0, version_1=True) + camera.heartbeat(30)

    try:
        with repeating(line.send, beats):
            found = [finding.found for finding in examined(line.url) if finding.verdict is Verdict.WRONG]
    finally:
        line.unplug()
    assert any("MAVLink 1" in text for text in found)
    assert any("another camera speaks as 7/100" in text for text in found)


@pytest.mark.slow
def test_noise_on_a_line_is_told_from_silence(tmp_path):
    line = Line(tmp_path)
    try:
        with repeating(line.send, lambda: os.urandom(100)):
            site = Site(configured=True, mavlink_urls=(line.url,), heartbeat_s=1.0)
            (finding,) = check_link(site)
    finally:
        line.unplug()
    assert "no message among them" in finding.found


@pytest.mark.slow
def test_a_line_that_is_joined_to_itself_is_told(tmp_path):
    line = Line(tmp_path)
    echoing = threading.Event()
    line.ears.take = lambda data: (line.send(data), echoing.set())
    try:
        found = list(check_link(Site(configured=True, mavlink_urls=(line.url,), heartbeat_s=2.0)))
    finally:
        line.unplug()
    assert echoing.is_set()
    assert any("our own messages come back" in finding.found for finding in found)


def test_nobody_at_the_other_end_is_worth_knowing():
    with UdpEnd() as ground:
        port = ground.port
    site = Site(configured=True, mavlink_urls=(f"udpout:127.0.0.1:{port}",), heartbeat_s=0.2)
    (finding,) = check_link(site)
    assert (finding.verdict, "nobody answers" in finding.found) == (Verdict.NOTE, True)
