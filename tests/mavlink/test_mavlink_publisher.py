"""The publisher on real sockets, with pymavlink's own parser at the other end."""

import itertools
import os
import socket
import threading
import time
from dataclasses import dataclass, field

import pytest
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink import SimulatedVehicle, TrackPublisher, VehiclePose, parse_endpoint
from edge_rgbt.types import Box, TrackState, TrackStatus


@dataclass
class GroundStation:
    """Listens on a UDP port and keeps every message with its time of arrival."""

    heard: list = field(default_factory=list)

    def __post_init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.parser = dialect.MAVLink(None)
        self.stop = False
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self):
        while not self.stop:
            try:
                data, self.peer = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            self.heard += [(time.monotonic(), message) for message in self.parser.parse_buffer(data)]

    def of(self, kind):
        return [message for _, message in list(self.heard) if message.get_type() == kind]

    def close(self):
        self.stop = True
        self.thread.join()
        self.socket.close()


@pytest.fixture
def ground():
    station = GroundStation()
    yield station
    station.close()


def wait_for(condition, seconds=3.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def state(status=TrackStatus.TRACKING, x=64.0, index=0):
    return TrackState(Box(x, 128, 320, 256), 0.9, status, timestamp_ns=index * 33_000_000)


STATUS = "CAMERA_TRACKING_IMAGE_STATUS"


def test_a_published_box_arrives_as_fractions_from_the_camera(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}", system_id=7) as publisher:
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: ground.of(STATUS))
    message = ground.of(STATUS)[0]
    assert (message.get_srcSystem(), message.get_srcComponent()) == (7, 100)
    assert (message.tracking_status, message.tracking_mode) == (1, 2)
    assert message.rec_top_x == pytest.approx(0.1)
    assert message.rec_bottom_y == pytest.approx(0.75)


def test_heartbeats_keep_their_second_while_nothing_is_published_r_hb_1(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}") as publisher:
        publisher.publish(state(), 640, 512)
        time.sleep(2.3)  # the tracker's thread is blocked: no frames
    beats = [t for t, m in ground.heard if m.get_type() == "HEARTBEAT" and m.system_status != 8][:3]
    assert len(beats) == 3
    assert all(0.8 < later - earlier < 1.2 for earlier, later in itertools.pairwise(beats))


def test_the_heartbeat_tells_boot_standby_active_and_poweroff(ground):
    publisher = TrackPublisher(f"udpout:127.0.0.1:{ground.port}")
    assert wait_for(lambda: len(ground.of("HEARTBEAT")) == 1)
    publisher.ready()
    assert wait_for(lambda: len(ground.of("HEARTBEAT")) == 2)
    publisher.publish(state(), 640, 512)
    time.sleep(0.6)
    publisher.publish(state(), 640, 512)
    assert wait_for(lambda: len(ground.of("HEARTBEAT")) == 3)
    publisher.close()
    assert wait_for(lambda: len(ground.of("HEARTBEAT")) == 4)
    assert [m.system_status for m in ground.of("HEARTBEAT")] == [1, 3, 4, 7]


def test_closing_sends_one_last_idle_status_r_ts_7(ground):
    publisher = TrackPublisher(f"udpout:127.0.0.1:{ground.port}")
    publisher.publish(state(), 640, 512)
    publisher.close()
    publisher.close()
    publisher.publish(state(), 640, 512)
    assert wait_for(lambda: ground.of(STATUS) and ground.of(STATUS)[-1].tracking_status == 0)
    assert wait_for(lambda: ground.of("HEARTBEAT")[-1].system_status == 7)


def test_the_status_rate_is_capped_and_the_newest_wins(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}", rate_hz=10) as publisher:
        began = time.monotonic()
        for index in range(100):
            publisher.publish(state(x=float(index)), 640, 512)
            time.sleep(0.01)
        assert wait_for(lambda: ground.of(STATUS)[-1].rec_top_x == pytest.approx(99 / 640))
        seconds = time.monotonic() - began
    active = [m for m in ground.of(STATUS) if m.tracking_status]
    assert 5 <= len(active) <= 10 * seconds + 2


