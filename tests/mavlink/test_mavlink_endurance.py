"""What takes its time: heartbeats under load, endpoints that go and come, floods (acceptance 10, 11, 14)."""

import itertools
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.exchange import Outgoing, Priority
from edge_rgbt.mavlink.messages import Health, TargetPhase, target_status
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.mavlink.station import Station
from edge_rgbt.types import Box
from tests.conftest import ROOT
from tests.mavlink.stations import Ears, Echo, Line, UdpEnd, Voice, free_port, wait_for

BACK_WITHIN_S = 6.0


class Sink:
    """Takes everything in, keeps nothing, streams a status as a tracker does."""

    def __init__(self):
        self.commands = 0

    def receive(self, received):
        self.commands += received.message.get_type() == "COMMAND_LONG"
        return []

    def due(self, now_ns):
        status = target_status(TargetPhase.TRACKING, Box(10, 10, 50, 50), 640, 512)
        return [Outgoing(status, Priority.STATUS, latest_wins=True)]


class TcpEnd:
    """A TCP server for one client after the other."""

    def __init__(self, port):
        self.server = socket.create_server(("127.0.0.1", port))
        self.server.settimeout(0.05)
        self.ears, self._stop = Ears(), False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        client = None
        while not self._stop:
            try:
                if client is None:
                    client, _ = self.server.accept()
                    client.settimeout(0.05)
                self.ears.take(client.recv(65536))
            except TimeoutError:
                continue
        if client is not None:
            client.close()

    def close(self):
        self._stop = True
        self._thread.join()
        self.server.close()


@pytest.mark.slow
def test_heartbeats_come_back_within_six_seconds_on_every_endpoint_acceptance_10(tmp_path):
    line, tcp_port, udp_port = Line(tmp_path), free_port(), free_port(socket.SOCK_DGRAM)
    urls = (line.url, f"tcp:127.0.0.1:{tcp_port}", f"udpin:127.0.0.1:{udp_port}")
    server, steady = TcpEnd(tcp_port), UdpEnd()
    try:
        with Station(MavlinkSettings(url=(*urls, f"udpout:127.0.0.1:{steady.port}"), sysid=7), [Echo()]):
            assert wait_for(lambda: line.of("HEARTBEAT") and server.ears.of("HEARTBEAT"))
            for _ in range(2):
                line.unplug()
                server.close()
                with UdpEnd() as ground:  # a ground station on another port than the last
                    ground.send(Voice().heartbeat(), udp_port)
                    assert wait_for(lambda ground=ground: ground.of("HEARTBEAT"), BACK_WITHIN_S)
                time.sleep(2.5)
                before = len(line.of("HEARTBEAT"))
                line.plug()
                server = TcpEnd(tcp_port)
                began = time.monotonic()
                assert wait_for(lambda before=before: len(line.of("HEARTBEAT")) > before, BACK_WITHIN_S)
                left_s = BACK_WITHIN_S - (time.monotonic() - began)
                assert wait_for(lambda server=server: server.ears.of("HEARTBEAT"), left_s)
            gaps = [b - a for a, b in itertools.pairwise(steady.ears.times_of("HEARTBEAT"))]
            assert all(0.7 < gap < 1.3 for gap in gaps)  # the others were not disturbed
    finally:
        line.unplug()
        server.close()
        steady.close()


UNDER_LOAD = """
import sys, threading, time
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.mavlink.station import Station
with Station(MavlinkSettings(url=(sys.argv[1],), sysid=7)):
    time.sleep(1.5)
    from edge_rgbt.bundle import load_bundle
    from edge_rgbt.runtime.stages import open_loop
    began = time.monotonic()
    while time.monotonic() - began < 3.0:  # a model that takes its time to load
        open_loop(load_bundle(None), "onnx", 2).close()
    time.sleep(3.0)  # a capture that blocks
    busy = True
    def spin():
        while busy:
            sum(range(1000))
    threads = [threading.Thread(target=spin) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(4.0)  # the interpreter is never free
    busy = False
"""


