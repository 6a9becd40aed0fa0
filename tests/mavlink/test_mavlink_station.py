"""The station on real sockets: who it speaks as, whom it answers, and that components cannot break it."""

import socket
import threading
import time

import pytest
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Speaker
from edge_rgbt.mavlink.messages import Health
from edge_rgbt.mavlink.settings import EndpointSettings, MavlinkSettings
from edge_rgbt.mavlink.station import Station
from tests.mavlink.stations import Echo, UdpEnd, Voice, autopilot, free_port, wait_for


@pytest.fixture
def ground():
    with UdpEnd() as end:
        yield end


def out_to(*ends, **options):
    urls = tuple(f"udpout:127.0.0.1:{end.port}" for end in ends)
    return MavlinkSettings(url=urls, **{"sysid": 7, **options})


def sources(end):
    return {(m.get_srcSystem(), m.get_srcComponent()) for _, m in list(end.ears.heard)}


def text(words):
    return dialect.MAVLink_statustext_message(6, words.encode(), 0, 0)


def test_the_camera_beats_from_the_start_as_boot_with_the_vehicles_number_r_id_1(ground):
    with Station(out_to(ground)):
        assert wait_for(lambda: ground.of("HEARTBEAT"))
    beat = ground.of("HEARTBEAT")[0]
    assert (beat.get_srcSystem(), beat.get_srcComponent(), beat.type, beat.autopilot) == (7, 100, 30, 8)
    assert beat.system_status == Health.BOOT.value


def test_the_camera_is_silent_and_a_provisional_heartbeat_opens_the_path_until_the_vehicle_is_known_r_id_1(
    ground,
):
    echo = Echo()
    with Station(out_to(ground, sysid="auto"), [echo]) as station:
        assert wait_for(lambda: ground.of("HEARTBEAT"))
        provisional = ground.of("HEARTBEAT")[0]
        assert (provisional.get_srcSystem(), provisional.get_srcComponent(), provisional.type) == (1, 191, 18)
        echo.say = [Outgoing(text("too early"), Priority.STATUS)]
        assert wait_for(lambda: station.status().unheard == 1)
        _, beat = autopilot(42)
        ground.send(beat())
        assert wait_for(lambda: (42, 100) in sources(ground))
        assert echo.systems == [42]
    assert not ground.of("STATUSTEXT")[:-1]  # the last words only


def test_an_endpoint_that_waits_for_others_says_nothing_provisional_r_id_1(ground):
    port = free_port(socket.SOCK_DGRAM)
    with Station(MavlinkSettings(url=(f"udpin:127.0.0.1:{port}",))):
        ground.send(Voice().heartbeat(), port)
        time.sleep(0.3)
    assert not ground.of("HEARTBEAT")


def test_only_the_autopilots_endpoint_teaches_the_number_r_id_1(ground):
    with UdpEnd() as other:
        settings = MavlinkSettings(
            endpoint=(
                EndpointSettings(f"udpout:127.0.0.1:{ground.port}", role="gcs"),
                EndpointSettings(f"udpout:127.0.0.1:{other.port}", role="autopilot"),
            )
        )
        echo = Echo()
        with Station(settings, [echo]) as station:
            assert wait_for(lambda: ground.peer and other.peer)
            ground.send(autopilot(9)[1]())
            assert wait_for(lambda: "HEARTBEAT" in echo.kinds())
            assert station.status().vehicle is None
            other.send(autopilot(3)[1]())
            assert wait_for(lambda: station.status().vehicle == 3)


def test_another_vehicle_on_the_same_radio_changes_nothing_r_id_2(ground):
    with Station(out_to(ground, sysid="auto")) as station:
        assert wait_for(lambda: ground.peer)
        ground.send(autopilot(3)[1]())
        assert wait_for(lambda: station.status().vehicle == 3)
        ground.send(autopilot(4)[1]())
        time.sleep(0.1)
        assert station.identity(Speaker.CAMERA).system == 3


def test_nothing_is_ever_sent_as_a_ground_station_r_id_3(ground):
    echo = Echo()
    with Station(out_to(ground, companion=True), [echo]):
        echo.say = [Outgoing(text(speaker.value), Priority.STATUS, speaker) for speaker in Speaker]
        assert wait_for(lambda: len(ground.of("STATUSTEXT")) == 3)
    assert sources(ground) == {(7, 100), (7, 191), (200, 191)}
    assert {m.type for m in ground.of("HEARTBEAT")} == {30, 18}


def test_the_beacon_has_a_number_of_its_own_and_no_heartbeat():
    with pytest.raises(UsageError, match="beacon"):
        Station(MavlinkSettings(url=("udpout:127.0.0.1:9",), sysid=200))


def test_an_answer_goes_only_where_it_was_asked_r_cmd_4(ground):
    with UdpEnd() as other, Station(out_to(ground, other), [Echo()]):
        assert wait_for(lambda: ground.peer and other.peer)
        ground.send(Voice().command(target=(7, 100)))
        assert wait_for(lambda: ground.of("COMMAND_ACK"))
        time.sleep(0.1)
    ack = ground.of("COMMAND_ACK")[0]
    assert (ack.get_srcSystem(), ack.get_srcComponent()) == (7, 100)
    assert (ack.target_system, ack.target_component) == (255, 190)
    assert not other.of("COMMAND_ACK")