def test_a_loss_is_told_at_once_whatever_the_rate_r_ts_5(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}", rate_hz=0.5) as publisher:
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: ground.of(STATUS))
        lost_at = time.monotonic()
        publisher.publish(state(TrackStatus.LOST), 640, 512)
        assert wait_for(lambda: len(ground.of(STATUS)) == 2)
    arrival, message = [one for one in ground.heard if one[1].get_type() == STATUS][1]
    assert message.tracking_status == 2
    assert arrival - lost_at < 0.2


def test_a_track_without_new_pictures_is_withdrawn_r_ts_5(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}") as publisher:
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: len(ground.of(STATUS)) == 2)
        assert ground.of(STATUS)[1].tracking_status == 2
        assert wait_for(lambda: ground.of("HEARTBEAT")[-1].system_status == 5)
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: ground.of(STATUS)[-1].tracking_status == 1)


def test_idle_is_said_once_not_streamed(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}") as publisher:
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: ground.of(STATUS))
        for _ in range(5):
            publisher.publish(state(TrackStatus.IDLE), 640, 512)
            time.sleep(0.05)
        assert [m.tracking_status for m in ground.of(STATUS)] == [1, 0]


def test_publishing_takes_the_caller_microseconds_even_without_a_listener():
    with TrackPublisher("udpout:127.0.0.1:9") as publisher:  # nobody there: ICMP refusals come back
        started = time.perf_counter()
        for _ in range(2000):
            publisher.publish(state(), 640, 512)
        mean_s = (time.perf_counter() - started) / 2000
        time.sleep(0.3)
        counters = publisher.counters
    assert mean_s < 0.001
    assert counters.statuses >= 1
    assert counters.errors == 0


def test_counters_agree_with_what_arrived(ground):
    publisher = TrackPublisher(f"udpout:127.0.0.1:{ground.port}", rate_hz=None)
    for index in range(20):
        publisher.publish(state(x=float(index)), 640, 512)
        time.sleep(0.01)
    publisher.close()
    assert wait_for(lambda: len(ground.heard) == publisher.counters.messages)
    assert publisher.counters.statuses == len(ground.of(STATUS)) >= 15
    assert publisher.counters.heartbeats == len(ground.of("HEARTBEAT"))
    assert publisher.counters.bytes == sum(len(m.get_msgbuf()) for _, m in ground.heard)


def test_a_udp_server_answers_whoever_speaks(ground):
    with TrackPublisher(f"udpin:127.0.0.1:{_free_port()}") as publisher:
        publisher.publish(state(), 640, 512)
        endpoint = parse_endpoint(publisher.urls[0])
        beat = dialect.MAVLink_heartbeat_message(6, 8, 0, 0, 4, 3)
        ground.socket.sendto(beat.pack(dialect.MAVLink(None, 255, 190)), (endpoint.host, endpoint.port))
        assert wait_for(lambda: ground.of("HEARTBEAT"))


def test_a_port_in_use_is_one_line(ground):
    with pytest.raises(UsageError, match=f"port {ground.port} is in use") as caught:
        TrackPublisher(["udpout:127.0.0.1:9", f"udpin:127.0.0.1:{ground.port}"])
    assert "\n" not in str(caught.value)


def test_an_unknown_host_is_told_and_tried_again_r_ep_1():
    with TrackPublisher("udpout:nowhere.invalid:14550") as publisher:
        assert wait_for(lambda: "host 'nowhere.invalid' is not known" in publisher.problem)


