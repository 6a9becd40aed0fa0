"""What goes wrong around the service in a soak: its disk, its MAVLink peer; and what watches its memory."""

from __future__ import annotations

import errno
import os
import random
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge_rgbt.recording import segment

DISK_FULL, DISK_FAILING, PEER_GONE = "disk full", "writing fails", "peer gone"


class _FailingOs:
    """The recorder's `os`, whose writes fail when told to."""

    error: int | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, fd: int, data: memoryview) -> int:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return os.write(fd, data)


class Disk:
    """A small file system for recordings: a tmpfs where that may be mounted, else a folder that pretends."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
        allowed = os.geteuid() == 0
        self.real = allowed and subprocess.call(mount, stderr=subprocess.DEVNULL) == 0
        self._os = _FailingOs()
        self._filling = threading.Event()
        segment.os = self._os  # type: ignore[assignment]

    def fill(self) -> None:
        if not self.real:
            self._os.error = errno.ENOSPC
            return
        self._filling.set()
        threading.Thread(target=self._fill, daemon=True).start()

    def _fill(self) -> None:
        """Until it is mended: others may take files away meanwhile."""
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            while self._filling.is_set():
                try:
                    filler.write(bytes(1 << 20))
                except OSError:
                    time.sleep(0.02)

    def fail(self) -> None:
        self._os.error = errno.EIO

    def mend(self) -> None:
        self._os.error = None
        self._filling.clear()
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        segment.os = os  # type: ignore[assignment]
        self.mend()
        time.sleep(0.1)
        if self.real:
            subprocess.call(["umount", "--lazy", str(self.folder)])


class Peer:
    """A ground station that takes what comes over TCP, and is not always there."""

    def __init__(self) -> None:
        self.bytes = 0
        self._listener: socket.socket | None = None
        self._connections: list[socket.socket] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.appear()

    def appear(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def vanish(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections = []

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._drain, args=(connection,), daemon=True).start()

    def _drain(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while data := connection.recv(65536):
                self.bytes += len(data)


@dataclass
class Troubles:
    """Faults around the service, one after the other; each must move its counters while it lasts.

    injected: by kind. shown: those with which the counters rose. counters: of the service, now.
    """

    disk: Disk
    peer: Peer
    counters: Callable[[], dict[str, int]]
    seed: int
    injected: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)

    def run(self, until_s: float, every_s: float, ended: threading.Event) -> None:
        """Until then, or until the service has ended."""
        chance = random.Random(self.seed)
        kinds = [DISK_FULL, PEER_GONE, DISK_FAILING]
        turn = 0
        while True:
            wait_s = every_s * chance.uniform(0.6, 1.4)
            if time.monotonic() + wait_s + 20 > until_s or ended.wait(wait_s):
                return
            self._one(kinds[turn % len(kinds)], chance, ended)
            turn += 1

    def _one(self, kind: str, chance: random.Random, ended: threading.Event) -> None:
        before = self.counters()
        self.injected[kind] += 1
        begin, mend, lasts_s, names = {
            DISK_FULL: (self.disk.fill, self.disk.mend, (4, 8), ("disk_errors", "lost")),
            DISK_FAILING: (self.disk.fail, self.disk.mend, (1, 4), ("disk_errors", "lost")),
            PEER_GONE: (self.peer.vanish, self.peer.appear, (2, 5), ("errors",)),
        }[kind]
        begin()
        ended.wait(chance.uniform(*lasts_s))
        mend()
        ended.wait(7.0)  # the recorder tries again every five seconds, a link after five at most
        after = self.counters()
        prefix = "mavlink_" if kind == PEER_GONE else "recorder_"
        self.shown[kind] += all(after[prefix + name] > before[prefix + name] for name in names)


@dataclass
class MemoryWatch:
    """Resident memory of this process once a second, as (seconds since the start, MB of 10^6 bytes)."""

    samples: list[tuple[float, float]] = field(default_factory=list)

    def run(self, ended: threading.Event) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        began_s = time.monotonic()
        while not ended.wait(1.0):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page / 1e6
            self.samples.append((round(time.monotonic() - began_s, 1), round(resident, 2)))

    def between(self, first_s: float, last_s: float) -> float:
        """The median of that time."""
        values = sorted(mb for at_s, mb in self.samples if first_s <= at_s < last_s)
        return values[len(values) // 2] if values else float("nan")
