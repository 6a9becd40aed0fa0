"""R-GM-3 and the row "process exit, crash" of 9.7: killed or hung, the gimbal is stopped and released in 2 s.

Real processes, killed for real, on real sockets and serial lines.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from stations import Ears, Line, UdpEnd, autopilot, free_port, wait_for

from edge_rgbt.mavlink.links import Outlet
from edge_rgbt.mavlink.steering.guard import GuardProcess
from edge_rgbt.mavlink.steering.messages import gimbal_rates, release_gimbal
from edge_rgbt.steering.gimbal_law import STILL

SERVICE = Path(__file__).with_name("guarded_service.py")
ROOT = Path(__file__).resolve().parents[2]
SYSTEM = 7
VOICE, BEAT = autopilot(SYSTEM)
ZERO, RELEASE = gimbal_rates(SYSTEM, 1, STILL, True), release_gimbal(SYSTEM, 1)


class TcpEnd:
    """The other end of a TCP endpoint of ours; server or client."""

    def __init__(self, connect_to=None):
        self.ears, self._server, self._socket = Ears(), None, None
        if connect_to is None:
            self._server = socket.create_server(("127.0.0.1", 0))
            self._server.settimeout(5)
            self.port = self._server.getsockname()[1]
        else:
            self.port = connect_to

    def send(self, data, port=None):
        if self._socket is None and self._server is not None:
            self._socket = self._server.accept()[0]
        elif self._socket is None:
            assert wait_for(self._connected)
        self._socket.settimeout(0.01)
        self._socket.sendall(data)

    def _connected(self):
        try:
            self._socket = socket.create_connection(("127.0.0.1", self.port))
        except ConnectionRefusedError:
            return False
        return True

    def of(self, kind):
        if self._socket is not None:
            with suppress(TimeoutError, ConnectionResetError):
                self.ears.take(self._socket.recv(65536))
        return self.ears.of(kind)

    def close(self):
        for sock in (self._socket, self._server):
            if sock is not None:
                sock.close()


class Vehicle:
    """What the service steers: its end of the link, and what it heard there."""

    def __init__(self, url, end, speak_to=None):
        self.url, self.end, self._to = url, end, speak_to

    def speak(self):
        self.end.send(BEAT(), self._to) if self._to else self.end.send(BEAT())

    def rates(self):
        """(time of arrival, rate of yaw) so far."""
        self.end.of("HEARTBEAT")
        return [
            (when, message.angular_velocity_z)
            for when, message in list(self.end.ears.heard)
            if message.get_type() == "GIMBAL_MANAGER_SET_ATTITUDE"
        ]

    def releases(self):
        found = [m for m in self.end.of("COMMAND_LONG") if m.command == 1001]
        return [(m.param1, m.param2, m.param3, m.param4) for m in found]


def udpout(folder):
    end = UdpEnd()
    return Vehicle(f"udpout:127.0.0.1:{end.port}", end)


def udpin(folder):
    port = free_port(socket.SOCK_DGRAM)
    return Vehicle(f"udpin:127.0.0.1:{port}", UdpEnd(), port)


def tcp(folder):
    end = TcpEnd()
    return Vehicle(f"tcp:127.0.0.1:{end.port}", end)


def tcpin(folder):
    port = free_port()
    return Vehicle(f"tcpin:127.0.0.1:{port}", TcpEnd(port))


def serial(folder):
    line = Line(folder)
    line.close = line.unplug
    return Vehicle(line.url, line)


@contextmanager
def flying(make, folder, *arguments):
    """A service that turns the vehicle's gimbal, and the guard's process id."""
    vehicle = make(folder)
    command = [sys.executable, str(SERVICE), vehicle.url, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        guard = int(process.stdout.readline())
        assert wait_for(lambda: heard_back(vehicle), 10)
        assert process.stdout.readline() == "guarded\n"
        assert wait_for(lambda: len(vehicle.rates()) > 2)
        yield vehicle, process, guard
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        vehicle.end.close()


def heard_back(vehicle):
    """True once the service knows the vehicle; it is told who it is until then."""
    try:
        vehicle.speak()
    except TypeError:  # a udpout endpoint has to speak first
        return False
    return bool(vehicle.rates())


def is_alive(pid):
    """False for what has ended, whether or not somebody waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def require_stopped(vehicle, since):
    """At least three zero rates over 300 ms and then the release, all within two seconds."""
    assert wait_for(lambda: (-3, -3, -1, -1) in vehicle.releases(), 4)
    zeros = [when for when, rate in vehicle.rates() if when >= since and rate == 0.0]
    assert len(zeros) >= 3
    assert zeros[-1] - zeros[0] >= 0.25
    assert zeros[-1] - since < 2.0
    assert vehicle.rates()[-1][1] == 0.0


