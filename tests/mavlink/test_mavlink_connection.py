"""Endpoints on real sockets and serial lines that break, stall and come back (R-EP-1 to R-EP-10)."""

import random
import socket
import time

import pytest
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink import connection as connection_module
from edge_rgbt.mavlink import udp_links
from edge_rgbt.mavlink.connection import Connection, LinkState
from edge_rgbt.mavlink.connection import Ears as Listener
from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.mavlink.exchange import Priority
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.outbox import Parcel
from tests.mavlink.stations import Ears, Line, UdpEnd, Voice, free_port, wait_for

CAMERA = Identity(7, 100)


def parcel(number=0, priority=Priority.STATUS, latest_wins=False):
    message = dialect.MAVLink_statustext_message(6, str(number).encode(), 0, 0)
    return Parcel(priority, CAMERA, message, latest_wins)


def beat():
    message = dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 3, 3)
    return Parcel(Priority.HEARTBEAT, CAMERA, message, latest_wins=True)


class Endpoint:
    """A connection that notes what it hears."""

    def __init__(self, url, bytes_per_s=1e6):
        self.heard, self.links = [], []
        listener = Listener(lambda _, heard: self.heard.append(heard), lambda _, up: self.links.append(up))
        self.connection = Connection(parse_endpoint(url), bytes_per_s, listener)
        self.connection.bind()
        self.connection.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.connection.close()

    @property
    def state(self):
        return self.connection.state

    def opened(self):
        return wait_for(lambda: self.connection.counters.opened >= 1)

    def texts(self):
        return [one.message.text for one in list(self.heard) if one.message.get_type() == "STATUSTEXT"]


@pytest.fixture
def line(tmp_path):
    one = Line(tmp_path)
    yield one
    if one.name.is_symlink():
        one.unplug()


def stream_ears(sock, ears, until, seconds=5.0):
    """Reads a TCP socket into ears until the condition holds."""
    sock.settimeout(0.05)
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        try:
            data = sock.recv(65536)
        except TimeoutError:
            continue
        if not data:
            break
        ears.take(data)
    return until()


# Serial lines.


def test_an_unplugged_line_is_noticed_within_a_second_and_found_again_by_name_r_ep_3(line):
    with Endpoint(line.url) as one:
        assert one.opened()
        line.send(Voice(1, 1).heartbeat(2, 3))
        assert wait_for(lambda: one.state is LinkState.UP)
        began = time.monotonic()
        line.unplug()
        assert wait_for(lambda: one.connection.problem)
        assert time.monotonic() - began < 1.0
        line.plug()
        one.connection.post(beat())
        assert wait_for(lambda: line.of("HEARTBEAT"), 6)


def test_a_line_whose_name_goes_is_given_up_though_its_descriptor_lives_r_ep_3(line):
    with Endpoint(line.url) as one:
        assert one.opened()
        line.name.unlink()  # re-enumerated: the node is another now
        assert wait_for(lambda: "is gone" in one.connection.problem, 1.0)
        line.unplug()
        line.plug()
        assert wait_for(lambda: one.connection.counters.opened == 2, 6)


@pytest.mark.slow
def test_a_line_that_comes_back_is_not_waited_for_r_ep_2(line):
    line.unplug()
    with Endpoint(line.url) as one:
        assert wait_for(lambda: one.connection.counters.errors >= 3)  # now it waits for seconds
        line.plug()
        assert wait_for(lambda: one.connection.counters.opened == 1, 1.0)


def test_a_line_is_opened_by_one_program_only_r_ep_3(line):
    with Endpoint(line.url) as one, Endpoint(line.url) as other:
        assert wait_for(lambda: one.connection.problem or other.connection.problem)
        assert [bool(e.connection.problem) for e in (one, other)].count(True) == 1


def test_a_line_whose_other_side_reads_nothing_loses_streams_and_never_blocks_r_ep_4(line):
    line._stop = True
    line._thread.join()  # nobody reads: the terminal's buffer fills
    with Endpoint(line.url) as one:
        assert one.opened()
        slowest = 0.0
        for number in range(3000):
            began = time.perf_counter()
            one.connection.post(parcel(number))
            slowest = max(slowest, time.perf_counter() - began)
        assert wait_for(lambda: one.connection.counters.dropped > 1000)
        assert one.connection.waiting <= 256
        began = time.monotonic()
    assert time.monotonic() - began < 3  # closing does not wait for it either
    assert slowest < 0.2


