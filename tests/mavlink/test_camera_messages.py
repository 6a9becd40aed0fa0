"""Messages of section 4, read back by pymavlink's own parser."""

import math
import socket

import numpy as np
import pytest
from camera_bench import RGB, THERMAL, read_back

from edge_rgbt.mavlink.camera import about
from edge_rgbt.mavlink.camera.diagnostics import ComputerStatus, TrackNumbers, computer_status, track_numbers
from edge_rgbt.mavlink.camera.geo import geo_status
from edge_rgbt.mavlink.camera.hosts import outward_host
from edge_rgbt.mavlink.camera.notices import WARNING, Notices, statustexts
from edge_rgbt.mavlink.camera.profile import CameraProfile, StreamProfile, firmware_version
from edge_rgbt.types import TargetPosition

S = 1_000_000_000
SIDE = StreamProfile("Side by side", "rtsp://{host}:8554/both", (1280, 512), hfov_deg=62)
PROFILE = CameraProfile(vendor="Ünit", model="RGB-T 1", streams=(THERMAL, RGB, SIDE), gimbal_device_id=1)


def text(numbers):
    return bytes(numbers).rstrip(b"\0").decode()


def test_information_holds_names_size_and_capabilities_259():
    message = read_back(about.information(PROFILE, (1280, 1024), 1234))
    assert (text(message.vendor_name), text(message.model_name)) == ("Ünit", "RGB-T 1")
    assert (message.resolution_h, message.resolution_v, message.time_boot_ms) == (1280, 1024, 1234)
    assert all(map(math.isnan, (message.focal_length, message.sensor_size_h, message.sensor_size_v)))
    assert (message.cam_definition_uri, message.cam_definition_version, message.lens_id) == ("", 0, 0)
    assert (message.gimbal_device_id, message.camera_device_id) == (1, 0)


def test_known_optics_are_told_259():
    profile = CameraProfile(focal_length_mm=4.5, sensor_size_mm=(6.25, 4.5))
    message = read_back(about.information(profile, (640, 512), 0))
    assert (message.focal_length, message.sensor_size_h, message.sensor_size_v) == (4.5, 6.25, 4.5)


@pytest.mark.parametrize(
    ("profile", "flags"),
    [
        (CameraProfile(), 512 + 1024),
        (CameraProfile(streams=(RGB,)), 512 + 1024 + 256),
        (CameraProfile(streams=(RGB,), geolocates=True), 512 + 1024 + 256 + 2048),
    ],
)
def test_only_what_can_be_done_is_advertised_r_ci_1(profile, flags):
    assert read_back(about.information(profile, (640, 512), 0)).flags == flags


def test_the_firmware_version_is_packed_from_the_lowest_byte():
    assert firmware_version("1.2.3") == 1 | 2 << 8 | 3 << 16
    assert firmware_version("0.4.0rc1") == 4 << 8 | 1 << 16


def test_settings_are_video_without_zoom_or_focus_260():
    message = read_back(about.settings(7))
    assert (message.mode_id, message.time_boot_ms) == (1, 7)
    assert math.isnan(message.zoomLevel)
    assert math.isnan(message.focusLevel)


def test_capture_and_storage_are_those_of_the_recording_261_262():
    storage = about.StorageState(total_mib=1000.0, available_mib=250.0, recording=True, recording_ms=90_000)
    capture = read_back(about.capture_status(storage, 5))
    assert (capture.video_status, capture.image_status, capture.recording_time_ms) == (1, 0, 90_000)
    assert capture.available_capacity == 250.0
    message = read_back(about.storage_information(storage, 5))
    assert (message.storage_id, message.storage_count, message.status) == (1, 1, 2)
    assert (message.total_capacity, message.used_capacity, message.available_capacity) == (1000, 750, 250)
    assert math.isnan(message.read_speed)


def test_without_a_recording_storage_is_not_supported_261():
    message = read_back(about.storage_information(None, 5))
    assert (message.storage_id, message.status, message.total_capacity) == (1, 3, 0)
    assert read_back(about.capture_status(None, 5)).video_status == 0


def test_the_main_stream_is_number_one_and_thermal_number_two_r_vs_1():
    assert [stream.name for stream in PROFILE.numbered_streams] == ["RGB", "Thermal", "Side by side"]


