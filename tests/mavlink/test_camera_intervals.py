"""Message intervals and their leases (sections 5.1 to 5.3)."""

import pytest
from camera_bench import ACCEPTED, DENIED, LATER, MS, NAN, Bench, S, of

from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.camera.intervals import DEFAULT, LEASE_NS, OFF, Intervals

STATUS = "CAMERA_TRACKING_IMAGE_STATUS"
SET, GET, STOP, RECTANGLE = 511, 510, 2010, 2005
QGC, OTHER = (255, 190), (254, 190)
WIFI, SERIAL = "udpin:127.0.0.1:14550", "serial:/dev/ttyTHS1:57600"
KIND = (275, 0)


@pytest.fixture
def bench():
    return Bench()


def statuses(sent):
    return len(of(STATUS, sent))


def interval_of(bench, message_id):
    (message,) = of("MESSAGE_INTERVAL", bench.command(GET, message_id))
    assert message.message_id == message_id
    return message.interval_us


@pytest.mark.parametrize("hz", [2, 10, 20])
def test_a_status_follows_the_requested_interval_within_a_tenth(bench, hz):
    """Acceptance 7, with a tracker at 30 Hz."""
    assert bench.result(SET, 275, 1e6 / hz) == ACCEPTED
    assert statuses(bench.tracking(10, hz=30)) == pytest.approx(10 * hz, rel=0.1)


def test_an_idle_camera_keeps_to_a_requested_interval_too(bench):
    bench.command(SET, 275, 100_000)
    sent = bench.run(5)
    assert statuses(sent) == pytest.approx(50, rel=0.1)
    assert {one.tracking_status for one in of(STATUS, sent)} == {0}


def test_asking_for_more_than_there_are_pictures_gives_every_picture(bench):
    bench.command(SET, 275, 20_000)
    assert statuses(bench.tracking(4, hz=10)) == pytest.approx(40, abs=1)


def test_of_two_requesters_the_faster_one_counts(bench):
    """Acceptance 7."""
    bench.command(SET, 275, 500_000)
    bench.command(SET, 275, 100_000, sender=OTHER)
    assert statuses(bench.tracking(5, hz=30)) == pytest.approx(50, rel=0.1)
    bench.command(SET, 275, -1, sender=OTHER)
    assert statuses(bench.tracking(5, hz=30)) == pytest.approx(10, abs=1)


def test_switching_off_ends_the_own_lease_and_with_the_last_one_the_default(bench):
    """Acceptance 7."""
    bench.command(SET, 275, 500_000)
    bench.command(SET, 275, 500_000, sender=OTHER)
    bench.command(SET, 275, -1)
    assert statuses(bench.tracking(2)) > 0
    bench.command(SET, 275, -1, sender=OTHER)
    assert statuses(bench.tracking(2)) == 0
    bench.command(RECTANGLE, 0.2, 0.2, 0.5, 0.5)
    assert statuses(bench.tracking(2)) == pytest.approx(10, abs=1)


def test_zero_goes_back_to_the_default(bench):
    """Acceptance 7; Mission Planner releases so."""
    bench.command(SET, 275, -1)
    assert statuses(bench.tracking(2)) == 0
    assert bench.result(SET, 275, 0) == ACCEPTED
    assert statuses(bench.tracking(2)) == pytest.approx(10, abs=1)
    bench.command(SET, 260, 100_000)
    bench.command(SET, 260, 0)
    assert of("CAMERA_SETTINGS", bench.run(2)) == []


@pytest.mark.parametrize("interval", [-2, NAN, -0.5, -1e9])
def test_intervals_that_are_none_are_denied(bench, interval):
    assert bench.result(SET, 275, interval) == DENIED


@pytest.mark.parametrize("message_id", [0, 1, 33, 148, 244, 261, 277, 390, 251, 65536, -1, 1e9, NAN, 275.5])
def test_messages_that_are_not_streamed_are_denied(bench, message_id):
    assert bench.result(SET, message_id, 1e6) == DENIED


@pytest.mark.parametrize("message_id", [259, 260, 262, 269, 270, 271, 275, 276])
def test_messages_of_the_camera_may_be_asked_for(bench, message_id):
    assert bench.result(SET, message_id, 1e6) == ACCEPTED
    assert bench.result(SET, message_id, 1e6, NAN, 100) == ACCEPTED
    assert bench.result(SET, message_id, 1e6, 0, 101) == DENIED


def test_intervals_are_held_within_20_ms_and_two_minutes(bench):
    bench.command(SET, 260, 1)
    assert interval_of(bench, 260) == 20_000
    bench.command(SET, 260, 1e12)
    assert interval_of(bench, 260) == 120_000_000


def test_the_interval_that_counts_is_told(bench):
    assert interval_of(bench, 0) == 1_000_000
    assert interval_of(bench, 275) == 200_000
    assert interval_of(bench, 260) == -1
    assert interval_of(bench, 30) == 0
    bench.command(SET, 275, 500_000)
    assert interval_of(bench, 275) == 500_000


