"""Video to the ground, with GStreamer's real server and real clients over loopback."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import numpy as np
import pytest
from watched import SIZE, free_port, moment, serving, stream, watching

from benchmarks.picture_clock import draw_clock, read_clock
from edge_rgbt.cameras.system_gi import load_gstreamer, load_rtsp_server
from edge_rgbt.errors import CameraError, UsageError
from edge_rgbt.settings import SettingsError, build_settings
from edge_rgbt.streaming import StreamSettings, VideoServer, VideoSettings
from edge_rgbt.streaming.pictures import StreamPictures
from edge_rgbt.streaming.server import _Outlet
from edge_rgbt.types import Box, TrackState, TrackStatus

TRACKED = TrackState(Box(100, 60, 80, 60), 0.9, TrackStatus.TRACKING, 0, confidence=0.9)


@pytest.fixture(autouse=True, scope="module")
def _needs_gstreamer() -> None:
    try:
        gst = load_gstreamer().Gst
        load_rtsp_server()
    except CameraError as error:
        pytest.skip(str(error))
    missing = [n for n in ("x264enc", "avdec_h264", "rtspsrc") if gst.ElementFactory.find(n) is None]
    if missing:
        pytest.skip(f"GStreamer has no {', '.join(missing)}: apt install gstreamer1.0-plugins-ugly, -libav")


def test_a_client_sees_pictures_with_their_own_time_in_order():
    began_ns = time.monotonic_ns()
    with serving(stream()) as server, watching(server, "/rgb") as client:
        read = [read_clock(client.read().image) for _ in range(12)]
    # On a crowded machine a card may come between; it has no clock, and what is read from it is nonsense.
    times = [t for t in read if began_ns - 1e6 <= t <= time.monotonic_ns()]
    assert len(times) >= 4
    assert times == sorted(times)


def test_nothing_is_encoded_while_nobody_watches():
    with serving(stream()) as server:
        time.sleep(0.3)
        assert server.counters()["RGB"].pictures == 0


def test_a_stream_starts_again_for_the_next_client():
    with serving(stream()) as server:
        for _ in range(2):
            with watching(server, "/rgb") as client:
                assert read_clock(client.read().image) > 0
        assert server.running("RGB")


def test_each_stream_shows_its_own_camera():
    both = stream("Both", source="side-by-side")
    with serving(stream(), stream("Heat", source="thermal"), both) as server, ExitStack() as stack:
        pictures = [stack.enter_context(watching(server, p)).read().image for p in ("/rgb", "/heat", "/both")]
    lower = [picture[SIZE[1] // 2 :] for picture in pictures]
    assert lower[0].std() < 3
    assert abs(lower[0].mean() - 90) < 4
    assert abs(lower[1].mean() - 90) > 20
    halves = lower[2][:, : SIZE[0] // 2], lower[2][:, SIZE[0] // 2 :]
    assert abs(halves[0].mean() - lower[0].mean()) < 4
    assert abs(halves[1].mean() - lower[1].mean()) < 4


@pytest.mark.slow
def test_ten_clients_are_served_by_one_encoder():
    with serving(stream()) as server, ExitStack() as stack:
        clients = [stack.enter_context(watching(server, "/rgb")) for _ in range(10)]
        before = server.counters()["RGB"].pictures
        began = time.monotonic()
        assert all(read_clock(client.read().image) > 0 for client in clients for _ in range(3))
        encoded = server.counters()["RGB"].pictures - before
        assert encoded <= (time.monotonic() - began) * 30 + 3
        assert server.clients == 10


@pytest.mark.slow
def test_a_client_that_stops_reading_holds_up_nobody():
    with serving(stream(bitrate_kbps=20_000)) as server, watching(server, "/rgb") as client:
        stalled = _stalled_client(server, "/rgb")
        first = client.read()
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            last = client.read()
        stalled.close()
        assert last.sequence - first.sequence > 60
        assert server.running("RGB")


def test_further_clients_than_allowed_are_turned_away():
    with serving(stream(), max_clients=1) as server, watching(server, "/rgb") as client:
        with pytest.raises(CameraError), watching(server, "/rgb"):
            pass
        assert client.read() is not None


def test_a_silent_source_shows_a_card_and_no_old_picture():
    with serving(stream(), feed=False) as server:
        server.offer(moment(0))
        with watching(server, "/rgb") as client:
            picture = client.read().image
            while abs(float(picture[SIZE[1] // 2 :].mean()) - 24) > 6:
                picture = client.read().image


def test_a_port_in_use_is_an_error_of_the_configuration():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = VideoServer(VideoSettings(f"127.0.0.1:{other.getsockname()[1]}"), (stream(),))
        with pytest.raises(UsageError, match=r"video\.listen: .* cannot be bound"):
            server.start()


def test_an_encoder_that_is_not_there_is_named():
    server = VideoServer(VideoSettings(f"127.0.0.1:{free_port()}", encoder="nvv4l2h264enc"), (stream(),))
    if load_gstreamer().Gst.ElementFactory.find("nvv4l2h264enc") is not None:
        pytest.skip("this machine has the encoder that the test expects to be missing")
    with pytest.raises(UsageError, match=r"no H\.264 encoder"):
        server.start()


def test_two_streams_need_two_names():
    with pytest.raises(UsageError, match="two streams have the name 'RGB'"):
        VideoServer(VideoSettings(), (stream(), stream()))


def test_box_and_state_are_drawn_where_the_tracker_says():
    shown = moment(0, TRACKED)
    plain = StreamPictures().draw(shown, stream(size_px=(640, 480)))
    drawn = StreamPictures().draw(shown, stream(size_px=(640, 480), overlay=True))
    rows, columns = np.nonzero((drawn[:400, 150:] != plain[:400, 150:]).any(2))
    assert np.allclose((rows.min(), columns.min() + 150), (120, 200), atol=3)
    assert np.allclose((rows.max(), columns.max() + 150), (240, 360), atol=3)


def test_a_lost_target_has_no_box():
    lost = TrackState(Box(100, 60, 80, 60), 0.1, TrackStatus.LOST, 0)
    drawn = StreamPictures().draw(moment(0, lost), stream(overlay=True))
    assert (drawn[60:120, 100:180] == 90).all()


@pytest.mark.parametrize(
    ("camera_hz", "stream_hz", "expected"), [(30, 30, 300), (30, 15, 150), (30, 20, 200)]
)
def test_frames_are_thinned_to_the_rate_of_the_stream(camera_hz, stream_hz, expected):
    outlet = _Outlet(stream(rate_hz=float(stream_hz)))
    times = [1_000_000_000 + round(i * 1e9 / camera_hz) for i in range(300)]
    assert abs(sum(outlet.due(t) for t in times) - expected) <= 2


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"name": "RGB", "size_px": [641, 480]}, "even numbers"),
        ({"name": "", "size_px": [640, 480]}, "1 to 31 bytes"),
        ({"name": "RGB", "source": "infrared"}, "side-by-side"),
        ({"name": "RGB", "rate_hz": 0}, "1 to 120"),
    ],
)
def test_impossible_streams_are_refused_with_the_key(table, fault):
    with pytest.raises(SettingsError, match=fault):
        build_settings(StreamSettings, table, "service.toml", "stream[0].")


@pytest.mark.parametrize("listen", ["8554", "localhost:8554", "0.0.0.0", "127.0.0.1:99999"])
def test_an_address_must_be_given_whole(listen):
    with pytest.raises(ValueError, match="listen is"):
        VideoSettings(listen)


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1:8554", "127.0.0.1"),
        ("[::1]:8554", "[::1]"),
        ("0.0.0.0:8554", "{host}"),
        ("[::]:8554", "{host}"),
    ],
)
def test_streams_are_advertised_where_they_can_be_had(listen, host):
    assert VideoSettings(listen).reached_at == host


def test_the_clock_in_a_picture_survives_noise():
    picture = np.full((240, 320, 3), 90, np.uint8)
    draw_clock(picture, 1_234_567_000_000)
    noisy = np.clip(picture + np.random.default_rng(1).normal(0, 25, picture.shape), 0, 255).astype(np.uint8)
    assert read_clock(noisy) == 1_234_567_000_000


def _stalled_client(server: VideoServer, mount: str) -> socket.socket:
    """Sets up a stream over TCP, starts it and never reads again."""
    host, port = server.settings.address_and_port or ("", 0)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, port))
    uri, session = f"rtsp://{host}:{port}{mount}", ""
    requests = (
        ("DESCRIBE", uri, "Accept: application/sdp\r\n"),
        ("SETUP", f"{uri}/stream=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
        ("PLAY", uri, ""),
    )
    for number, (method, target, header) in enumerate(requests, 1):
        client.sendall(f"{method} {target} RTSP/1.0\r\nCSeq: {number}\r\n{session}{header}\r\n".encode())
        answer = client.recv(4096).decode(errors="replace")
        assert answer.startswith("RTSP/1.0 200"), answer
        for line in answer.splitlines():
            if line.startswith("Session:"):
                session = f"Session: {line.split(':')[1].split(';')[0].strip()}\r\n"
    return client
