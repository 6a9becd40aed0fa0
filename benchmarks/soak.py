"""Flies the service for half an hour at 30 Hz while everything around it goes wrong, and holds it to account.

    python benchmarks/soak.py --seconds 1800 --seed 1 --report docs/soak-report.md

The real service (pairing, tracker with the shipped bundle, recorder, MAVLink, health) runs in real time on a
short simulated flight that is rendered once and played to and fro. Faults come at random, from a seed; every
one is counted where it is made, and again by the service. SIGTERM ends the flight.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soak_faults import FaultyCamera, make_schedule
from soak_outside import Disk, MemoryWatch, Peer, Troubles
from soak_recordings import Janitor
from soak_report import Findings, markdown
from soak_watch import Ledger, WatchedService
from soak_world import SIZE, PlayedFlight, render_flight

from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.commands.run import ended_by_signals
from edge_rgbt.machine import describe_machine
from edge_rgbt.service.service import require_startable
from edge_rgbt.service.settings import read_plan
from edge_rgbt.types import Modality

CONFIGURATION = """
[cameras.rgb]
kind = "v4l2"
device = "/dev/soak-rgb"
pixel_format = "RGB"
width_px = {width}
height_px = {height}
rate_hz = 30

[cameras.tir]
kind = "v4l2"
device = "/dev/soak-thermal"
pixel_format = "GRAY16"
width_px = {width}
height_px = {height}
rate_hz = 30

[pairing]
calibration = "rig.json"
tolerance_ms = 20
tir_offset_ms = -37

[tracking]
threads = 1

[mavlink]
url = ["tcp:127.0.0.1:{port}"]
sysid = 1

[recording]
folder = "disk"
rgb = "jpeg"
tir = "raw"
segment_mb = 60
min_free_mb = 0
"""
WARM_UP_S = 60.0
DISK_MB = 400
_LOST_FOR_NS = 2_000_000_000


class Escapes(logging.Handler):
    """Exceptions that nobody took: of threads, of finalizers, or logged with a traceback by the service."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        meant = "driver failed" in record.getMessage()  # the crashed camera, which is a fault of ours
        if record.exc_info and not meant:
            self.found.append(record.getMessage())

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = threading.excepthook, sys.unraisablehook
        threading.excepthook = lambda a: self.found.append(f"{a.thread and a.thread.name}: {a.exc_value!r}")
        sys.unraisablehook = lambda a: self.found.append(f"{a.object!r}: {a.exc_value!r}")
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            threading.excepthook, sys.unraisablehook = before
            logging.getLogger().removeHandler(self)


class Soak:
    """One flight in a folder of its own."""

    def __init__(self, folder: Path, flight: PlayedFlight, seconds: float, seed: int) -> None:
        self.seconds, self.flight, self.ledger = seconds, flight, Ledger()
        self.peer, self.disk = Peer(), Disk(folder / "disk", DISK_MB)
        self.janitor, self.memory, self.escapes = Janitor(folder / "disk"), MemoryWatch(), Escapes()
        flight.write_rig(folder / "rig.json")
        path = folder / "service.toml"
        path.write_text(CONFIGURATION.format(width=SIZE[0], height=SIZE[1], port=self.peer.port))
        schedule, epoch = make_schedule(seed, seconds), []
        self.cameras = {m: FaultyCamera(m, flight, schedule[m], epoch) for m in Modality}
        self.ledger.watch({m: camera.injected.back for m, camera in self.cameras.items()})
        plan = read_plan(path)
        self.service = WatchedService(plan, require_startable(plan), make=self._camera, ledger=self.ledger)
        self.troubles = Troubles(self.disk, self.peer, self.service.accounts.flat, seed)
        self._ended, self._terminated = threading.Event(), 0

    def fly(self, trouble_every_s: float) -> Findings:
        """Blocks until SIGTERM has ended the service."""
        until_s = time.monotonic() + self.seconds
        work = [
            lambda: self.troubles.run(until_s, trouble_every_s, self._ended),
            lambda: self.memory.run(self._ended),
            lambda: self.janitor.run(self._ended),
            self._operate,
            lambda: self._end(until_s),
        ]
        threads = [threading.Thread(target=one, daemon=True) for one in work]
        began = time.process_time(), time.monotonic()
        try:
            with self.escapes.watching(), ended_by_signals(self.service):
                for thread in threads:
                    thread.start()
                report = self.service.run()
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(30)
        busy = (time.process_time() - began[0]) / (time.monotonic() - began[1])
        self.janitor.sweep(keep=0)
        return Findings(
            report,
            {m: camera.injected for m, camera in self.cameras.items()},
            self.ledger,
            self.troubles,
            self.memory,
            self.janitor,
            self.escapes.found,
            WARM_UP_S if self.seconds > 3 * WARM_UP_S else self.seconds / 3,
            busy,
            self._terminated,
        )

    def close(self) -> None:
        self.janitor.close()
        self.peer.vanish()
        self.disk.close()

    def _camera(self, settings: CameraSettings, modality: Modality, playback: Playback) -> FaultyCamera:
        return self.cameras[modality]

    def _operate(self) -> None:
        """The operator: gives the target at the start, and again when it has been lost for a while."""
        asked = False
        while not self._ended.wait(0.1):
            lost_ns = self.ledger.lost_ns
            idle = self.ledger.tracks == 0 and not asked
            if idle or (lost_ns is not None and time.monotonic_ns() - lost_ns > _LOST_FOR_NS):
                box = self.flight.box(self.ledger.slot + 1)
                if box is not None:
                    self.service.select(box)
                    self.ledger.lost_ns, asked = None, True

    def _end(self, until_s: float) -> None:
        self._ended.wait(max(0.0, until_s - time.monotonic()))
        if not self._ended.is_set():
            self._terminated += 1
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trouble-every-s", type=float, default=45.0, help="between faults of disk or link")
    parser.add_argument("--report", type=Path, help="write the report here, Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the report")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    machine = describe_machine()
    flight = render_flight(seed=7, seconds=8.0)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(Path(folder), flight, args.seconds, args.seed)
        try:
            findings = soak.fly(args.trouble_every_s)
        finally:
            soak.close()
    first = "chrt -r 1 " if os.sched_getscheduler(0) == os.SCHED_RR else ""
    command = f"{first}python benchmarks/soak.py --seconds {args.seconds:g} --seed {args.seed}"
    text = markdown(findings, machine, command)
    if args.report is not None:
        args.report.write_text(text)
    print(json.dumps(findings.plain(machine)) if args.json else text)
    return 0 if findings.good else 1


if __name__ == "__main__":
    sys.exit(main())