def test_of_two_ground_stations_on_one_port_only_the_asking_one_is_answered(ground):
    port, echo = free_port(socket.SOCK_DGRAM), Echo()
    settings = MavlinkSettings(url=(f"udpin:127.0.0.1:{port}",), sysid=7)
    with UdpEnd() as other, Station(settings, [echo]):
        other.send(Voice().heartbeat(), port)
        ground.send(Voice().command(target=(7, 100)), port)
        assert wait_for(lambda: ground.of("COMMAND_ACK"))
        echo.say = [Outgoing(text("all"), Priority.STATUS, latest_wins=True)]
        assert wait_for(lambda: ground.of("STATUSTEXT") and other.of("STATUSTEXT"))
    assert not other.of("COMMAND_ACK")


def test_answers_come_at_once(ground):
    delays = []
    with Station(out_to(ground), [Echo()]):
        assert wait_for(lambda: ground.peer)
        for count in range(1, 31):
            asked = time.monotonic()
            ground.send(Voice().command(target=(7, 100)))
            assert wait_for(lambda count=count: len(ground.of("COMMAND_ACK")) == count)
            delays.append(ground.ears.times_of("COMMAND_ACK")[-1] - asked)
    assert sorted(delays)[15] < 0.02


def test_what_is_due_is_asked_every_twenty_milliseconds_and_at_a_wake(ground):
    echo = Echo()
    with Station(out_to(ground), [echo]) as station:
        time.sleep(0.5)
        turns = len(echo.turns)
        for _ in range(20):
            before = len(echo.turns)
            station.wake()
            assert wait_for(lambda before=before: len(echo.turns) > before)
    assert 10 <= turns <= 28


def test_a_component_that_raises_is_counted_and_hurts_nobody(ground):
    class Broken:
        def receive(self, received):
            raise RuntimeError("receive")

        def due(self, now_ns):
            raise RuntimeError("due")

    echo = Echo()
    with Station(out_to(ground), [Broken(), echo]) as station:
        assert wait_for(lambda: ground.peer)
        ground.send(Voice().command(target=(7, 100)))
        assert wait_for(lambda: ground.of("COMMAND_ACK"))
        assert station.status().faults >= 2


def test_a_message_that_fits_no_frame_is_counted_and_the_next_one_sent(ground):
    impossible = dialect.MAVLink_command_ack_message(70_000, 0)
    echo = Echo()
    with Station(out_to(ground), [echo]) as station:
        assert wait_for(lambda: ground.peer)
        echo.say = [Outgoing(impossible, Priority.ACK), Outgoing(text("fine"), Priority.STATUS)]
        assert wait_for(lambda: ground.of("STATUSTEXT"))
        assert station.status().endpoints[0].counters.unsendable == 1


def test_each_source_counts_its_own_messages_on_each_endpoint_r_ep_7(ground):
    echo = Echo()
    with UdpEnd() as other, Station(out_to(ground, other, companion=True), [echo]):
        assert wait_for(lambda: ground.peer and other.peer)
        only = f"udpout:127.0.0.1:{ground.port}"
        for number in range(5):
            echo.say = [Outgoing(text(str(number)), Priority.ONE_SHOT, endpoint=only)]
            assert wait_for(lambda number=number: len(ground.of("STATUSTEXT")) > number)
    for end in (ground, other):
        for source in ((7, 100), (7, 191)):
            numbers = [
                m.get_seq() for _, m in end.ears.heard if (m.get_srcSystem(), m.get_srcComponent()) == source
            ]
            assert numbers == list(range(len(numbers)))


def test_our_own_numbers_from_elsewhere_are_counted_and_not_heard(ground):
    echo = Echo()
    with Station(out_to(ground), [echo]) as station:
        assert wait_for(lambda: ground.peer)
        ground.send(Voice(7, 100).heartbeat(30))
        assert wait_for(lambda: station.status().own_ids_heard == 1)
        ground.send(Voice(7, 101).heartbeat(30))
        assert wait_for(lambda: echo.kinds() == ["HEARTBEAT"])
    assert echo.received[0].component == 101


def test_closing_says_last_words_and_poweroff(ground):
    echo = Echo()
    station = Station(out_to(ground, companion=True), [echo])
    station.start()
    assert wait_for(lambda: ground.of("HEARTBEAT"))
    station.close()
    station.close()
    assert wait_for(lambda: [m.system_status for m in ground.of("HEARTBEAT")[-2:]] == [7, 7])
    assert [m.text for m in ground.of("STATUSTEXT")] == ["last words"]
    assert echo.closed


def test_closing_does_not_wait_for_a_component_that_hangs(ground):
    hanging = threading.Event()

    class Stuck(Echo):
        def due(self, now_ns):
            hanging.wait()
            return []

    station = Station(out_to(ground), [Stuck()])
    station.start()
    assert wait_for(lambda: ground.of("HEARTBEAT"))
    began = time.monotonic()
    station.close()
    assert time.monotonic() - began < 4
    hanging.set()
    assert wait_for(lambda: ground.of("HEARTBEAT")[-1].system_status == 7)