def test_binary_bytes_pass_a_line_unchanged(line):
    with Endpoint(line.url) as one:
        assert one.opened()
        for start in (0, 128):  # flow control, end of line, end of file and interrupt among them
            data = [*range(start, start + 128), *[0] * 123]
            message = dialect.MAVLink_file_transfer_protocol_message(0, 7, 100, data)
            line.send(Voice(1, 1).frame(message))
        assert wait_for(lambda: len(one.heard) == 2)
        assert one.connection.frames.crc_errors == 0


# TCP.


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("[::1]", socket.AF_INET6)])
def test_a_tcp_client_speaks_both_internets_r_ep_4(host, family):
    with socket.create_server((host.strip("[]"), 0), family=family) as server:
        port = server.getsockname()[1]
        with Endpoint(f"tcp:{host}:{port}") as one:
            server.settimeout(5)
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(Voice().heartbeat())
                assert wait_for(lambda: one.state is LinkState.UP)
                assert one.heard[0].address == host.strip("[]")
                assert one.heard[0].local_address == host.strip("[]")


def test_a_tcp_name_with_several_addresses_is_tried_through():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Endpoint(f"tcp:localhost:{server.getsockname()[1]}") as one,
    ):
        assert one.opened()  # localhost may well mean ::1 first


@pytest.mark.slow
def test_a_tcp_server_that_restarts_is_found_again_r_ep_2():
    port = free_port()
    with Endpoint(f"tcp:127.0.0.1:{port}") as one:
        for _ in range(2):
            with socket.create_server(("127.0.0.1", port)) as server:
                server.settimeout(6)
                accepted, _ = server.accept()
                one.connection.post(beat())
                ears = Ears()
                assert stream_ears(accepted, ears, lambda ears=ears: ears.of("HEARTBEAT"))
                accepted.close()
            assert wait_for(lambda: one.state is LinkState.CLOSED)


def test_waits_between_attempts_grow_to_five_seconds_give_or_take_a_fifth_r_ep_2(monkeypatch):
    waits, now = [], [0]
    monkeypatch.setattr(connection_module.time, "monotonic_ns", lambda: now[0])
    one = Connection(parse_endpoint("tcp:127.0.0.1:9"), 1e6, Listener())
    for _ in range(200):
        one._failed("refused")
        waits.append((one._retry_ns - now[0]) / 1e9)
        now[0] = one._retry_ns
    for wanted, wait in zip((0.5, 1, 2, 4, *[5] * 196), waits, strict=True):
        assert 0.8 * wanted <= wait <= 1.2 * wanted
    assert max(waits[4:]) - min(waits[4:]) > 0.5  # jitter: a fleet does not knock in step
    one._open, one._opened_ns = True, now[0]
    now[0] += 10_500_000_000
    one._failed("broken after ten good seconds")
    assert (one._retry_ns - now[0]) / 1e9 <= 0.6
    one.close()


def test_a_stalled_tcp_server_loses_streams_and_gets_the_newest_when_it_goes_on_r_ep_4():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with Endpoint(f"tcp:127.0.0.1:{server.getsockname()[1]}") as one:
            accepted, _ = server.accept()
            assert one.opened()
            for number in range(5000):
                one.connection.post(parcel(number))
                if not number % 100:
                    time.sleep(0.001)
            assert wait_for(lambda: one.connection.counters.dropped > 1000)
            one.connection.post(parcel("newest"))
            ears = Ears()
            assert stream_ears(
                accepted, ears, lambda: ears.heard and ears.of("STATUSTEXT")[-1].text == "newest"
            )
            assert not ears.of("BAD_DATA")  # no frame was torn
            accepted.close()


def test_a_stalled_client_of_our_server_does_not_touch_the_others_r_ep_4():
    port = free_port()
    with Endpoint(f"tcpin:127.0.0.1:{port}") as one:
        stalled = socket.create_connection(("127.0.0.1", port))
        healthy = socket.create_connection(("127.0.0.1", port))
        assert wait_for(lambda: one.connection.peers == 2)
        ears = Ears()
        for number in range(3000):
            one.connection.post(parcel(number))
            if not number % 50:
                stream_ears(healthy, ears, lambda: True)
                time.sleep(0.001)
        one.connection.post(parcel("last"))
        assert stream_ears(healthy, ears, lambda: ears.texts()[-1:] == ["last"])
        assert one.connection.counters.errors == 0
        stalled.close()
        assert wait_for(lambda: one.connection.peers == 1)
        healthy.close()


