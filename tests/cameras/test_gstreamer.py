"""Real GStreamer pipelines as cameras: pixels, times, numbers, faults."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from senders import (
    HEIGHT,
    WIDTH,
    free_port,
    live_picture,
    require_elements,
    rtp_receiver,
    rtp_sender,
    rtsp_server,
    settings,
)

from edge_rgbt.cameras.gstreamer import GStreamerCamera
from edge_rgbt.errors import CameraError, CameraStalledError
from edge_rgbt.pixels import for_tracker
from edge_rgbt.types import Modality, PixelFormat, TimeSource

SOLID = "pattern=solid-color foreground-color=0xffc83c1e"  # alpha, red 200, green 60, blue 30


@pytest.fixture(autouse=True)
def _gstreamer() -> None:
    require_elements("videotestsrc")


def _camera(pipeline: str, pixel_format: str = "GRAY8", modality: Modality = Modality.TIR, **changes: object):
    return GStreamerCamera(settings(pipeline, pixel_format, **changes), modality)


def _read_on(camera: GStreamerCamera) -> None:
    """Reads what may still be under way; far more than that means that nothing was noticed."""
    for _ in range(300):
        camera.read()


def test_sixteen_bit_thermal_counts_arrive_whole():
    with _camera(live_picture("GRAY16_LE", more="pattern=gradient"), "GRAY16") as camera:
        frame = camera.read()
    assert frame is not None
    assert (frame.image.dtype, frame.pixel_format) == (np.uint16, PixelFormat.GRAY16)
    assert (frame.width, frame.height) == (WIDTH, HEIGHT)
    assert len(np.unique(frame.image)) == HEIGHT  # one level for each row: nothing was squeezed into 8 bits
    assert (frame.image == frame.image[:, :1]).all()


@pytest.mark.parametrize(
    ("promised", "caps"), [("RGB", "RGB"), ("BGR", "BGR"), ("NV12", "NV12"), ("YUYV", "YUY2")]
)
def test_colour_survives_every_format(promised, caps):
    with _camera(live_picture(caps, more=SOLID), promised, Modality.RGB) as camera:
        frame = camera.read()
    assert frame is not None
    assert frame.pixel_format is PixelFormat(promised)
    assert np.abs(for_tracker(frame).image.astype(int) - (200, 60, 30)).max() <= 3


@pytest.mark.parametrize(("promised", "caps"), [("GRAY16", "GRAY16_LE"), ("BGR", "BGR"), ("GRAY8", "GRAY8")])
def test_rows_that_gstreamer_pads_stay_straight(promised, caps):
    source = live_picture(caps, more="pattern=gradient").replace(f"width={WIDTH}", "width=61")
    modality = Modality.TIR if promised != "BGR" else Modality.RGB
    with _camera(source, promised, modality, width_px=61) as camera:
        frame = camera.read()
    assert frame is not None
    assert frame.width == 61
    assert (frame.image == frame.image[:, :1]).all()


def test_times_are_monotonic_and_of_this_moment():
    with _camera(live_picture("GRAY8")) as camera:
        before_ns = time.monotonic_ns()
        frames = [camera.read() for _ in range(5)]
        after_ns = time.monotonic_ns()
    stamps = [f.timestamp_ns for f in frames if f is not None]
    assert len(stamps) == 5
    assert stamps == sorted(set(stamps))
    assert before_ns - 1_000_000_000 < stamps[0]
    assert stamps[-1] < after_ns
    steps = np.diff(stamps) / (1e9 / 30)
    assert np.abs(steps - np.round(steps)).max() < 0.01  # the source's own clock, not when Python woke up


def test_a_local_camera_is_stamped_by_its_driver_within_a_period():
    with _camera(live_picture("GRAY8")) as camera:
        frame = camera.read()
    assert frame is not None
    assert (frame.time_source, frame.time_uncertainty_ns) == (TimeSource.DRIVER, 33_333_333)


def test_what_the_integrator_says_about_times_holds():
    said = {"time_source": "sensor", "time_uncertainty_ms": 2.5, "capture_offset_ms": -500.0}
    with _camera(live_picture("GRAY8"), **said) as camera:
        frame = camera.read()
        now_ns = time.monotonic_ns()
    assert frame is not None
    assert (frame.time_source, frame.time_uncertainty_ns) == (TimeSource.SENSOR, 2_500_000)
    assert frame.timestamp_ns <= now_ns - 500_000_000


def test_frames_with_times_that_lie_ahead_are_stamped_on_arrival():
    with _camera(live_picture("GRAY8").replace("is-live=true", "")) as camera:  # as fast as can be
        time.sleep(0.05)
        frame = camera.read()
        now_ns = time.monotonic_ns()
    assert frame is not None
    assert frame.time_source is TimeSource.ARRIVAL
    assert frame.timestamp_ns <= now_ns


def test_a_slow_reader_gets_fresh_frames_and_sees_the_gaps():
    period_ms = 50
    ages_ms, numbers = [], []
    with _camera(live_picture("GRAY8", rate_hz=20), rate_hz=20.0) as camera:
        for _ in range(4):
            time.sleep(0.2)
            frame = camera.read()
            assert frame is not None
            ages_ms.append((time.monotonic_ns() - frame.timestamp_ns) / 1e6)
            numbers.append(frame.sequence)
    # On a machine that has no time for the source either, frames come late; a queue that four pauses filled
    # would make the last one hundreds of milliseconds old.
    assert min(ages_ms[1:]) < 3 * period_ms
    assert max(np.diff(numbers)) >= 3  # what was dropped is missing in the numbers


def test_an_appsink_of_the_pipelines_own_is_used():
    with _camera(live_picture("GRAY8") + " ! appsink sync=true max-buffers=50") as camera:
        assert camera.read() is not None


def test_a_camera_can_be_opened_again():
    camera = _camera(live_picture("GRAY8"))
    for _ in range(2):
        opened = time.monotonic()
        with camera:
            frame = camera.read()
            assert frame is not None
            assert frame.sequence <= 30 * (time.monotonic() - opened) + 1  # counts from its own opening
    with pytest.raises(CameraError, match="cam is not open"):
        camera.read()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (live_picture("GRAY8") + " ! nosuchelement", 'mistake in the pipeline: no element "nosuchelement"'),
        (live_picture("GRAY8", more="colour=3"), 'no property "colour"'),
        (live_picture("GRAY8") + " ! !", "syntax error"),
        ("appsink", "no source before its appsink"),
        (f"{live_picture('GRAY8')} ! appsink {live_picture('GRAY8')} ! appsink", "2 appsinks, expected one"),
        ("v4l2src device=/dev/video77", "Cannot identify device '/dev/video77'"),
        ("filesrc location=/nowhere ! decodebin ! videoconvert", 'No such file "/nowhere"'),
        (
            live_picture("GRAY16_LE"),
            "delivers format=GRAY16_LE width=64 height=48 where the configuration promises format=GRAY8",
        ),
        (live_picture("I420") + " ! identity", "delivers format=I420 width=64 height=48 where"),
        (
            live_picture("GRAY8").replace("width=64", "width=32"),
            "delivers format=GRAY8 width=32 height=48 where .* promises format=GRAY8 width=64 height=48;",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(pipeline, said):
    camera = _camera(pipeline)
    with pytest.raises(CameraError, match=said) as caught:
        camera.open()
    assert str(caught.value).startswith("camera cam: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(CameraError, match="is not open"):
        camera.read()


def test_a_camera_that_sends_nothing_at_all_is_told_at_the_start():
    camera = _camera(rtp_receiver(free_port()), start_timeout_ms=150.0)
    with pytest.raises(CameraError, match=r"no frame within 0\.15 s"):
        camera.open()


def test_a_pipeline_that_hangs_blocks_no_longer_than_it_may(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it waits for somebody who writes into it
    camera = _camera(f"filesrc location={pipe} ! decodebin ! videoconvert", start_timeout_ms=200.0)
    started = time.monotonic()
    with pytest.raises(CameraError, match=r"hangs in its start, after 0\.2 s"):
        camera.open()
    with pytest.raises(CameraError, match="its last pipeline hangs and does not end"):
        camera.open()
    assert time.monotonic() - started < 5.0
    deadline = time.monotonic() + 20
    while True:  # until the old pipeline has what it waits for, so that a new one is tried
        _open_and_close(pipe)
        with pytest.raises(CameraError) as caught:
            camera.open()
        if "hangs in its start" in str(caught.value):
            break
        assert time.monotonic() < deadline
    while any(thread.name == "gstreamer-cam" for thread in threading.enumerate()):
        _open_and_close(pipe)
        assert time.monotonic() < deadline


def _open_and_close(pipe: Path) -> None:
    """Lets everybody go on who waits for a writer."""
    with suppress(OSError):  # nobody waits
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    time.sleep(0.02)


def test_a_stream_that_ends_is_an_error_of_a_camera():
    with (
        _camera(live_picture("GRAY8", more="num-buffers=3")) as camera,
        pytest.raises(CameraError, match="ended"),
    ):
        _read_on(camera)


def test_a_stream_that_changes_its_size_is_told():
    small = live_picture("GRAY8").replace(f"width={WIDTH}", "width=32")
    pipeline = f"{live_picture('GRAY8', more='num-buffers=3')} ! join. {small} ! join. concat name=join"
    with (
        _camera(pipeline) as camera,
        pytest.raises(CameraError, match="cannot deliver format=GRAY8 width=64"),
    ):
        _read_on(camera)


def test_rtp_from_another_process_stalls_when_that_is_killed():
    require_elements("rtpjpegdepay", "jpegdec", "jpegenc")
    port = free_port()
    with rtp_sender(port) as sender, _camera(rtp_receiver(port), stall_timeout_ms=300.0) as camera:
        frame = camera.read()
        assert frame is not None
        assert frame.time_source is TimeSource.ARRIVAL
        assert frame.time_uncertainty_ns == 100_000_000
        assert frame.image.std() > 10
        sender.kill()
        with pytest.raises(CameraStalledError, match="no frame for 300 ms"):
            _read_on(camera)


def test_an_rtsp_server_is_read_and_missed(caplog):
    require_elements("rtspsrc", "openh264enc", "rtph264pay", "avdec_h264")
    port = free_port(socket.SOCK_STREAM)
    receiver = (
        f"rtspsrc location=rtsp://127.0.0.1:{port}/thermal latency=%d protocols=tcp "
        "! rtph264depay ! h264parse ! avdec_h264 max-threads=1 ! videoconvert"
    )
    with rtsp_server(port) as server:
        with _camera(receiver % 2000) as camera:
            assert camera.read() is not None
        assert "rtspsrc may wait 2000 ms for a lost packet; set latency=0" in caplog.text
        caplog.clear()
        with _camera(receiver % 0) as camera:
            frame = camera.read()
            assert frame is not None
            assert frame.time_source is TimeSource.ARRIVAL
            assert not caplog.text
            server.kill()
            with pytest.raises(CameraError):
                _read_on(camera)
    with pytest.raises(CameraError, match="rtspsrc"):
        _camera(receiver % 0).open()
