"""Starting a track: which selections are taken, and what becomes of them (section 3.3)."""

import math

import pytest
from camera_bench import (
    ACCEPTED,
    DENIED,
    HEIGHT,
    LATER,
    MS,
    NAN,
    RGB,
    WIDTH,
    Bench,
    of,
)
from hypothesis import given
from hypothesis import strategies as st

from edge_rgbt.mavlink.camera.control import Picture
from edge_rgbt.mavlink.camera.profile import CameraProfile, StartRules, StreamProfile
from edge_rgbt.mavlink.camera.selection import Refused, Selector
from edge_rgbt.types import Box, TrackStatus

POINT, RECTANGLE, STOP, SET = 2004, 2005, 2010, 511
INF = float("inf")
BOX = (0.25, 0.25, 0.75, 0.75)
PICTURE = Picture(WIDTH, HEIGHT, 0)


@pytest.fixture
def bench():
    return Bench()


def box_of(bench):
    return bench.control.started[-1].box.as_tuple()


# Whether anything can be started, 3.3 (1).


def test_without_model_or_camera_a_selection_is_put_off(bench):
    bench.control.ready = False
    assert bench.result(RECTANGLE, *BOX) == LATER
    assert bench.result(POINT, 0.5, 0.5, 0) == LATER


def test_a_picture_older_than_a_second_puts_a_selection_off(bench):
    bench.control.age_ns = 1001 * MS
    assert bench.result(RECTANGLE, *BOX) == LATER
    bench.control.age_ns = 999 * MS
    assert bench.result(POINT, 0.5, 0.5, 0) == ACCEPTED


def test_not_being_ready_goes_before_a_wrong_coordinate(bench):
    bench.control.ready = False
    assert bench.result(RECTANGLE, NAN, NAN, NAN, NAN) == LATER


def test_without_a_tracker_to_control_selections_are_put_off_and_stops_accepted():
    bench = Bench()
    bench.camera = type(bench.camera)(CameraProfile(streams=(RGB,)))
    bench.camera.vehicle_changed(1)
    assert bench.result(RECTANGLE, *BOX) == LATER
    assert bench.result(STOP) == ACCEPTED


# Numbers that are none, 3.3 (2).


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
@pytest.mark.parametrize("place", range(4))
def test_a_corner_that_is_no_number_is_denied(bench, wrong, place):
    corners = [*BOX]
    corners[place] = wrong
    assert bench.result(RECTANGLE, *corners) == DENIED


@pytest.mark.parametrize(
    "params", [(NAN, 0.5, 0), (0.5, NAN, 0), (INF, 0.5), (0.5, 0.5, INF), (0.5, 0.5, -0.1), (0.5, 0.5, 1.5)]
)
def test_a_point_that_is_none_is_denied(bench, params):
    assert bench.result(POINT, *params) == DENIED


@pytest.mark.parametrize(
    ("number", "params"), [(POINT, (0.5, 0.5)), (POINT, (0.5, 0.5, 0.1)), (RECTANGLE, BOX)]
)
def test_nan_in_everything_not_needed_is_accepted_r_cmd_7(bench, number, params):
    assert bench.result(number, *params) == ACCEPTED


def test_infinity_in_a_parameter_without_meaning_is_denied_r_cmd_7(bench):
    assert bench.result(RECTANGLE, *BOX, NAN, INF) == DENIED


# Rectangles, 3.3 (3) and (4).


def test_a_rectangle_becomes_a_box_in_pixels_of_the_trackers_picture(bench):
    assert bench.result(RECTANGLE, 0.25, 0.5, 0.5, 0.75) == ACCEPTED
    assert box_of(bench) == (160, 256, 160, 128)


@pytest.mark.parametrize("corners", [(0.5, 0.5, 0.25, 0.25), (0.5, 0.25, 0.25, 0.5), (0.25, 0.5, 0.5, 0.25)])
def test_corners_may_come_as_they_were_drawn(bench, corners):
    assert bench.result(RECTANGLE, *corners) == ACCEPTED
    assert box_of(bench) == (160, 128, 160, 128)


def test_a_rectangle_a_little_outside_is_clipped(bench):
    assert bench.result(RECTANGLE, -0.05, -0.05, 1.05, 1.05) == ACCEPTED
    assert box_of(bench) == (0, 0, WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "corners", [(-0.06, 0.2, 0.5, 0.5), (0.2, 0.2, 0.5, 1.06), (2, 2, 3, 3), (0, 0, 640, 512)]
)
def test_a_rectangle_farther_outside_is_denied(bench, corners):
    assert bench.result(RECTANGLE, *corners) == DENIED


@pytest.mark.parametrize(
    ("width_px", "height_px", "result"),
    [
        (8, 40, ACCEPTED),
        (7.5, 40, DENIED),
        (40, 8, ACCEPTED),
        (40, 7.5, DENIED),
        (0, 0, DENIED),
        (0.6, 0.5, DENIED),
    ],
)
def test_a_rectangle_with_a_side_below_the_least_is_denied(bench, width_px, height_px, result):
    corners = (0.5, 0.5, 0.5 + width_px / WIDTH, 0.5 + height_px / HEIGHT)
    assert bench.result(RECTANGLE, *corners) == result


