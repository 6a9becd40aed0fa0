"""What the ground is told of the target, in time: 275 (R-TS), 276 (R-GS), the heartbeat's state, texts."""

import math

import pytest
from camera_bench import MS, RGB, THERMAL, Bench, of, state

from edge_rgbt.mavlink.camera.about import StreamState
from edge_rgbt.mavlink.camera.diagnostics import ComputerStatus
from edge_rgbt.mavlink.camera.profile import CameraProfile, Reporting
from edge_rgbt.mavlink.exchange import Priority, Speaker
from edge_rgbt.mavlink.messages import Health
from edge_rgbt.types import Box, TargetPosition, TrackStatus, Usable

STATUS, PLACE = "CAMERA_TRACKING_IMAGE_STATUS", "CAMERA_TRACKING_GEO_STATUS"
RECTANGLE, STOP, SET = 2005, 2010, 511
BOX = (0.25, 0.25, 0.75, 0.75)
TRACKING, UNCERTAIN, LOST = TrackStatus.TRACKING, TrackStatus.UNCERTAIN, TrackStatus.LOST


@pytest.fixture
def bench():
    return Bench()


def flags(sent):
    return [message.tracking_status for message in of(STATUS, sent)]


def test_an_idle_camera_sends_no_status(bench):
    assert of(STATUS, bench.run(3)) == []


def test_a_track_is_told_five_times_a_second_unasked(bench):
    sent = flags(bench.tracking(4))
    assert set(sent) == {1}
    assert 19 <= len(sent) <= 22


def test_a_slower_tracker_is_told_with_every_picture_only(bench):
    assert 7 <= len(flags(bench.tracking(4, hz=2))) <= 9


def test_a_strict_camera_tells_only_who_asks():
    bench = Bench(CameraProfile(streams=(RGB,), reporting=Reporting(image_status_hz=0)))
    assert flags(bench.tracking(2)) == []
    bench.command(SET, 275, 100_000)
    assert 18 <= len(flags(bench.tracking(2))) <= 22


def test_every_state_is_told_where_no_rate_is_configured():
    bench = Bench(CameraProfile(reporting=Reporting(image_status_hz=None)))
    assert 48 <= len(flags(bench.tracking(2, hz=25))) <= 51


def test_a_loss_clears_active_within_200_ms_whatever_the_rate_r_ts_5(bench):
    bench.command(SET, 275, 2_000_000)
    bench.tracking(1.0)
    bench.publish(LOST)
    lost_ns = bench.now_ns
    told = next(when for when, one in bench.run(0.2) if one.message.get_type() == STATUS)
    assert flags(bench.sent)[-1] == 2
    assert told - lost_ns <= 200 * MS


def test_coasting_is_flagged_and_bounded_r_ts_5(bench):
    bench.tracking(0.5)
    began_ns, sent = bench.now_ns, []
    for step in range(75):  # 3 s of predictions at 25 Hz that no picture confirms
        bench.publish(UNCERTAIN, unconfirmed_ms=40 * step)
        sent += [(bench.now_ns - began_ns, status) for status in flags(bench.run(0.04))]
    assert {status for when, status in sent if when < 1000 * MS} == {1 + 8}
    assert {status for when, status in sent if when > 1100 * MS} == {2}


def test_coasting_ends_even_if_the_tracker_falls_silent_meanwhile_r_ts_5(bench):
    bench.publish(UNCERTAIN, unconfirmed_ms=700)
    assert flags(bench.run(0.2)) == [9]
    assert flags(bench.run(0.2)) == [2]


def test_coasting_may_be_hidden_from_old_ground_stations_r_ts_4():
    bench = Bench(CameraProfile(reporting=Reporting(coasting=False)))
    bench.publish(UNCERTAIN)
    assert flags(bench.run(0.1)) == [1]