def test_a_stream_is_told_with_its_true_size_269():
    state = about.StreamState(running=True, bitrate_bit_s=2_400_000, rate_hz=29.5)
    message = read_back(about.stream_information(PROFILE, 1, state, "192.168.1.5"))
    assert (message.stream_id, message.count, message.type, message.flags) == (1, 3, 0, 1)
    assert (message.resolution_h, message.resolution_v, message.bitrate) == (1280, 1024, 2_400_000)
    assert (message.framerate, message.hfov, message.encoding, message.rotation) == (29.5, 62, 1, 0)
    assert (message.name, message.uri) == ("RGB", "rtsp://192.168.1.5:8554/rgb")


def test_the_thermal_stream_is_flagged_and_a_stalled_one_does_not_run_r_vs_3():
    message = read_back(about.stream_status(PROFILE, 2, about.StreamState(running=False)))
    assert (message.stream_id, message.flags) == (2, 2)
    assert read_back(about.stream_status(PROFILE, 2, about.StreamState(running=True))).flags == 3


def test_an_ipv6_address_stands_in_brackets_269():
    message = read_back(about.stream_information(PROFILE, 2, None, "fd00::5"))
    assert message.uri == "rtsp://[fd00::5]:8554/thermal"


@pytest.mark.parametrize(
    ("uri", "transport"),
    [("rtsp://h/a", 0), ("5600", 1), ("udp265://0.0.0.0:5600", 1), ("tcp://h:1", 2), ("mpegts://h:1", 3)],
)
def test_the_kind_of_transport_follows_from_the_address_269(uri, transport):
    profile = CameraProfile(streams=(StreamProfile("RGB", uri, (640, 512), encoding="h265"),))
    message = read_back(about.stream_information(profile, 1, None, "10.0.0.1"))
    assert (message.type, message.uri, message.encoding) == (transport, uri, 2)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"uri": "somewhere"}, "expected rtsp://"),
        ({"uri": "rtsp://{host}/" + "x" * 120}, "1 to 119 bytes"),
        ({"name": ""}, "1 to 32 bytes"),
        ({"size_px": (0, 512)}, "from 1 to 65535"),
        ({"rate_hz": 0.0}, r"rate_hz is 0, expected 0\.1 to 1000"),
        ({"view": (0.5, 0.0, 0.5, 1.0)}, "left, top, right, bottom"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(change, fault):
    with pytest.raises(ValueError, match=fault):
        StreamProfile(**{"name": "RGB", "uri": "rtsp://{host}/rgb", "size_px": (640, 512)} | change)


def test_our_address_in_the_network_is_one_that_we_have():
    """The routing table's answer, or the loopback address on a machine without a network."""
    host = outward_host()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))


def test_streams_of_the_same_name_are_refused():
    with pytest.raises(ValueError, match="not unique"):
        CameraProfile(streams=(RGB, RGB))


def test_the_field_of_view_is_that_of_the_main_stream_271():
    message = read_back(about.fov_status(PROFILE, None, 3))
    assert message.hfov == 62
    assert message.vfov == pytest.approx(2 * math.degrees(math.atan(math.tan(math.radians(31)) * 0.8)))
    unknown = 2**31 - 1
    assert (message.lat_camera, message.lon_camera, message.alt_camera) == (unknown,) * 3
    assert (message.lat_image, message.lon_image, message.alt_image) == (unknown,) * 3
    assert all(map(math.isnan, message.q))


def test_a_known_view_is_told_and_a_ray_into_the_sky_is_marked_271():
    view = about.CameraView((47.397742, -8.545594, 520.5), (1.0, 0.0, 0.0, 0.0), sky=True)
    message = read_back(about.fov_status(PROFILE, view, 3))
    assert (message.lat_camera, message.lon_camera, message.alt_camera) == (473977420, -85455940, 520500)
    assert message.lat_image == -(2**31)
    assert message.q == [1, 0, 0, 0]


def position(**change):
    whole = {
        "track_id": 3, "timestamp_ns": 5, "latitude_deg": 47.3986415, "longitude_deg": -8.545594,
        "altitude_m": 488.25, "horizontal_m": 4.125, "vertical_m": 1.5,
        "covariance_ne_m2": (15.6, -0.8, 16.8), "range_m": 113.5,
    }  # fmt: skip
    return TargetPosition(**whole | change)


def test_a_position_survives_the_wire_r_gs_3():
    message = read_back(geo_status(position(), 1))
    assert (message.tracking_status, message.lat, message.lon) == (1, 473986415, -85455940)
    assert (message.alt, message.h_acc, message.v_acc, message.dist) == (488.25, 4.125, 1.5, 113.5)
    silent = (message.vel_n, message.vel_e, message.vel_d, message.vel_acc, message.hdg, message.hdg_acc)
    assert all(map(math.isnan, silent))
    assert message.camera_device_id == 0