def test_a_rectangle_with_less_than_the_configured_share_is_denied():
    bench = Bench(CameraProfile(streams=(RGB,), start=StartRules(min_share=0.002)))
    assert bench.result(RECTANGLE, 0.5, 0.5, 0.54, 0.54) == DENIED
    assert bench.result(RECTANGLE, 0.5, 0.5, 0.55, 0.55) == ACCEPTED


def test_a_person_from_sixty_metres_can_be_selected(bench):
    """1.7 m by 0.5 m, 60 degrees across 640 pixels: 16 by 5; operators draw a few pixels wider."""
    assert bench.result(RECTANGLE, 0.5, 0.5, 0.5 + 9 / WIDTH, 0.5 + 20 / HEIGHT) == ACCEPTED


# Points, 3.3 (5).


def test_a_point_with_a_radius_becomes_a_box_of_that_half_width(bench):
    assert bench.result(POINT, 0.5, 0.5, 0.1) == ACCEPTED
    assert box_of(bench) == pytest.approx((256, 192, 128, 128))


@pytest.mark.parametrize("radius", [0.0, NAN])
def test_a_point_without_a_radius_takes_the_usual_one(bench, radius):
    assert bench.result(POINT, 0.5, 0.5, radius) == ACCEPTED
    assert box_of(bench) == pytest.approx((320 - 19.2, 256 - 19.2, 38.4, 38.4))


def test_a_click_of_qgroundcontrol_is_taken_though_its_circle_is_small(bench):
    """20 display pixels on a display 1920 wide."""
    assert bench.result(POINT, 0.5, 0.5, 20 / 1920) == ACCEPTED
    assert box_of(bench)[2] == pytest.approx(2 * 20 / 1920 * WIDTH, rel=1e-5)


def test_a_tiny_circle_grows_to_the_least_box(bench):
    assert bench.result(POINT, 0.5, 0.5, 0.0001) == ACCEPTED
    assert box_of(bench)[2:] == (8, 8)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 1), (0, 1), (1.04, 0.5), (-0.05, 1.05)])
def test_a_point_at_the_edge_gives_a_box_inside_the_picture(bench, x, y):
    assert bench.result(POINT, x, y, 0) == ACCEPTED
    left, top, width, height = box_of(bench)
    assert 0 <= left < left + width <= WIDTH
    assert 0 <= top < top + height <= HEIGHT
    assert min(width, height) >= 8


@given(
    st.lists(st.floats(-0.2, 1.2), min_size=4, max_size=4),
    st.floats(0, 1),
    st.integers(16, 4000),
    st.integers(16, 4000),
)
def test_every_accepted_selection_lies_in_the_picture_and_is_large_enough(numbers, radius, width, height):
    selector, picture = Selector(StartRules(), (0.0, 0.0, 1.0, 1.0)), Picture(width, height, 0)
    boxes = []
    for select in (
        lambda: selector.rectangle(tuple(numbers), picture),
        lambda: selector.point(*numbers[:2], radius, picture),
    ):
        try:
            boxes.append(select())
        except Refused:
            continue
    for box in boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= width + 1e-6
        assert box.y + box.h <= height + 1e-6
        assert min(box.w, box.h) >= 8 - 0.01


# Where the stream shows something else than the tracker's picture, R-TS-8.


def test_a_selection_in_a_cropped_stream_lands_where_it_was_drawn_r_ts_8():
    crop = StreamProfile("RGB", "rtsp://{host}/rgb", (640, 512), view=(0.25, 0.25, 0.75, 0.75))
    bench = Bench(CameraProfile(streams=(crop,)))
    bench.command(RECTANGLE, 0.0, 0.0, 0.5, 0.5)
    assert box_of(bench) == (160, 128, 160, 128)
    bench.publish(box=Box(160, 128, 160, 128), track_id=1)
    message = of("CAMERA_TRACKING_IMAGE_STATUS", bench.run(0.1))[0]
    corners = (message.rec_top_x, message.rec_top_y, message.rec_bottom_x, message.rec_bottom_y)
    assert corners == pytest.approx((0, 0, 0.5, 0.5))


def test_a_selection_in_a_letterboxed_stream_leaves_the_bars_out_r_ts_8():
    bars = StreamProfile("RGB", "rtsp://{host}/rgb", (1280, 720), view=(-0.25, 0.0, 1.25, 1.0))
    selector = Selector(StartRules(), bars.view)
    assert selector.rectangle((0.0, 0.0, 0.5, 1.0), PICTURE).as_tuple() == pytest.approx((0, 0, 320, 512))
    with pytest.raises(Refused, match="too small"):
        selector.rectangle((0.0, 0.0, 0.16, 1.0), PICTURE)  # all of it on the bar


# What becomes of a selection, 3.3 (6).


def test_an_accepted_selection_is_handed_to_the_tracker_with_its_requester(bench):
    bench.command(RECTANGLE, *BOX, sender=(201, 33))
    (request,) = bench.control.started
    assert (request.track_id, request.requester, request.shown_ns) == (1, (201, 33), None)