def test_occlusion_loss_and_return_are_told_in_order(bench):
    """Acceptance 8: ACTIVE, ACTIVE and COASTING, ERROR, ACTIVE, then idle; never active with NaN."""
    bench.command(RECTANGLE, *BOX)
    for status, seconds in ((TRACKING, 1.0), (UNCERTAIN, 0.6), (LOST, 1.0), (TRACKING, 1.0)):
        bench.tracking(seconds, status=status, track_id=1)
    bench.command(STOP)
    bench.run(1.0)
    sent = of(STATUS, bench.sent)
    order = [one.tracking_status for one in sent]
    assert [now for before, now in zip([None, *order], order, strict=False) if now != before] == [
        1,
        9,
        2,
        1,
        0,
    ]
    for one in sent:
        corners = (one.rec_top_x, one.rec_top_y, one.rec_bottom_x, one.rec_bottom_y)
        active = bool(one.tracking_status & 1)
        assert (one.tracking_mode == 2) == active
        assert all(math.isfinite(c) == active for c in corners)


def test_a_silent_tracker_is_a_failure_of_the_sensors(bench):
    bench.tracking(0.5)
    sent = bench.run(2)
    assert flags(sent)[-1] == 2
    first = next(
        when for when, one in sent if one.message.get_type() == STATUS and one.message.tracking_status == 2
    )
    assert 900 * MS < first - (bench.now_ns - 2_000 * MS) < 1100 * MS
    assert bench.camera.health(bench.now_ns) is Health.CRITICAL
    assert flags(bench.tracking(0.5))[0] == 1


def test_one_last_status_follows_a_stop_though_the_interval_was_just_switched_off_r_ts_7(bench):
    bench.command(RECTANGLE, *BOX)
    bench.command(SET, 275, 500_000)
    bench.tracking(1.0, track_id=1)
    bench.command(SET, 275, -1)
    assert flags(bench.tracking(1.0, track_id=1)) == []
    stopped = [*bench.command(STOP), *bench.command(STOP), *bench.command(SET, 275, -1)]
    assert flags(stopped) == [0]
    assert flags(bench.tracking(1.0, track_id=1)) == []  # what was still on its way is passed over


def test_one_last_status_follows_a_stop_that_comes_first_r_ts_7(bench):
    """As QGroundControl does it: STOP, then -1."""
    bench.command(RECTANGLE, *BOX)
    bench.command(SET, 275, 500_000)
    bench.tracking(1.0, track_id=1)
    out = [*bench.command(STOP), *bench.command(SET, 275, -1)]
    assert flags(out) + flags(bench.run(2)) == [0]


def test_the_stream_flows_again_with_the_next_selection_after_it_was_switched_off(bench):
    bench.command(RECTANGLE, *BOX)
    bench.command(STOP)
    bench.command(SET, 275, -1)
    bench.command(RECTANGLE, *BOX)
    assert 8 <= len(flags(bench.tracking(2, track_id=2))) <= 12


def test_the_box_of_the_newest_picture_is_told_r_ts_6(bench):
    for x in range(10):
        bench.publish(box=Box(32.0 * x, 0, 64, 64))
    assert of(STATUS, bench.run(0.02))[0].rec_top_x == pytest.approx(288 / 640)


def test_statuses_are_latest_wins_r_ep_6(bench):
    statuses = [one for _, one in bench.tracking(1) if one.message.get_type() == STATUS]
    assert {(one.priority, one.latest_wins, one.endpoint) for one in statuses} == {
        (Priority.STATUS, True, None)
    }


def test_the_last_words_are_idle_r_ts_7(bench):
    bench.publish()
    assert flags(bench.camera.closing()) == [0]
    assert flags(Bench().camera.closing()) == []


