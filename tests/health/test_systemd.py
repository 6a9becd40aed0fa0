"""systemd's side of the socket, played by a real datagram socket, and compared with `systemd-notify`."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_rgbt.health import Watchdog


class Listener:
    """Receives what a service says."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.listen(5.0)

    def listen(self, patience_s: float) -> None:
        """How long `hear` waits."""
        self._socket.settimeout(patience_s)

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def heard(self) -> list[str]:
        """Everything that has come, without waiting."""
        messages = []
        self._socket.setblocking(False)
        try:
            while True:
                messages.append(self.hear())
        except BlockingIOError:
            return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request, tmp_path: Path) -> Iterator[Listener]:
    name = f"@edge-rgbt-test-{os.getpid()}-{time.monotonic_ns()}"
    found = Listener(str(tmp_path / "notify") if request.param == "path" else name)
    yield found
    found.close()


def _watchdog(listener: Listener, **environment: str) -> Watchdog:
    return Watchdog.from_environment({"NOTIFY_SOCKET": listener.address, **environment})


def test_ready_says_so_with_a_status(listener):
    _watchdog(listener).ready("both cameras")
    assert listener.hear() == "READY=1\nSTATUS=both cameras"


def test_stopping_says_so(listener):
    _watchdog(listener).stopping()
    assert listener.hear() == "STOPPING=1"


def test_the_same_words_come_as_from_systemd_notify(listener):
    if shutil.which("systemd-notify") is None:
        pytest.skip("needs systemd-notify (Debian package systemd)")
    # --no-block: otherwise it waits for an answer that only systemd gives
    call = ["systemd-notify", "--no-block", "--ready", "--status=both cameras"]
    subprocess.run(call, env={**os.environ, "NOTIFY_SOCKET": listener.address}, check=True)
    theirs = set(listener.hear().split("\n"))
    _watchdog(listener).ready("both cameras")
    assert set(listener.hear().split("\n")) == {word for word in theirs if not word.startswith("MAINPID")}


def test_frames_feed_the_watchdog_three_times_per_interval_at_most(listener):
    watchdog = _watchdog(listener, WATCHDOG_USEC="300000", WATCHDOG_PID=str(os.getpid()))
    heard: list[str] = []
    began_s = time.monotonic()
    while len(heard) < 4:
        assert time.monotonic() - began_s < 60
        watchdog.alive()
        heard += listener.heard()
        time.sleep(0.002)
    assert set(heard) == {"WATCHDOG=1"}
    assert time.monotonic() - began_s >= 3 * 0.1


def test_the_first_frame_feeds_the_watchdog_at_once(listener):
    watchdog = _watchdog(listener, WATCHDOG_USEC="3600000000")
    watchdog.alive()
    watchdog.alive()
    assert listener.heard() == ["WATCHDOG=1"]
    assert watchdog.interval_s == pytest.approx(3600.0)


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}],
)
def test_nothing_is_fed_where_nobody_watches_this_process(listener, environment):
    watchdog = _watchdog(listener, **environment)
    watchdog.alive()
    assert listener.heard() == []
    assert watchdog.interval_s is None


def test_a_status_is_one_line_and_not_repeated(listener):
    watchdog = _watchdog(listener)
    for text in ("thermal only\n(rgb silent)", "thermal only (rgb silent)", "both"):
        watchdog.status(text)
    assert listener.heard() == ["STATUS=thermal only (rgb silent)", "STATUS=both"]


def test_a_full_socket_does_not_hold_up_a_frame(listener):
    watchdog = _watchdog(listener, WATCHDOG_USEC="3")
    for _ in range(2000):  # far more than its queue takes; a call that blocked would never return
        watchdog.alive()
    assert 0 < len(listener.heard()) < 2000


def test_a_systemd_that_went_away_is_logged_once(tmp_path, caplog):
    watchdog = Watchdog.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "3"})
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            watchdog.alive()
    assert len(caplog.records) == 1


def test_without_systemd_everything_is_silent():
    watchdog = Watchdog.from_environment({"WATCHDOG_USEC": "1000000"})
    watchdog.ready()
    watchdog.alive()
    watchdog.status("alone")
    watchdog.stopping()
    watchdog.close()


@pytest.mark.parametrize("address", ["vsock:2:1234", "notify"])
def test_an_address_of_another_kind_is_told_and_left_alone(address, caplog):
    with caplog.at_level(logging.WARNING):
        Watchdog.from_environment({"NOTIFY_SOCKET": address}).ready()
    assert address in caplog.text


def test_after_closing_nothing_is_said(listener):
    watchdog = _watchdog(listener, WATCHDOG_USEC="1000000")
    watchdog.close()
    watchdog.close()
    watchdog.ready()
    watchdog.alive()
    assert listener.heard() == []


SERVICE = """
import sys, threading, time
from edge_rgbt.health import HealthMonitor, HealthSettings, ServiceNumbers, Watchdog

watchdog = Watchdog.from_environment()
records = []
with HealthMonitor(HealthSettings(period_s=0.02), ServiceNumbers, records.append):
    watchdog.ready()
    stuck = threading.Thread(target=sys.stdin.readline, daemon=True)
    stuck.start()
    while stuck.is_alive():  # frames
        watchdog.alive()
        time.sleep(0.005)
    before = len(records)
    print("hanging", flush=True)
    sys.stdin.readline()  # the frame loop hangs here
    print(len(records) - before, flush=True)
watchdog.stopping()
"""


@pytest.fixture
def service(listener) -> Iterator[subprocess.Popen[str]]:
    """Its frame loop feeds the watchdog, hangs after a line of input, and it ends after another."""
    environment = {**os.environ, "NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "300000"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE],
        env=environment,
        cwd=Path(__file__).parents[2],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield process
        process.kill()


def _wait_until_fed(listener: Listener) -> None:
    listener.listen(60.0)
    while listener.hear() != "WATCHDOG=1":
        pass


@pytest.mark.parametrize("listener", ["path"], indirect=True)
def test_a_frame_loop_that_hangs_starves_the_watchdog_though_threads_go_on(listener, service):
    _wait_until_fed(listener)
    service.stdin.write("hang\n")
    service.stdin.flush()
    assert service.stdout.readline() == "hanging\n"
    listener.heard()
    time.sleep(0.5)
    assert listener.heard() == []
    out, _ = service.communicate("go on\n", timeout=60)
    assert int(out) >= 3  # health went on meanwhile
    assert listener.heard() == ["STOPPING=1"]


@pytest.mark.parametrize("listener", ["path"], indirect=True)
def test_a_process_that_is_stopped_and_goes_on_feeds_again(listener, service):
    _wait_until_fed(listener)
    service.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, service.pid, os.WSTOPPED)
    listener.heard()
    time.sleep(0.4)
    assert listener.heard() == []
    service.send_signal(signal.SIGCONT)
    _wait_until_fed(listener)