def test_the_picture_that_the_operator_clicked_on_is_named_if_the_latency_is_known():
    bench = Bench(CameraProfile(streams=(RGB,), start=StartRules(click_latency_ms=250)))
    bench.command(RECTANGLE, *BOX)
    assert bench.control.started[0].shown_ns == bench.now_ns - 250 * MS


def test_a_second_selection_replaces_the_first_without_a_stop(bench):
    bench.command(RECTANGLE, *BOX)
    assert bench.result(POINT, 0.5, 0.5, 0) == ACCEPTED
    assert [request.track_id for request in bench.control.started] == [1, 2]
    assert bench.control.stopped == []


def test_refused_selections_do_not_count_as_tracks(bench):
    bench.command(RECTANGLE, NAN, 0, 1, 1)
    bench.command(RECTANGLE, *BOX)
    assert bench.control.started[0].track_id == 1


def test_a_retransmission_within_two_seconds_does_not_start_again_r_cmd_8(bench):
    assert bench.result(RECTANGLE, *BOX) == ACCEPTED
    bench.run(0.5)
    assert bench.result(RECTANGLE, *BOX) == ACCEPTED
    bench.run(1.4)
    assert bench.result(RECTANGLE, *BOX, endpoint="serial:/dev/ttyTHS1:57600") == ACCEPTED  # by the other way
    assert len(bench.control.started) == 1


def test_the_same_selection_after_two_seconds_is_a_new_one_r_cmd_8(bench):
    bench.command(RECTANGLE, *BOX)
    bench.run(2.1)
    bench.command(RECTANGLE, *BOX)
    assert [request.track_id for request in bench.control.started] == [1, 2]


def test_a_retransmission_of_a_refusal_gets_the_same_refusal_r_cmd_8(bench):
    bench.control.ready = False
    assert bench.result(RECTANGLE, *BOX) == LATER
    bench.control.ready = True
    assert bench.result(RECTANGLE, *BOX) == LATER
    bench.run(2.1)
    assert bench.result(RECTANGLE, *BOX) == ACCEPTED


def test_the_same_selection_of_another_ground_station_is_its_own_r_cmd_8(bench):
    bench.command(RECTANGLE, *BOX)
    bench.command(RECTANGLE, *BOX, sender=(254, 190))
    assert len(bench.control.started) == 2


def test_the_same_selection_after_a_stop_is_a_new_order(bench):
    bench.command(RECTANGLE, *BOX)
    bench.command(STOP)
    bench.command(RECTANGLE, *BOX)
    assert len(bench.control.started) == 2


def test_a_source_that_may_not_select_is_denied_but_may_stop_r_sec_5():
    bench = Bench(may_start=lambda received: received.system == 254)
    assert bench.result(RECTANGLE, *BOX) == DENIED
    assert bench.result(RECTANGLE, *BOX, sender=(254, 190)) == ACCEPTED
    assert bench.result(STOP) == ACCEPTED


def test_the_operator_is_told_why_a_selection_was_refused(bench):
    bench.command(RECTANGLE, 0.5, 0.5, 0.501, 0.501)
    texts = of("STATUSTEXT", bench.run(2))
    assert [one.text for one in texts] == ["Selection refused: the box is too small, 1 x 1 px"]


@given(st.lists(st.one_of(st.floats(), st.sampled_from((NAN, INF, -INF))), min_size=7, max_size=7))
def test_no_number_makes_a_selection_fail_other_than_by_an_answer(params):
    bench = Bench()
    assert bench.result(RECTANGLE, *params) in (ACCEPTED, DENIED)
    assert bench.result(POINT, *params) in (ACCEPTED, DENIED)
    for request in bench.control.started:
        assert all(map(math.isfinite, request.box.as_tuple()))


def test_what_is_shown_until_the_tracker_answers_is_the_requested_box(bench):
    bench.publish(box=Box(0, 0, 64, 64))
    bench.run(0.1)
    bench.command(RECTANGLE, *BOX)
    bench.publish(box=Box(0, 0, 64, 64), track_id=0)  # of the track before, still on its way
    message = of("CAMERA_TRACKING_IMAGE_STATUS", bench.run(0.1))[0]
    assert (message.tracking_status, message.tracking_mode, message.rec_top_x) == (1, 2, 0.25)
    bench.publish(box=Box(320, 0, 64, 64), track_id=1)
    bench.run(0.3)
    assert of("CAMERA_TRACKING_IMAGE_STATUS", bench.sent)[-1].rec_top_x == 0.5


def test_a_request_that_nobody_answers_is_not_shown_for_ever(bench):
    bench.command(RECTANGLE, *BOX)
    statuses = of("CAMERA_TRACKING_IMAGE_STATUS", bench.run(1.2))
    assert statuses[0].tracking_status == 1
    assert statuses[-1].tracking_status == 2


def test_a_track_that_cannot_be_found_is_lost_and_said_so(bench):
    bench.command(RECTANGLE, *BOX)
    bench.publish(TrackStatus.LOST, track_id=1)
    assert of("CAMERA_TRACKING_IMAGE_STATUS", bench.run(0.1))[-1].tracking_status == 2
