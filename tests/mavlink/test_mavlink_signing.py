"""Signing (R-SEC-1 to R-SEC-4), with pymavlink as the independent other side; acceptance 12."""

import hashlib
import json
import logging
import os
import socket
import time

import pytest
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.mavlink.framing import FrameCounters, FrameReader, FrameWriter
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.settings import EndpointSettings, MavlinkSettings, SigningSettings
from edge_rgbt.mavlink.signing import (
    EPOCH_UNIX_S,
    UNITS_PER_S,
    Signer,
    SigningClock,
    SigningKey,
    read_key,
)
from edge_rgbt.mavlink.signing_setup import SigningSetup
from edge_rgbt.mavlink.station import Station
from tests.mavlink.stations import Echo, Line, UdpEnd, Voice, free_port, wait_for

SECRET = bytes(range(1, 33))
KEY = SigningKey(SECRET)
CAMERA = Identity(7, 100)


def now_units():
    return round((time.time() - EPOCH_UNIX_S) * UNITS_PER_S)


def beat():
    return dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 3, 3)


def frame(data):
    (one,) = FrameReader(FrameCounters()).feed(data, 0)
    return one


def signer(required=False, link_id=2, clock=None):
    return Signer(KEY, clock or SigningClock(None), link_id, required)


def signed(timestamp, link_id=0, system=255, key=SECRET):
    return frame(Voice(system, 190, key).at(timestamp, link_id).heartbeat())


def test_pymavlink_accepts_what_we_sign_and_refuses_it_with_another_key_r_sec_1():
    data = FrameWriter(signer().sign).write(CAMERA, beat())
    assert (data[2], len(data)) == (1, 21 + 13)
    receiver = dialect.MAVLink(None)
    receiver.signing.secret_key = SECRET
    (message,) = receiver.parse_buffer(data)
    assert (message.get_signed(), message.get_link_id()) == (True, 2)
    receiver = dialect.MAVLink(None)
    receiver.robust_parsing = True
    receiver.signing.secret_key = bytes(32)
    assert [m.get_type() for m in receiver.parse_buffer(data)] == ["BAD_DATA"]


def test_the_signature_block_is_laid_out_as_the_standard_says_r_sec_1():
    before = now_units()
    data = FrameWriter(signer(link_id=5).sign).write(CAMERA, beat())
    block = data[-13:]
    assert block[0] == 5
    assert before <= int.from_bytes(block[1:7], "little") <= now_units() + 2
    assert block[7:] == hashlib.sha256(SECRET + data[:-6]).digest()[:6]


def test_a_passphrase_becomes_a_key_as_ground_stations_do_it_r_sec_1():
    assert SigningKey.from_passphrase("correct horse") == SigningKey(
        hashlib.sha256(b"correct horse").digest()
    )


def test_timestamps_never_repeat_over_all_endpoints_r_sec_2():
    clock = SigningClock(None)
    stamps = [clock.next() for _ in range(1000)]
    assert sorted(set(stamps)) == stamps


def test_timestamps_go_on_after_a_restart_in_the_past_r_sec_2(tmp_path, monkeypatch):
    path = tmp_path / "key.state"
    last = SigningClock(path)
    used = [last.next() for _ in range(50)][-1]  # and a power cut: no orderly end
    monkeypatch.setattr(time, "time", lambda: 86_400.0)  # 1970: no battery for the clock
    after = SigningClock(path)
    assert after.next() > used
    assert after.newest - used < 60 * UNITS_PER_S


def test_crashes_in_a_row_do_not_carry_us_away_from_the_true_time_r_sec_2(tmp_path):
    for _ in range(20):
        clock = SigningClock(tmp_path / "key.state")
        clock.next()
    honest = now_units()
    assert clock.newest - honest < 30 * UNITS_PER_S
    assert clock.admit((255, 190, 0), honest)


def test_an_orderly_end_stores_what_was_used_r_sec_2(tmp_path):
    path = tmp_path / "key.state"
    clock = SigningClock(path)
    used = clock.next()
    clock.store(final=True)
    stored = json.loads(path.read_text())["timestamp"]
    assert used <= stored <= used + UNITS_PER_S
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_state_is_told_and_the_clock_used_r_sec_2(tmp_path, caplog):
    path = tmp_path / "key.state"
    path.write_text('{"timestamp": 12')
    assert abs(SigningClock(path).next() - now_units()) < UNITS_PER_S
    assert "cannot be read" in caplog.text


