"""Frames in whatever comes over a wire (R-V2-1 to R-V2-3, R-EP-7, R-EP-10)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.framing import Decoder, FrameCounters, FrameReader, FrameWriter
from edge_rgbt.mavlink.identity import Identity
from tests.mavlink.stations import Voice

MS = 1_000_000


def reader():
    counters = FrameCounters()
    return FrameReader(counters), counters


def kinds(frames):
    decoder = Decoder()
    return [decoder.decode(frame).get_type() for frame in frames]


def test_frames_come_out_however_the_bytes_are_cut():
    voice = Voice(3, 4)
    data = b"".join(voice.heartbeat() + voice.command() for _ in range(20))
    for size in (1, 7, 13, 280, len(data)):
        one, counters = reader()
        frames = [f for i in range(0, len(data), size) for f in one.feed(data[i : i + size], 0)]
        assert kinds(frames) == ["HEARTBEAT", "COMMAND_LONG"] * 20
        assert b"".join(f.data for f in frames) == data
        assert (counters.frames, counters.skipped_bytes, counters.crc_errors) == (40, 0, 0)
        assert {(f.system, f.component, f.version) for f in frames} == {(3, 4, 2)}


def test_version_1_is_heard_and_counted():
    one, counters = reader()
    frames = one.feed(Voice(1, 1).heartbeat(2, 3, version_1=True), 0)
    assert [(f.version, f.message_id, f.system) for f in frames] == [(1, 0, 1)]
    assert counters.version_1 == 1


def test_a_false_start_costs_no_real_frame_r_ep_10():
    # pymavlink's parser swallows 255 bytes here: ten heartbeats.
    false_start = b"\xfd\xff\x00\x00\x00\x01\x01\x00\x00\x00"
    beats = b"".join(Voice().heartbeat() for _ in range(20))
    one, counters = reader()
    assert len(one.feed(false_start + beats, 0)) == 20
    assert counters.crc_errors == 1
    assert (counters.resyncs, counters.skipped_bytes) == (1, len(false_start))


def test_a_false_start_that_waits_for_more_is_given_up_r_ep_10():
    one, _ = reader()
    assert one.feed(b"\xfd\xff\x00" + Voice().heartbeat(), 0) == []
    assert one.feed(b"", 400 * MS) == []
    assert kinds(one.feed(b"", 600 * MS)) == ["HEARTBEAT"]


def test_a_damaged_frame_is_counted_and_the_next_one_heard_r_ep_10():
    voice = Voice()
    damaged = bytearray(voice.command())
    damaged[15] ^= 0x40
    one, counters = reader()
    frames = one.feed(bytes(damaged) + voice.heartbeat(), 0)
    assert kinds(frames)[-1:] == ["HEARTBEAT"]
    assert counters.crc_errors >= 1


def test_unknown_messages_are_passed_over_and_counted_r_v2_2():
    voice = Voice()
    own = ardupilotmega.MAVLink_mount_status_message(1, 1, 100, 200, 300).pack(
        ardupilotmega.MAVLink(None, srcSystem=1, srcComponent=1)
    )
    target = b"\xfd\x04\x00\x00\x00\x01\x01" + (510).to_bytes(3, "little") + b"\xfd\xfe\x00\x01" + b"??"
    one, counters = reader()
    frames = one.feed(voice.heartbeat() + own + target + voice.heartbeat(), 0)
    assert [(f.message_id, f.known) for f in frames] == [(0, True), (158, False), (510, False), (0, True)]
    assert counters.unknown_ids == 2
    assert Decoder().decode(frames[1]) is None


def test_flags_that_we_do_not_know_are_no_frame():
    frame = bytearray(Voice().heartbeat())
    frame[2] = 0x02
    one, counters = reader()
    assert one.feed(bytes(frame), 0) == []
    assert counters.skipped_bytes == len(frame)


def test_trailing_zeros_that_are_cut_come_back_r_v2_3():
    one, _ = reader()
    ack = dialect.MAVLink_command_ack_message(2004, 0, 0, 0, 0, 0)
    frame = one.feed(Voice().frame(ack), 0)[0]
    assert len(frame.data) < 10 + 10 + 2
    message = Decoder().decode(frame)
    assert (message.command, message.target_system, message.target_component) == (2004, 0, 0)


@given(st.lists(st.one_of(st.binary(max_size=300), st.just("beat")), max_size=30), st.integers(1, 600))
@settings(max_examples=150, deadline=None)
def test_garbage_never_raises_never_grows_and_loses_little_r_ep_10(parts, size):
    voice, one = Voice(), reader()[0]
    data = b"".join(voice.heartbeat() if part == "beat" else part for part in parts)
    now = 0
    for start in range(0, len(data), size):
        now += MS
        one.feed(data[start : start + size], now)
        assert len(one._buffer) <= 280
    assert not one._buffer or one._buffer[0] in (0xFD, 0xFE)


def test_every_message_of_the_dialect_survives_random_payloads():
    random.seed(5)
    decoder, counters = Decoder(), FrameCounters()
    decoded = 0
    for message_id, kind in dialect.mavlink_map.items():
        for _ in range(5):
            payload = random.randbytes(max(1, kind.unpacker.size))
            header = bytes((0xFD, len(payload), 0, 0, 0, 1, 1)) + message_id.to_bytes(3, "little")
            checksum = dialect.x25crc(header[1:] + payload + bytes((kind.crc_extra,))).crc
            for frame in FrameReader(counters).feed(header + payload + checksum.to_bytes(2, "little"), 0):
                decoded += decoder.decode(frame) is not None
    assert decoded == 5 * len(dialect.mavlink_map) > 1000


def test_writers_of_two_endpoints_count_apart_r_ep_7():
    camera, beacon, beat = (
        Identity(1, 100),
        Identity(200, 191),
        dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 3, 3),
    )
    one, other = FrameWriter(), FrameWriter()
    sequence = [one.write(camera, beat)[4] for _ in range(300)]
    assert sequence == [count % 256 for count in range(300)]
    assert one.write(beacon, beat)[4] == other.write(camera, beat)[4] == 0


def test_frames_are_version_2_whatever_the_environment_says_r_v2_1(monkeypatch):
    monkeypatch.delenv("MAVLINK20", raising=False)
    frame = FrameWriter().write(Identity(1, 100), dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 3, 3))
    assert (frame[0], len(frame)) == (0xFD, 21)


def test_a_message_packed_for_two_endpoints_is_not_changed():
    message = dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 3, 3)
    FrameWriter().write(Identity(9, 100), message)
    assert message.get_srcSystem() == 0
    assert not message.get_msgbuf()


def test_a_message_that_fits_no_frame_raises_for_whoever_sends_it():
    with pytest.raises(Exception, match="format requires"):
        FrameWriter().write(Identity(1, 100), dialect.MAVLink_command_ack_message(70_000, 0))