def test_a_killed_service_leaves_no_turning_gimbal(tmp_path):
    with flying(udpout, tmp_path) as (vehicle, process, guard):
        since = time.monotonic()
        process.kill()
        require_stopped(vehicle, since)
        assert wait_for(lambda: not is_alive(guard), 3)


@pytest.mark.slow
@pytest.mark.parametrize("make", [udpin, tcp, tcpin, serial])
def test_it_is_stopped_over_every_kind_of_endpoint(make, tmp_path):
    with flying(make, tmp_path) as (vehicle, process, guard):
        since = time.monotonic()
        process.kill()
        require_stopped(vehicle, since)
        assert wait_for(lambda: not is_alive(guard), 3)


@pytest.mark.slow
def test_the_serial_line_is_free_for_the_next_service(tmp_path):
    serial_port = pytest.importorskip("serial")
    with flying(serial, tmp_path) as (vehicle, process, guard):
        device = vehicle.url.split(":")[1]
        with pytest.raises(serial_port.SerialException):
            serial_port.Serial(device, 115200, exclusive=True)
        process.kill()
        assert wait_for(lambda: not is_alive(guard), 3)
        serial_port.Serial(device, 115200, exclusive=True).close()


@pytest.mark.slow
def test_a_hung_service_is_spoken_for_while_it_lives(tmp_path):
    with flying(udpout, tmp_path) as (vehicle, process, guard):
        since = time.monotonic()
        process.send_signal(signal.SIGSTOP)
        require_stopped(vehicle, since)
        assert is_alive(guard)
        process.send_signal(signal.SIGCONT)


@pytest.mark.slow
def test_the_end_of_the_whole_service_does_not_end_the_guard_first(tmp_path):
    """A service manager sends SIGTERM to all processes of a service as soon as the first has died."""
    with flying(udpout, tmp_path) as (vehicle, process, guard):
        os.kill(guard, signal.SIGTERM)
        time.sleep(0.3)
        since = time.monotonic()
        process.kill()
        os.kill(guard, signal.SIGTERM)
        require_stopped(vehicle, since)


@pytest.mark.slow
def test_last_words_are_signed_where_the_link_is(tmp_path):
    key = bytes(range(1, 33))
    file = tmp_path / "key"
    file.write_bytes(key)
    file.chmod(0o600)
    VOICE.library.signing.secret_key, VOICE.library.signing.sign_outgoing = key, True
    VOICE.library.signing.timestamp = round((time.time() - 1_420_070_400) * 1e5)
    try:
        with flying(udpout, tmp_path, str(file)) as (vehicle, process, _):
            vehicle.end.ears.parser.signing.secret_key = key  # refuses what is not signed, or not newer
            since = time.monotonic()
            process.kill()
            require_stopped(vehicle, since)
            assert vehicle.end.ears.parser.signing.badsig_count == 0
    finally:
        VOICE.library.signing.sign_outgoing = False


def test_a_guard_without_anything_to_say_ends_in_silence():
    with UdpEnd() as end, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        guard = GuardProcess()
        guard.start()
        guard.outlets("link", [Outlet(sock.fileno(), ("127.0.0.1", end.port))])
        guard.beat(0, "link", (ZERO, RELEASE))
        guard.beat(1, "link", None)  # let go in the meantime
        pid = guard.pid
        guard.close()
        assert not is_alive(pid)
        assert not end.ears.heard


@pytest.mark.slow
def test_a_guard_that_was_killed_is_replaced():
    guard = GuardProcess()
    with guard:
        first = guard.pid
        os.kill(first, signal.SIGKILL)

        def replaced():
            guard.beat(time.monotonic_ns(), None, None)
            return guard.pid != first

        assert wait_for(replaced)
        assert is_alive(guard.pid)
