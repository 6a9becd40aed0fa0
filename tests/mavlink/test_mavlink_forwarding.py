"""Passing messages on between endpoints, without loops (section 1.4, R-SEC-4)."""

from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.forwarding import Forwarder
from edge_rgbt.mavlink.framing import Decoder, FrameCounters, FrameReader
from tests.mavlink.stations import Voice

A, B, C = "serial:/dev/ttyS0:57600", "udpout:127.0.0.1:14550", "tcp:127.0.0.1:5760"
S = 1_000_000_000


def passes(forwarder, endpoint, data, now_ns=0):
    (frame,) = FrameReader(FrameCounters()).feed(data, 0)
    return forwarder.route(endpoint, frame, Decoder().decode(frame), now_ns)


def test_what_is_for_all_goes_to_all_others():
    assert passes(Forwarder([A, B, C]), A, Voice(1, 1).heartbeat()) == [B, C]


def test_what_is_addressed_goes_where_its_target_was_heard():
    forwarder = Forwarder([A, B, C])
    assert passes(forwarder, B, Voice(255, 190).command(target=(1, 1))) == []
    passes(forwarder, A, Voice(1, 1).heartbeat())
    assert passes(forwarder, B, Voice(255, 191).command(target=(1, 1))) == [A]
    assert passes(forwarder, B, Voice(255, 192).command(target=(1, 0))) == [A]
    assert passes(forwarder, A, Voice(1, 1).command(target=(255, 190))) == [B]


def test_the_same_bytes_are_passed_on_once():
    forwarder, voice = Forwarder([A, B, C]), Voice(1, 1)
    beat = voice.heartbeat()
    assert passes(forwarder, A, beat) == [B, C]
    assert passes(forwarder, B, beat, S) == []
    assert passes(forwarder, A, voice.heartbeat(), S) == [B, C]
    assert passes(forwarder, A, beat, 4 * S) == [B, C]  # the sequence came round
    assert forwarder.loops == 1


def test_keys_go_to_nobody_r_sec_4():
    key = Voice().frame(dialect.MAVLink_setup_signing_message(0, 0, list(range(32)), 0))
    assert passes(Forwarder([A, B]), A, key) == []


def test_a_flood_of_sources_takes_bounded_memory():
    forwarder = Forwarder([A, B])
    for count in range(5000):
        passes(forwarder, A, Voice(1 + count % 250, 1 + count // 250).heartbeat(), count)
    assert len(forwarder._passed) <= 2048
    assert len(forwarder._heard_on) <= 256