def test_a_port_in_use_is_one_line_and_leaves_nothing_open(ground):
    port = free_port()
    settings = MavlinkSettings(url=(f"tcpin:127.0.0.1:{port}", f"udpin:127.0.0.1:{ground.port}"), sysid=7)
    with pytest.raises(UsageError, match=f"port {ground.port} is in use") as caught:
        Station(settings).start()
    assert "\n" not in str(caught.value)
    with socket.create_server(("127.0.0.1", port)):
        pass  # free again


def test_nothing_that_is_missing_at_the_start_is_fatal_r_ep_1(ground, tmp_path):
    missing = (
        f"serial:{tmp_path}/ttyNONE",
        f"tcp:127.0.0.1:{free_port()}",
        "udpout:nowhere.invalid:14550",
        "udpin:192.0.2.1:14550",
    )
    settings = MavlinkSettings(url=(f"udpout:127.0.0.1:{ground.port}", *missing), sysid=7)
    with Station(settings, [Echo()]) as station:
        assert wait_for(lambda: ground.of("HEARTBEAT"))
        assert wait_for(lambda: all(one.problem for one in station.status().endpoints[1:]))
        ground.send(Voice().command(target=(7, 100)))
        assert wait_for(lambda: ground.of("COMMAND_ACK"))


def test_a_component_can_join_later_and_learns_the_vehicle(ground):
    echo = Echo()
    with Station(out_to(ground)) as station:
        station.add(echo)
        assert wait_for(lambda: echo.turns and echo.systems == [7])


def test_health_is_asked_of_whoever_knows_it(ground):
    with Station(out_to(ground), health=lambda: Health.CRITICAL) as station:
        assert wait_for(lambda: station.health is Health.CRITICAL)


def test_the_tap_gets_every_frame_and_cannot_break_the_link(ground):
    taken = []

    def tap(url, outgoing, data, t_ns):
        taken.append((url, outgoing, data, t_ns))
        raise OSError("disk full")

    with Station(out_to(ground), [Echo()], on_bytes=tap):
        assert wait_for(lambda: ground.peer)
        frame = Voice().command(target=(7, 100))
        ground.send(frame)
        assert wait_for(lambda: ground.of("COMMAND_ACK"))
    incoming = [data for _, outgoing, data, _ in taken if not outgoing]
    outgoing = [data for _, outgoing, data, _ in taken if outgoing]
    assert incoming == [frame]
    assert outgoing == [bytes(m.get_msgbuf()) for _, m in ground.ears.heard]


def test_a_tap_that_hangs_does_not_hold_up_the_link(ground):
    hanging = threading.Event()
    station = Station(out_to(ground), [Echo()], on_bytes=lambda *frame: hanging.wait())
    station.start()
    assert wait_for(lambda: ground.peer)
    for count in range(1, 6):
        ground.send(Voice().command(target=(7, 100)))
        assert wait_for(lambda count=count: len(ground.of("COMMAND_ACK")) == count)
    hanging.set()
    station.close()


def test_an_autopilot_that_restarts_ends_and_renews_its_link_r_ep_9(ground):
    echo = Echo()
    voice, beat = autopilot(7)
    with Station(out_to(ground), [echo]):
        assert wait_for(lambda: ground.peer)
        for boot_ms in (60_000, 61_000, 60_500, 62_000, 800):
            ground.send(beat() + voice.frame(dialect.MAVLink_system_time_message(0, boot_ms)))
        url = f"udpout:127.0.0.1:{ground.port}"
        assert wait_for(lambda: len(echo.links) == 3)
    assert echo.links == [(url, True), (url, False), (url, True)]


def test_messages_pass_between_endpoints_only_if_asked_for(ground):
    for forward in (False, True):
        with UdpEnd() as other, Station(out_to(ground, other, forward=forward)):
            assert wait_for(lambda other=other: ground.peer and other.peer)
            time.sleep(0.05)
            ground.send(Voice(255, 190).heartbeat())
            passed = wait_for(lambda other=other: (255, 190) in sources(other), 1.5 if forward else 0.3)
            assert passed is forward


def test_every_counter_of_every_endpoint_is_exposed_r_ep_10(ground):
    with UdpEnd() as other, Station(out_to(ground, other), [Echo()]) as station:
        assert wait_for(lambda: ground.peer and other.peer)
        for end in (ground, other):
            damaged = bytearray(Voice().heartbeat())
            damaged[12] ^= 1
            end.send(bytes(damaged))
            end.send(Voice().heartbeat())
        assert wait_for(lambda: station.status().flat()["received"] == 2)
        counted = station.status().flat()
    assert counted["crc_errors"] == 2
    assert counted["resyncs"] == 2
    assert counted["heartbeats"] >= 2
    assert {"unknown_ids", "signatures_bad", "signatures_replayed", "faults", "errors"} <= counted.keys()