def test_a_heading_is_told_in_radians_once_the_speed_is_no_noise_276():
    message = read_back(geo_status(position(velocity_ned_mps=(0.0, -3.0, 0.5), speed_sigma_mps=0.5), 1))
    np.testing.assert_allclose(message.hdg, 1.5 * math.pi, rtol=1e-6)
    assert (message.vel_n, message.vel_e, message.vel_d, message.vel_acc) == (0, -3, 0.5, 0.5)
    slow = read_back(geo_status(position(velocity_ned_mps=(1.0, 0.0, 0.0), speed_sigma_mps=0.5), 1))
    assert math.isnan(slow.hdg)


def test_a_heading_just_west_of_north_stays_below_a_full_turn_276():
    course = position(velocity_ned_mps=(9.0, 0.0, 0.0), speed_sigma_mps=0.5, course_rad=-1e-18)
    assert 0 <= geo_status(course, 1).hdg < math.tau


def test_a_short_text_is_one_message_253():
    (message,) = map(read_back, statustexts(WARNING, "Target lost", 9))
    assert (message.severity, message.text, message.id, message.chunk_seq) == (4, "Target lost", 0, 0)


def test_a_long_text_comes_in_chunks_that_share_a_number_253():
    words = "ü" * 70  # two bytes each: a cut at 50 falls between two of them, at 100 too
    messages = list(map(read_back, statustexts(WARNING, "x" + words, 9)))
    # pymavlink shows text as ASCII; what was on the wire is UTF-8.
    raw = [message._text_raw.rstrip(b"\0") for message in messages]
    assert "".join(one.decode() for one in raw) == "x" + words
    assert [(message.id, message.chunk_seq) for message in messages] == [(9, 0), (9, 1), (9, 2)]


def test_a_text_that_fills_its_chunks_is_ended_by_an_empty_one_253():
    assert [message.text for message in map(read_back, statustexts(WARNING, "x" * 100, 9))] == [
        "x" * 50, "x" * 50, ""
    ]  # fmt: skip


def test_texts_come_one_a_second_and_none_again_within_five():
    notices, said = Notices(), []
    for tick in range(0, 7000, 20):
        if tick % 500 == 0:
            notices.say(WARNING, "again")
            notices.say(WARNING, "and again")
        said += [(tick, message.text) for message in notices.due(tick * 1_000_000)]
    assert said == [(0, "again"), (1000, "and again"), (5000, "again"), (6000, "and again")]


def test_more_texts_than_fit_push_the_oldest_out():
    notices = Notices()
    for number in range(20):
        notices.say(WARNING, f"text {number}")
    said = [notices.due(second * S) for second in range(20)]
    assert [messages[0].text for messages in said if messages] == [f"text {n}" for n in range(12, 20)]


def test_what_is_not_known_of_the_computer_is_the_types_maximum_390():
    message = read_back(computer_status(ComputerStatus(uptime_ms=4000)))
    assert message.uptime == 4000
    assert set(message.cpu_cores) == set(message.gpu_cores) == set(message.cpu_combined) == {255}
    assert set(message.temperature_core) == {127}
    assert message.temperature_board == 127
    assert set(message.fan_speed) == {32767}
    assert {message.ram_usage, message.ram_total, *message.storage_usage, *message.link_tx_rate} == {
        2**32 - 1
    }


def test_what_is_known_of_the_computer_is_told_390():
    status = ComputerStatus(
        1, (12.4, 99.6), 41.0, 55.0, (61.2,), memory_used_mib=2048, memory_total_mib=7620, disk_used_mib=5,
        disk_total_mib=10,
    )  # fmt: skip
    message = read_back(computer_status(status))
    assert message.cpu_cores[:3] == [12, 100, 255]
    assert (message.cpu_combined[0], message.gpu_combined[0]) == (56, 41)
    assert (message.temperature_board, message.temperature_core[:2]) == (55, [61, 127])
    assert (message.ram_usage, message.ram_total) == (2048, 7620)
    assert (message.storage_usage[0], message.storage_total[0]) == (5, 10)


def test_the_trackers_numbers_have_their_names_251():
    messages = map(read_back, track_numbers(TrackNumbers(29.0, 41.5, 0.75, 9), 77))
    values = {message.name: message.value for message in messages}
    assert values == {"trk_fps": 29.0, "trk_lat": 41.5, "trk_conf": 0.75, "trk_state": 9.0}
    assert math.isnan(track_numbers(TrackNumbers(0, None, 0, 0), 77)[1].value)