def test_a_clock_set_back_while_running_is_not_followed_r_sec_2(monkeypatch):
    clock = SigningClock(None)
    before, true_time = clock.next(), time.time
    monkeypatch.setattr(time, "time", lambda: true_time() - 3600)
    time.sleep(0.02)
    assert clock.next() >= before + 0.02 * UNITS_PER_S


def test_a_wrong_signature_is_refused_r_sec_3():
    one = signer()
    assert not one.admit(signed(now_units(), key=bytes(31) + b"x"))
    assert one.admit(signed(now_units()))
    assert (one.counters.bad, one.counters.good) == (1, 1)


def test_a_frame_heard_before_is_refused_r_sec_3():
    one, stamp = signer(), now_units()
    assert one.admit(signed(stamp))
    assert not one.admit(signed(stamp))
    assert not one.admit(signed(stamp - 1))
    assert one.admit(signed(stamp + 1))
    assert one.counters.replayed == 2


def test_a_frame_heard_on_another_endpoint_is_refused_too_r_sec_3():
    clock, replay = SigningClock(None), signed(now_units())
    assert signer(clock=clock, link_id=0).admit(replay)
    assert not signer(clock=clock, link_id=1).admit(replay)


def test_streams_are_told_apart_by_system_component_and_link_r_sec_3():
    one, stamp = signer(), now_units()
    assert all(one.admit(signed(stamp, link_id, system)) for link_id in (0, 1) for system in (255, 254))


def test_a_new_stream_may_be_a_minute_behind_r_sec_3():
    one = signer()
    assert one.admit(signed(now_units() - 55 * UNITS_PER_S, link_id=1))
    assert not one.admit(signed(now_units() - 65 * UNITS_PER_S, link_id=2))


def test_a_larger_timestamp_is_adopted_from_a_right_signature_only_r_sec_3():
    clock = SigningClock(None)
    one, ahead = signer(clock=clock), now_units() + 3600 * UNITS_PER_S
    one.admit(signed(ahead, key=bytes(31) + b"x"))
    assert clock.next() < ahead
    assert one.admit(signed(ahead))
    assert clock.next() > ahead


def test_a_forged_frame_does_not_silence_the_one_it_imitates_r_sec_3():
    # pymavlink 2.4.50 remembers the forged timestamp and refuses the honest frame after it.
    one, stamp = signer(), now_units()
    assert not one.admit(signed(stamp + 10 * UNITS_PER_S, key=bytes(31) + b"x"))
    assert one.admit(signed(stamp))


def test_forged_streams_take_no_memory_r_sec_3():
    one = signer()
    for system in range(1, 250):
        one.admit(signed(now_units(), system=system, key=bytes(31) + b"x"))
    assert len(one._clock._streams) == 0


def test_require_drops_unsigned_frames_but_a_radios_status_r_sec_3():
    one = signer(required=True)
    assert not one.admit(frame(Voice().heartbeat()))
    assert one.counters.unsigned == 1
    assert one.admit(frame(Voice(51, 68).frame(dialect.MAVLink_radio_status_message(1, 1, 1, 1, 1, 1, 1))))
    assert signer(required=False).admit(frame(Voice().heartbeat()))


def test_frames_replayed_over_our_restart_are_refused_r_sec_3(tmp_path):
    path, replay = tmp_path / "key.state", signed(now_units())
    before = SigningClock(path)
    assert signer(clock=before).admit(replay)
    before.store(final=True)
    assert not signer(clock=SigningClock(path)).admit(replay)


def write_key(folder, content=SECRET, mode=0o600, name="signing.key"):
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "mode", "complaint"),
    [(SECRET, 0o640, "chmod 600"), (SECRET[:31], 0o600, "31 bytes"), (bytes(32), 0o600, "all zero")],
)
def test_a_key_file_that_is_not_right_is_one_line_without_the_key_r_sec_1(tmp_path, content, mode, complaint):
    with pytest.raises(UsageError, match=complaint) as caught:
        read_key(write_key(tmp_path, content, mode))
    assert "\n" not in str(caught.value)
    assert content.hex() not in str(caught.value)


def test_a_passphrase_file_is_a_line_of_text_r_sec_1(tmp_path):
    path = write_key(tmp_path, "größer als gedacht\n".encode())
    assert read_key(path, passphrase=True) == SigningKey.from_passphrase("größer als gedacht")
    with pytest.raises(UsageError, match="at least 8"):
        read_key(write_key(tmp_path, b"short\n"), passphrase=True)
    with pytest.raises(UsageError, match="No such file"):
        read_key(tmp_path / "nothing", passphrase=True)