def test_two_clients_bytes_do_not_mix():
    port = free_port()
    one_frame, other_frame = Voice(255, 1).heartbeat(), Voice(254, 1).heartbeat()
    with (
        Endpoint(f"tcpin:127.0.0.1:{port}") as one,
        socket.create_connection(("127.0.0.1", port)) as a,
        socket.create_connection(("127.0.0.1", port)) as b,
    ):
        for i in range(len(one_frame)):  # byte by byte, in turns
            a.sendall(one_frame[i : i + 1])
            b.sendall(other_frame[i : i + 1])
            time.sleep(0.002)
        assert wait_for(lambda: len(one.heard) == 2)
        assert {heard.frame.system for heard in one.heard} == {254, 255}
        assert one.connection.frames.crc_errors == one.connection.frames.skipped_bytes == 0


def test_clients_beyond_sixteen_are_turned_away():
    port = free_port()
    with Endpoint(f"tcpin:127.0.0.1:{port}") as one:
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        assert wait_for(lambda: one.connection.peers == 16)
        clients[0].sendall(Voice().heartbeat())
        assert wait_for(lambda: one.heard)
        for client in clients:
            client.close()


# UDP.


def test_nobody_listening_is_no_error_r_ep_5():
    port = free_port(socket.SOCK_DGRAM)
    with Endpoint(f"udpout:127.0.0.1:{port}") as one:
        assert one.opened()
        for number in range(5):
            one.connection.post(parcel(number))
            time.sleep(0.02)
        with UdpEnd(port) as late:
            one.connection.post(parcel("heard"))
            assert wait_for(lambda: late.of("STATUSTEXT"))
        assert one.connection.counters.errors == 0


def test_a_ground_station_that_changes_its_port_is_answered_there_r_ep_5():
    port = free_port(socket.SOCK_DGRAM)
    with Endpoint(f"udpin:127.0.0.1:{port}") as one:
        for _ in range(2):
            with UdpEnd() as ground:
                ground.send(Voice().heartbeat(), port)
                assert wait_for(lambda ground=ground: one.heard and one.heard[-1].peer[1] == ground.port)
                one.connection.post(parcel())
                assert wait_for(lambda ground=ground: ground.of("STATUSTEXT"))


def test_a_peer_is_forgotten_after_fifteen_silent_seconds_r_ep_5(monkeypatch):
    monkeypatch.setattr(udp_links, "PEER_SILENCE_S", 0.3)
    port = free_port(socket.SOCK_DGRAM)
    with Endpoint(f"udpin:127.0.0.1:{port}") as one, UdpEnd() as ground:
        ground.send(Voice().heartbeat(), port)
        assert wait_for(lambda: one.connection.peers == 1)
        assert wait_for(lambda: one.connection.peers == 0)
        assert wait_for(lambda: not one.connection._hearing._readers)  # nor what it had begun to say


def test_the_peer_table_is_bounded_and_strangers_do_not_drive_out_ground_stations_r_ep_5():
    port = free_port(socket.SOCK_DGRAM)
    with Endpoint(f"udpin:127.0.0.1:{port}") as one, UdpEnd() as ground:
        ground.send(Voice().heartbeat(), port)
        assert wait_for(lambda: one.connection.peers == 1)
        strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
        for stranger in strangers:
            stranger.sendto(b"hello", ("127.0.0.1", port))
            stranger.close()
        assert wait_for(lambda: one.connection.peers == 16)
        with UdpEnd() as second:  # finds room among those that never said anything valid
            second.send(Voice(254, 190).heartbeat(), port)
            assert wait_for(lambda: len(one.heard) == 2)
            one.connection.post(parcel())
            assert wait_for(lambda: ground.of("STATUSTEXT") and second.of("STATUSTEXT"))


def test_a_socket_for_both_internets_shows_plain_addresses():
    port = free_port(socket.SOCK_DGRAM, socket.AF_INET6)
    with Endpoint(f"udpin:[::]:{port}") as one, UdpEnd() as ground:
        ground.send(Voice().heartbeat(), port)
        assert wait_for(lambda: one.heard)
        assert (one.heard[0].address, one.heard[0].local_address) == ("127.0.0.1", "127.0.0.1")
        one.connection.post(beat())
        assert wait_for(lambda: ground.of("HEARTBEAT"))