def test_a_tcp_client_reconnects_when_the_server_comes_late():
    port = _free_port()
    with TrackPublisher(f"tcp:127.0.0.1:{port}") as publisher:
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: publisher.counters.errors >= 1)
        assert "refused" in publisher.problem
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(5)
            connection, _ = server.accept()
            connection.settimeout(3)
            assert _first_message(connection).get_type() == "HEARTBEAT"
            connection.close()
    assert publisher.counters.heartbeats >= 1


def test_a_tcp_server_serves_clients_and_survives_one_that_leaves():
    port = _free_port()
    with TrackPublisher(f"tcpin:127.0.0.1:{port}") as publisher:
        gone = socket.create_connection(("127.0.0.1", port), timeout=3)
        _first_message(gone)
        gone.close()
        with socket.create_connection(("127.0.0.1", port), timeout=3) as client:
            publisher.publish(state(), 640, 512)
            assert _first_message(client) is not None
        assert publisher.counters.errors == 0


def test_a_stalled_tcp_peer_never_holds_up_the_caller():
    port = _free_port()
    with (
        socket.create_server(("127.0.0.1", port)) as server,
        TrackPublisher(f"tcp:127.0.0.1:{port}", rate_hz=None) as publisher,
    ):
        connection, _ = server.accept()  # and never reads
        slowest = 0.0
        for index in range(300):
            started = time.perf_counter()
            publisher.publish(state(x=float(index)), 640, 512)
            slowest = max(slowest, time.perf_counter() - started)
        connection.close()
    assert slowest < 0.1


def test_a_serial_line_carries_the_messages_and_comes_back_after_unplugging():
    master, device = os.openpty()
    name = os.ttyname(device)
    with TrackPublisher(f"serial:{name}:115200") as publisher:
        parser = dialect.MAVLink(None)
        parser.robust_parsing = True
        message = None
        while message is None:
            message = next(iter(parser.parse_buffer(os.read(master, 4096)) or []), None)
        assert message.get_type() == "HEARTBEAT"
        os.close(master)  # unplugged
        os.close(device)
        assert wait_for(lambda: publisher.problem)
        assert wait_for(lambda: publisher.counters.errors >= 1)


def test_the_system_id_is_learned_and_the_camera_silent_until_then_r_id_1(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}", system_id=None) as publisher:
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: ground.of("HEARTBEAT"))
        provisional = ground.of("HEARTBEAT")[0]
        assert (provisional.get_srcSystem(), provisional.get_srcComponent(), provisional.type) == (1, 191, 18)
        assert not ground.of(STATUS)
        autopilot = dialect.MAVLink(None, srcSystem=42, srcComponent=1)
        beat = dialect.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(autopilot)
        ground.socket.sendto(beat, ground.peer)
        assert wait_for(lambda: publisher.identity is not None)
        publisher.publish(state(), 640, 512)
        assert wait_for(lambda: ground.of(STATUS))
    assert ground.of(STATUS)[0].get_srcSystem() == 42


def test_a_simulated_vehicle_flies_beside_the_camera(ground):
    with TrackPublisher(f"udpout:127.0.0.1:{ground.port}") as publisher:
        vehicle, began = SimulatedVehicle(publisher), time.monotonic()
        for _ in range(60):
            vehicle.update(VehiclePose(47.0, 8.0, 500.0, 60.0))
            time.sleep(0.01)
        seconds = time.monotonic() - began
    beats = [m for m in ground.of("HEARTBEAT") if m.get_srcComponent() == 1]
    assert {(m.type, m.autopilot, m.get_srcSystem()) for m in beats} == {(2, 0, 1)}
    assert 1 <= len(beats) <= seconds + 2
    for kind in ("GLOBAL_POSITION_INT", "ATTITUDE"):
        assert 1 <= len(ground.of(kind)) <= 10 * seconds + 2


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _first_message(connection):
    parser = dialect.MAVLink(None)
    while True:
        data = connection.recv(4096)
        assert data, "closed before a message came"
        found = parser.parse_buffer(data)
        if found:
            return found[0]
