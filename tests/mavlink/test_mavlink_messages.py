"""What each tracker state looks like on the wire, read back by pymavlink's own parser."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.exchange import Speaker
from edge_rgbt.mavlink.framing import FrameWriter
from edge_rgbt.mavlink.heartbeat import heartbeat
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.messages import (
    PHASES,
    Health,
    StatusOptions,
    TargetPhase,
    VehiclePose,
    attitude,
    fractions,
    global_position,
    target_status,
)
from edge_rgbt.types import Box, TrackStatus

CAMERA = Identity(1, 100)
BOX = Box(64, 128, 320, 256)
POINT_FIELDS = ("point_x", "point_y", "radius")
RECTANGLE_FIELDS = ("rec_top_x", "rec_top_y", "rec_bottom_x", "rec_bottom_y")


def read(frame: bytes):
    (message,) = dialect.MAVLink(None).parse_buffer(frame)
    return message


def numbers(message, names):
    return [getattr(message, name) for name in names]


def test_the_camera_heartbeat_is_a_camera_and_no_autopilot():
    message = read(FrameWriter().write(CAMERA, heartbeat(Speaker.CAMERA, Health.STANDBY)))
    assert (message.type, message.autopilot, message.base_mode, message.custom_mode) == (30, 8, 0, 0)
    assert message.system_status == 3


def test_the_provisional_heartbeat_is_an_onboard_computer_r_id_1():
    message = read(FrameWriter().write(Identity(1, 191), heartbeat(Speaker.COMPANION, Health.BOOT)))
    assert (message.type, message.autopilot) == (18, 8)


@pytest.mark.parametrize(
    ("phase", "flags", "mode", "data"),
    [
        (TargetPhase.IDLE, 0, 0, 0),
        (TargetPhase.ACQUIRING, 1, 2, 4),
        (TargetPhase.TRACKING, 1, 2, 4),
        (TargetPhase.COASTING, 1 + 8, 2, 4),
        (TargetPhase.LOST, 2, 0, 0),
        (TargetPhase.SENSOR_FAILURE, 2, 0, 0),
    ],
)
def test_every_phase_has_its_row_of_the_table_r_ts_1(phase, flags, mode, data):
    message = read(FrameWriter().write(CAMERA, target_status(phase, BOX, 640, 512)))
    assert (message.tracking_status, message.tracking_mode, message.target_data) == (flags, mode, data)
    assert all(map(math.isnan, numbers(message, POINT_FIELDS)))
    if mode == 0:
        assert all(map(math.isnan, numbers(message, RECTANGLE_FIELDS)))
    else:
        np.testing.assert_allclose(numbers(message, RECTANGLE_FIELDS), [0.1, 0.25, 0.6, 0.75], rtol=1e-6)


def test_every_tracker_status_is_mapped():
    assert set(PHASES) == set(TrackStatus)


def test_a_lost_tracker_shows_no_box_though_its_state_holds_one_r_ts_5():
    message = target_status(PHASES[TrackStatus.LOST], BOX, 640, 512)
    assert message.tracking_status == 2
    assert math.isnan(message.rec_top_x)


def test_no_phase_is_active_without_a_box_r_ts_2():
    for phase in TargetPhase:
        message = target_status(phase, None, 640, 512)
        assert not message.tracking_status & 1
        assert message.tracking_mode == 0


def test_coasting_can_be_hidden_for_old_ground_stations_r_ts_4():
    assert (
        target_status(TargetPhase.COASTING, BOX, 640, 512, StatusOptions(coasting=False)).tracking_status == 1
    )


def test_a_point_is_reported_when_asked_for_r_ts_1():
    options = StatusOptions(report_point=True)
    message = read(FrameWriter().write(CAMERA, target_status(TargetPhase.TRACKING, BOX, 640, 512, options)))
    assert message.tracking_mode == 1
    np.testing.assert_allclose(numbers(message, POINT_FIELDS), [0.35, 0.5, 0.25], rtol=1e-6)
    assert all(map(math.isnan, numbers(message, RECTANGLE_FIELDS)))


def test_a_box_drawn_into_the_video_is_said_so():
    options = StatusOptions(drawn_in_video=True)
    assert target_status(TargetPhase.TRACKING, BOX, 640, 512, options).target_data == 4 + 2


@given(
    st.floats(-2000, 2000), st.floats(-2000, 2000), st.floats(1e-3, 3000), st.floats(1e-3, 3000),
    st.integers(16, 4096), st.integers(16, 4096),
)  # fmt: skip
def test_fractions_stay_inside_and_a_pixel_apart_r_ts_3(x, y, w, h, width, height):
    left, top, right, bottom = fractions(Box(x, y, w, h), width, height)
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    assert (right - left) * width >= 1 - 1e-9
    assert (bottom - top) * height >= 1 - 1e-9


def test_a_box_partly_outside_is_clipped_r_ts_3():
    assert fractions(Box(-64, -64, 128, 128), 640, 512) == (0.0, 0.0, 0.1, 0.125)


def test_an_idle_status_is_43_bytes_or_less_with_trailing_zeros_cut():
    assert len(FrameWriter().write(CAMERA, target_status(TargetPhase.IDLE, None, 1, 1))) == 40
    assert len(FrameWriter().write(CAMERA, target_status(TargetPhase.TRACKING, BOX, 640, 512))) == 43


def test_the_vehicle_pose_goes_out_in_integer_units():
    pose = VehiclePose(47.3977419, -8.5455938, 520.5, 60.25, (1.5, -2.25, 0.5), 0.1, -0.2, math.radians(-90))
    message = read(FrameWriter().write(Identity(1, 1), global_position(pose, 1234)))
    assert (message.lat, message.lon) == (473977419, -85455938)
    assert (message.alt, message.relative_alt, message.hdg) == (520500, 60250, 27000)
    assert (message.vx, message.vy, message.vz, message.time_boot_ms) == (150, -225, 50, 1234)
    turned = read(FrameWriter().write(Identity(1, 1), attitude(pose, 1234)))
    np.testing.assert_allclose([turned.roll, turned.pitch, turned.yaw], [0.1, -0.2, -math.pi / 2], rtol=1e-6)