def test_a_fixed_destination_hears_nobody_else():
    with UdpEnd() as ground, Endpoint(f"udpout:127.0.0.1:{ground.port}") as one:
        one.connection.post(beat())
        assert wait_for(lambda: ground.peer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.sendto(Voice(66, 1).heartbeat(), ground.peer)
        ground.send(Voice().heartbeat())
        assert wait_for(lambda: one.heard)
        assert [heard.frame.system for heard in one.heard] == [255]


# Any.


def test_link_states_follow_what_is_heard_r_ep_8(monkeypatch):
    monkeypatch.setattr(connection_module, "UP_WITHIN_NS", 300_000_000)
    monkeypatch.setattr(connection_module, "LOST_AFTER_NS", 600_000_000)
    with UdpEnd() as ground, Endpoint(f"udpout:127.0.0.1:{ground.port}") as one:
        one.connection.post(beat())
        assert wait_for(lambda: ground.peer)
        assert one.state is LinkState.SILENT
        ground.send(Voice().heartbeat())
        assert wait_for(lambda: one.state is LinkState.UP)
        assert wait_for(lambda: one.state is LinkState.QUIET)
        assert one.links == [True]
        assert wait_for(lambda: one.state is LinkState.LOST)
        assert one.links == [True, False]
        one.connection.post(beat())  # they keep going
        ground.send(Voice().heartbeat())
        assert wait_for(lambda: one.links == [True, False, True])
        assert wait_for(lambda: len(ground.of("HEARTBEAT")) == 2)


def test_what_waited_while_a_link_was_closed_is_not_sent_late_r_ep_8(line):
    line.unplug()
    with Endpoint(line.url) as one:
        assert wait_for(lambda: one.connection.problem)
        one.connection.post(parcel("old answer", Priority.ACK))
        one.connection.post(beat())
        line.plug()
        assert wait_for(lambda: line.of("HEARTBEAT"))
        one.connection.post(parcel("new"))
        assert wait_for(lambda: line.of("STATUSTEXT"))
    assert [m.text for m in line.of("STATUSTEXT")] == ["new"]


def test_garbage_is_counted_and_harmless_r_ep_10(line):
    with Endpoint(line.url) as one:
        assert one.opened()
        damaged = bytearray(Voice().heartbeat())
        damaged[12] ^= 1
        noise = random.Random(1).randbytes(2000)
        for piece in (noise, bytes(damaged), Voice().heartbeat()):
            line.send(piece)
            time.sleep(0.02)
        assert wait_for(lambda: one.heard and one.heard[-1].message.get_type() == "HEARTBEAT")
        frames = one.connection.frames
    assert frames.crc_errors >= 1
    assert frames.resyncs >= 1
    assert frames.skipped_bytes > 1000
    assert one.connection.counters.errors == 0


def test_one_peers_flood_leaves_room_for_another():
    port = free_port(socket.SOCK_DGRAM)
    with Endpoint(f"udpin:127.0.0.1:{port}") as one, UdpEnd() as ground:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hostile:
            voice, until, sent = Voice(99, 99), time.monotonic() + 0.4, 0
            burst = b"".join(voice.heartbeat() for _ in range(40))
            while time.monotonic() < until:
                hostile.sendto(burst, ("127.0.0.1", port))
                sent += 40
                if not sent % 4000:
                    ground.send(Voice().heartbeat(), port)
                    time.sleep(0.005)
        assert wait_for(lambda: any(heard.frame.system == 255 for heard in one.heard))
        assert one.connection.counters.flooded > 0
        assert len(one.heard) < 4000 < sent


def test_a_capped_endpoint_sends_answers_and_thins_streams():
    with UdpEnd() as ground, Endpoint(f"udpout:127.0.0.1:{ground.port}", bytes_per_s=400) as one:
        assert one.opened()
        until, offered = time.monotonic() + 0.6, 0
        while time.monotonic() < until:
            one.connection.post(parcel(priority=Priority.STATUS, latest_wins=True))
            if not offered % 10:
                one.connection.post(beat())
            offered += 1
            time.sleep(0.01)
        beats, texts = len(ground.of("HEARTBEAT")), len(ground.of("STATUSTEXT"))
    assert beats >= 0.8 * offered / 10
    assert texts < 0.5 * offered