def test_the_heartbeat_state_follows_the_track(bench):
    health = []
    health.append(bench.camera.health(bench.now_ns))
    bench.camera.ready()
    health.append(bench.camera.health(bench.now_ns))
    bench.command(RECTANGLE, *BOX)
    health.append(bench.camera.health(bench.now_ns))
    bench.publish(UNCERTAIN, track_id=1)
    health.append(bench.camera.health(bench.now_ns))
    bench.publish(usable=Usable.RGB, track_id=1)
    health.append(bench.camera.health(bench.now_ns))
    bench.publish(LOST, track_id=1)
    health.append(bench.camera.health(bench.now_ns))
    bench.camera.degrade(True)
    health.append(bench.camera.health(bench.now_ns))
    names = [one.name for one in health]
    assert names == ["BOOT", "STANDBY", "ACTIVE", "ACTIVE", "CRITICAL", "STANDBY", "CRITICAL"]


def test_a_track_that_the_service_starts_itself_is_told_like_any_other(bench):
    bench.command(RECTANGLE, *BOX)
    bench.publish(track_id=1)
    own = bench.camera.begin()
    assert own == 2
    bench.publish(track_id=1, box=Box(0, 0, 64, 64))
    bench.publish(track_id=own, box=Box(320, 0, 64, 64))
    assert of(STATUS, bench.run(0.1))[-1].rec_top_x == 0.5


def test_a_track_of_the_services_own_does_not_displace_a_selection_that_waits(bench):
    bench.command(RECTANGLE, *BOX)
    own = bench.camera.begin()
    bench.publish(track_id=own, box=Box(0, 0, 64, 64))
    bench.publish(track_id=1, box=Box(320, 0, 64, 64))
    assert of(STATUS, bench.run(0.1))[-1].rec_top_x == 0.5


# The place on earth.


def place(track_id=0, **change):
    return TargetPosition(track_id, 5, 47.4, 8.5, 488.0, 4.0, 1.5, (9.0, 0.0, 9.0), 113.0, **change)


def locate(bench, seconds, position, **more):
    def frame():
        bench.publish(**more)
        if position is not None:
            bench.camera.position(position, bench.now_ns)

    return bench.run(seconds, every_ms=40, each=frame)


def test_a_place_is_told_twice_a_second_while_it_is_known(bench):
    sent = of(PLACE, locate(bench, 4, place()))
    assert 7 <= len(sent) <= 9
    assert {one.tracking_status for one in sent} == {1}


def test_no_solution_no_message_r_gs_1(bench):
    assert of(PLACE, locate(bench, 2, None)) == []


def test_an_unconfirmed_place_is_coasting_r_gs_1(bench):
    assert {one.tracking_status for one in of(PLACE, locate(bench, 1, place(confirmed=False)))} == {9}


def test_one_message_with_the_last_place_ends_a_solution_that_the_gates_refuse_r_gs_2(bench):
    locate(bench, 1, place())
    bench.camera.position(None, bench.now_ns)
    (last,) = of(PLACE, bench.tracking(2))
    assert (last.tracking_status, last.lat) == (2, 474000000)


def test_one_message_ends_a_solution_with_a_stop_even_when_switched_off_r_gs_2(bench):
    bench.command(RECTANGLE, *BOX)
    locate(bench, 1, place(1), track_id=1)
    bench.command(SET, 276, -1)
    (last,) = of(PLACE, bench.command(STOP))
    assert (last.tracking_status, last.lat) == (0, 474000000)
    assert of(PLACE, locate(bench, 1, place(1), track_id=1)) == []


def test_a_loss_ends_a_solution_r_gs_2(bench):
    locate(bench, 1, place())
    bench.publish(LOST)
    assert [one.tracking_status for one in of(PLACE, bench.run(1))] == [2]


def test_a_solution_that_nobody_renews_is_ended(bench):
    locate(bench, 1, place())
    bench.tracking(0.1)
    assert [one.tracking_status for one in of(PLACE, bench.tracking(2))][-1:] == [2]
    assert of(PLACE, bench.tracking(2)) == []