def test_a_key_shows_nowhere_r_sec_1():
    shown = f"{KEY!r} {KEY} {vars(signer())}"
    assert "SigningKey(secret)" in shown
    assert SECRET.hex() not in shown
    assert str(SECRET) not in shown


def settings(url, folder, mode="require", **signing):
    table = SigningSettings(mode=mode, key_file=str(write_key(folder)), **signing)
    return MavlinkSettings(endpoint=(EndpointSettings(url),), sysid=7, signing=table)


def test_require_mode_hears_signed_commands_only_and_survives_a_restart_in_the_past_acceptance_12(
    tmp_path, monkeypatch
):
    with UdpEnd() as ground:
        asking = Voice(key=SECRET)
        url = f"udpout:127.0.0.1:{ground.port}"
        with Station(settings(url, tmp_path), [Echo()]) as station:
            assert wait_for(lambda: ground.peer)
            ground.send(Voice().command(target=(7, 100)))  # unsigned
            ground.send(Voice(key=bytes(31) + b"x").at(now_units()).command(target=(7, 100)))
            recorded = asking.at(now_units()).command(target=(7, 100))
            ground.send(recorded)
            ground.send(recorded)  # replayed
            assert wait_for(lambda: station.status().endpoints[0].signatures.replayed == 1)
            counted = station.status().endpoints[0].signatures
            assert wait_for(lambda: ground.of("COMMAND_ACK"))
        assert (counted.good, counted.bad, counted.unsigned) == (1, 1, 1)
        assert len(ground.of("COMMAND_ACK")) == 1
        listener = dialect.MAVLink(None)
        listener.signing.secret_key = SECRET
        assert all(
            listener.parse_buffer(bytes(message.get_msgbuf()))[0].get_signed()
            for _, message in ground.ears.heard
        )
        before = len(ground.ears.heard)
        true_time = time.time
        monkeypatch.setattr(time, "time", lambda: true_time() - 86_400 * 365)
        with Station(settings(url, tmp_path), [Echo()]) as station:
            assert wait_for(lambda: len(ground.ears.heard) > before)
            ground.send(recorded)  # still a replay
            assert wait_for(lambda: station.status().endpoints[0].signatures.replayed == 1)
        # The peer that heard us before the restart goes on accepting us.
        assert all(
            listener.parse_buffer(bytes(message.get_msgbuf()))[0].get_signed()
            for _, message in ground.ears.heard[before:]
        )


def offer(key, system=7):
    return Voice().frame(dialect.MAVLink_setup_signing_message(system, 100, list(key), 0))


def test_a_key_is_taken_over_a_wire_in_provisioning_mode_only_r_sec_4(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    new, taps = bytes(range(100, 132)), []
    line = Line(tmp_path)
    try:
        for provisioning, kept in ((False, SECRET), (True, new)):
            table = settings(line.url, tmp_path, mode="off", provisioning=provisioning)
            echo = Echo()
            with Station(table, [echo], on_bytes=lambda *frame: taps.append(frame[2])) as station:
                assert wait_for(lambda: line.of("HEARTBEAT"))
                line.send(offer(new) + Voice().heartbeat())
                assert wait_for(lambda station=station: station.status().endpoints[0].counters.received == 2)
                assert wait_for(lambda echo=echo: echo.kinds() == ["HEARTBEAT"])
            assert (tmp_path / "signing.key").read_bytes() == kept
    finally:
        line.unplug()
    assert os.stat(tmp_path / "signing.key").st_mode & 0o777 == 0o600
    assert not any(new in data for data in taps)
    assert not any(secret in caplog.text for secret in (new.hex(), str(list(new)), str(new)))


def test_a_key_over_the_air_is_ignored_even_in_provisioning_mode_r_sec_4(tmp_path):
    url = f"udpin:127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    setup = SigningSetup(settings(url, tmp_path, mode="off", provisioning=True), tmp_path)
    message = dialect.MAVLink_setup_signing_message(7, 100, list(range(100, 132)), 0)
    setup.offered(parse_endpoint(url), message, 7)
    assert (tmp_path / "signing.key").read_bytes() == SECRET


def test_an_endpoint_may_sign_where_others_do_not(tmp_path):
    key = str(write_key(tmp_path))
    both = (EndpointSettings("udpout:127.0.0.1:9", signing="sign"), EndpointSettings("udpout:127.0.0.1:10"))
    table = MavlinkSettings(endpoint=both, sysid=1, signing=SigningSettings(key_file=key))
    setup = SigningSetup(table, tmp_path)
    assert [setup.signer(one, 0) is not None for one in both] == [True, False]