@pytest.mark.slow
def test_heartbeats_keep_their_second_through_model_load_and_a_busy_interpreter_acceptance_11():
    with UdpEnd() as ground:
        command = [sys.executable, "-c", UNDER_LOAD, f"udpout:127.0.0.1:{ground.port}"]
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, timeout=60)
        seconds = time.monotonic() - began
        beats = [
            when
            for when, m in ground.ears.heard
            if m.get_type() == "HEARTBEAT" and m.system_status != Health.POWEROFF.value
        ]
    gaps = [later - earlier for earlier, later in itertools.pairwise(beats)]
    assert len(beats) >= 11 > seconds - 8
    assert all(0.8 < gap < 1.2 for gap in gaps), gaps
    assert abs((beats[-1] - beats[0]) / len(gaps) - 1.0) < 0.02


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class FrameLoop:
    """A tracker's loop: some work thirty times a second; counts how many it did in time."""

    def __init__(self):
        self.frames, self._stop = 0, False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        next_s = time.monotonic()
        while not self._stop:
            sum(range(20_000))
            self.frames += 1
            next_s += 1 / 30
            time.sleep(max(0.0, next_s - time.monotonic()))

    def stop(self):
        self._stop = True
        self._thread.join()


@pytest.mark.parametrize(
    "seconds", [1.5, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(150)])]
)
def test_random_bytes_and_frames_on_every_endpoint_disturb_nothing_acceptance_14(
    tmp_path, seconds, record_property
):
    line, server = Line(tmp_path), socket.create_server(("127.0.0.1", 0))
    udp_port, tcp_port = free_port(socket.SOCK_DGRAM), free_port()
    urls = (
        line.url,
        f"udpin:127.0.0.1:{udp_port}",
        f"tcpin:127.0.0.1:{tcp_port}",
        f"tcp:127.0.0.1:{server.getsockname()[1]}",
    )
    sink, loop, camera = Sink(), FrameLoop(), CameraComponent()
    camera.ready()
    with UdpEnd() as ground:
        ground.ears.only = line.ears.only = {"HEARTBEAT"}  # the rest would fill our own memory
        settings = MavlinkSettings(url=(*urls, f"udpout:127.0.0.1:{ground.port}"), sysid=7)
        with Station(settings, [sink, camera]) as station:
            server.settimeout(5)
            accepted, _ = server.accept()
            assert wait_for(lambda: ground.peer)
            targets = [f"udp:{udp_port}", f"tcp:{tcp_port}", f"fd:{line.master}"]
            targets += [f"fd:{accepted.fileno()}", f"udp:{ground.peer[1]}"]
            command = [sys.executable, "-m", "tests.mavlink.attack", str(seconds), "1", *targets]
            attack = subprocess.Popen(
                command, cwd=ROOT, pass_fds=(line.master, accepted.fileno()), stdout=subprocess.PIPE
            )
            assert wait_for(lambda: all(one.counters.received > 20 for one in station.status().endpoints), 10)
            frames, began = loop.frames, time.monotonic()
            time.sleep(0.2 * seconds)
            settled_mb = resident_mb()
            assert attack.wait(seconds + 30) == 0
            grown_mb = resident_mb() - settled_mb
            rate_hz = (loop.frames - frames) / (time.monotonic() - began)
            status = station.status()
            ground.send(Voice(255, 190).command(target=(7, 100)))
            commands = sink.commands
            assert wait_for(lambda: sink.commands > commands)  # still listening
    loop.stop()
    accepted.close()
    server.close()
    line.unplug()
    sent = int(attack.stdout.read())
    record_property("sent_mb", sent / 1e6)
    record_property("heard", sum(one.counters.received for one in status.endpoints))
    record_property("flooded_mb", sum(one.counters.flooded for one in status.endpoints) / 1e6)
    record_property("frame_loop_hz", round(rate_hz, 2))
    record_property("memory_growth_mb", round(grown_mb, 2))
    assert sent > 100_000 * seconds
    assert all(one.frames.crc_errors and one.frames.resyncs for one in status.endpoints)
    assert all(one.counters.errors == 0 for one in status.endpoints)
    assert status.faults == 0
    assert rate_hz > 20
    assert grown_mb < 5
    beats = ground.ears.times_of("HEARTBEAT")
    assert all(later - earlier < 1.5 for earlier, later in itertools.pairwise(beats))