def test_the_place_of_the_track_before_is_not_told_of_the_new_one(bench):
    bench.command(RECTANGLE, *BOX)
    locate(bench, 1, place(1), track_id=1)
    bench.command(RECTANGLE, 0.1, 0.1, 0.3, 0.3)
    sent = of(PLACE, locate(bench, 1, place(1), track_id=2))
    assert [one.tracking_status for one in sent if one.tracking_status & 1] == []


# Texts, streams, diagnostics.


def texts(sent):
    return [one.text for one in of("STATUSTEXT", sent)]


def test_loss_and_return_of_the_target_are_told_in_words(bench):
    bench.tracking(0.2)
    bench.tracking(1.5, status=LOST)
    bench.tracking(1.5)
    assert texts(bench.sent) == ["Target lost, searching", "Target found again"]


def test_a_camera_that_stays_away_is_told_and_a_closing_shutter_is_not(bench):
    bench.tracking(1, usable=Usable.RGB)
    bench.tracking(3)
    assert texts(bench.sent) == []
    bench.tracking(3, usable=Usable.RGB)
    bench.tracking(3)
    assert texts(bench.sent) == ["Thermal camera lost, tracking with RGB", "Both cameras are back"]


def test_a_stream_that_begins_or_stalls_is_told_unasked_r_vs_3(bench):
    bench.camera.streaming("RGB", StreamState(running=True))
    bench.camera.streaming("nobody's", StreamState(running=True))
    bench.run(0.1)
    for _ in range(5):
        bench.camera.streaming("RGB", StreamState(running=True, bitrate_bit_s=2_000_000))
        bench.run(0.1)
    bench.camera.streaming("RGB", StreamState(running=False))
    bench.run(0.1)
    told = of("VIDEO_STREAM_STATUS", bench.sent)
    assert [(one.stream_id, one.flags & 1) for one in told] == [(1, 1), (1, 0)]


def test_diagnostics_come_from_the_companion_once_a_second_if_enabled():
    bench = Bench(CameraProfile(streams=(RGB, THERMAL), diagnostics=True))
    bench.camera.computer(ComputerStatus(1234))
    sent = bench.tracking(3, hz=25)
    assert 3 <= len(of("ONBOARD_COMPUTER_STATUS", sent)) <= 4
    speakers = {one.speaker for _, one in sent if one.message.get_type() == "ONBOARD_COMPUTER_STATUS"}
    assert speakers == {Speaker.COMPANION}
    numbers = of("NAMED_VALUE_FLOAT", sent)[-4:]
    values = {one.name: one.value for one in numbers}
    assert values["trk_fps"] == pytest.approx(25, abs=1)
    assert values["trk_conf"] == pytest.approx(0.7)
    assert values["trk_state"] == 1
    assert math.isnan(values["trk_lat"])


def test_the_latency_from_capture_to_publishing_is_told():
    bench = Bench(CameraProfile(diagnostics=True))
    for _ in range(30):
        bench.camera.publish(state(), 640, 512, bench.now_ns, captured_ns=bench.now_ns - 42 * MS)
        bench.run(0.04)
    values = {one.name: one.value for one in of("NAMED_VALUE_FLOAT", bench.sent)[-4:]}
    assert values["trk_lat"] == pytest.approx(42)


def test_without_diagnostics_nothing_of_them_is_sent_or_promised(bench):
    sent = bench.tracking(2)
    assert of("NAMED_VALUE_FLOAT", sent) == of("ONBOARD_COMPUTER_STATUS", sent) == []
    assert bench.result(SET, 390, 1e6) == 2


def test_times_are_those_since_boot_of_the_autopilot_if_they_are_known():
    bench = Bench(boot_ms=lambda now_ns: now_ns // MS + 5)
    assert of("CAMERA_SETTINGS", bench.command(512, 260))[0].time_boot_ms == bench.now_ns // MS + 5
    own = Bench()
    own.run(2)
    assert of("CAMERA_SETTINGS", own.command(512, 260))[0].time_boot_ms == 2000