def test_mission_planners_discovery_gets_the_information_at_once_and_every_30_s(bench):
    """Acceptance 3: 511(259, 30 s) and 510(259), answered by 259 and 244."""
    assert bench.result(SET, 259, 30_000_000) == ACCEPTED
    assert interval_of(bench, 259) == 30_000_000
    assert len(of("CAMERA_INFORMATION", bench.run(0.1))) == 1
    bench.beat()
    assert of("CAMERA_INFORMATION", bench.run(29)) == []
    bench.beat()
    assert len(of("CAMERA_INFORMATION", bench.run(2))) == 1


def test_streams_may_be_asked_for_one_by_one(bench):
    bench.command(SET, 270, 200_000, 2)
    sent = of("VIDEO_STREAM_STATUS", bench.run(1))
    assert {one.stream_id for one in sent} == {2}
    assert bench.result(SET, 270, 200_000, 3) == DENIED


def test_stream_addresses_go_only_where_they_were_asked_for(bench):
    bench.command(SET, 269, 500_000, endpoint=WIFI, local="10.0.0.5")
    sent = [one for _, one in bench.run(1) if one.message.get_type() == "VIDEO_STREAM_INFORMATION"]
    assert {one.endpoint for one in sent} == {WIFI}
    assert {one.message.uri.split(":")[1] for one in sent} == {"//10.0.0.5"}


def test_a_lease_dies_a_minute_after_its_requester_fell_silent(bench):
    bench.command(SET, 260, 1_000_000)
    assert len(of("CAMERA_SETTINGS", bench.run(80, every_ms=100))) == pytest.approx(61, abs=1)


def test_any_sign_of_life_keeps_a_lease(bench):
    bench.command(SET, 260, 10_000_000)
    for _ in range(10):
        bench.run(12, every_ms=100)
        bench.beat()
    assert len(of("CAMERA_SETTINGS", bench.sent)) >= 11


def test_leases_end_with_the_link_of_a_station_that_was_heard_only_there_r_ep_8(bench):
    for sender, endpoint in ((QGC, WIFI), (OTHER, WIFI), (OTHER, SERIAL)):
        bench.beat(sender, endpoint)
    bench.command(SET, 260, 100_000, sender=QGC, endpoint=WIFI)
    bench.command(SET, 262, 100_000, sender=OTHER, endpoint=WIFI)
    bench.camera.link_changed(WIFI, up=False)
    sent = bench.run(1)
    assert of("CAMERA_SETTINGS", sent) == []
    assert len(of("CAMERA_CAPTURE_STATUS", sent)) >= 9


def test_a_script_that_never_beats_keeps_its_lease_though_its_link_is_silent(bench):
    bench.command(SET, 260, 100_000)
    bench.camera.link_changed(WIFI, up=False)
    assert len(of("CAMERA_SETTINGS", bench.run(1))) >= 9


def test_a_session_begins_anew_with_its_link_r_vs_2(bench):
    for _ in range(2):
        assert len(of("VIDEO_STREAM_INFORMATION", bench.command(512, 259))) == 2
        assert of("VIDEO_STREAM_INFORMATION", bench.command(512, 259)) == []
        bench.camera.link_changed(WIFI, up=False)


def test_a_flood_of_requesters_and_leases_is_bounded():
    bench = Bench()
    results = []
    for system in range(1, 250):
        for message_id in (259, 260, 262, 271, 275, 276):
            results.append(bench.result(SET, message_id, 1e6, sender=(system, 190)))
    assert set(results) == {ACCEPTED, LATER}
    assert isinstance(bench.camera, CameraComponent)
    assert len(bench.camera._intervals._requesters) <= 32
    assert sum(len(r.leases) for r in bench.camera._intervals._requesters.values()) <= 64


def test_steps_of_the_interval_are_kept_though_the_timer_is_late():
    intervals = Intervals({275: 100_000})
    sent = 0
    for now_ns in range(0, 10 * S, 33 * MS):
        if intervals.is_due(KIND, now_ns):
            intervals.sent(KIND, now_ns)
            sent += 1
    assert 99 <= sent <= 101


def test_after_a_pause_the_stream_goes_on_without_making_up_for_it():
    intervals = Intervals({275: 100_000})
    intervals.sent(KIND, 0)
    assert intervals.is_due(KIND, 10 * S)
    intervals.sent(KIND, 10 * S)
    assert not intervals.is_due(KIND, 10 * S + 50 * MS)


def test_off_and_default_of_somebody_who_never_asked_change_the_default_only():
    intervals = Intervals({275: 200_000})
    intervals.heard(QGC, WIFI, 0)
    intervals.heard(OTHER, WIFI, 0)
    intervals.ask(OTHER, KIND, 50_000, 0)
    intervals.ask(QGC, KIND, OFF, 0)
    assert intervals.interval_us(KIND) == 50_000
    intervals.expire(LEASE_NS + 1)
    assert intervals.interval_us(KIND) == 200_000
    intervals.heard(QGC, WIFI, 0)
    intervals.ask(QGC, KIND, OFF, 0)
    assert intervals.interval_us(KIND) is None
    intervals.ask(QGC, KIND, DEFAULT, 0)
    assert intervals.interval_us(KIND) == 200_000
