"""Ends the recording service at random moments and looks at what it leaves: kill -9, or SIGTERM.

    python benchmarks/killed_service.py --count 50
    python benchmarks/killed_service.py --count 10 --signal TERM

The real process, `edge-rgbt run --record`, at 30 Hz on played pictures, tracking. After kill -9 every file
must open and nothing but the last second may be missing; after SIGTERM files are whole and the status is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from played_pair import RATE_HZ, write_played_pair

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.machine import describe_machine
from edge_rgbt.recording import open_recording
from edge_rgbt.recording.names import first_files
from edge_rgbt.recording.reader import RecordedFrame, RecordedPair
from edge_rgbt.types import Modality

FLIGHT_S = 9.0
LOST_S = 1.0


@dataclass(frozen=True)
class Flight:
    """One flight and its end.

    flown_s: from its first recorded frame to the signal. lost_s: from the last recorded frame to the signal.
    stall_s: by how much the longest distance of two frames exceeded a frame period: for so long the machine
    let the whole process wait. gaps: frames missing in between.
    """

    status: int
    files: int
    whole: int
    refused: str
    frames: int
    tracks: int
    flown_s: float
    lost_s: float
    stall_s: float
    gaps: int

    def good(self, number: int) -> bool:
        if self.refused or self.gaps:
            return False
        if number == signal.SIGTERM:
            return self.status == 0 and self.whole == self.files == 1
        return self.lost_s <= LOST_S + self.stall_s


def fly(config: Path, folder: Path, after_s: float, number: int) -> Flight:
    """Starts the service, sends the signal so long after its recording has begun, and reads what is left."""
    command = [sys.executable, "-m", "edge_rgbt", "run", "--config", str(config), "--record", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "target tracking" in line:
            break
    else:
        raise EdgeRgbtError("the service ended before it tracked anything: " + "".join(said[-3:]))
    time.sleep(after_s)
    sent_ns = time.monotonic_ns()
    process.send_signal(number)
    process.communicate(timeout=60)
    return _examined(folder, sent_ns, process.returncode)


def _examined(folder: Path, sent_ns: int, status: int) -> Flight:
    frames: list[RecordedFrame] = []
    tracks = whole = 0
    refused = ""
    files = sorted(folder.glob("*.mcap"))
    try:
        for path in first_files(folder):
            recording = open_recording(path)
            for entry in recording:
                if isinstance(entry, RecordedFrame) and entry.modality is Modality.RGB:
                    frames.append(entry)
                tracks += isinstance(entry, RecordedPair) and entry.step is not None
            whole += sum(end.whole for end in recording.ends.values())
        if frames:
            frames[-1].decode()
    except EdgeRgbtError as error:
        refused = str(error)
    times = [frame.log_ns for frame in frames]
    longest_s = max([0.0, *((b - a) / 1e9 for a, b in pairwise(times))])
    numbers = [frame.number for frame in frames]
    return Flight(
        status, len(files), whole, refused, len(frames), tracks,
        flown_s=round((sent_ns - times[0]) / 1e9, 3) if times else 0.0,
        lost_s=round((sent_ns - times[-1]) / 1e9, 3) if times else 0.0,
        stall_s=round(max(0.0, longest_s - 1 / RATE_HZ), 3),
        gaps=len(set(range(len(numbers))) - set(numbers)),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    parser.add_argument("--longest-s", type=float, default=FLIGHT_S - 2.5, help="latest moment")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    number, chance = getattr(signal, f"SIG{args.signal}"), random.Random(args.seed)
    machine = describe_machine()
    flights = []
    with tempfile.TemporaryDirectory(prefix="killed-") as place:
        config = write_played_pair(Path(place), FLIGHT_S)
        for k in range(args.count):
            folder = Path(place) / f"flights-{k}"
            flights.append(fly(config, folder, chance.uniform(0, args.longest_s), number))
            subprocess.run(["rm", "-r", str(folder)], check=False)
            if not args.json:
                print(k, flights[-1], flush=True)
    good = all(flight.good(number) for flight in flights)
    lost = [flight.lost_s for flight in flights]
    summary = {
        "signal": args.signal,
        "flights": len(flights),
        "good": good,
        "opened": sum(not flight.refused for flight in flights),
        "whole": sum(flight.whole == flight.files for flight in flights),
        "lost_s_median": statistics.median(lost),
        "lost_s_worst": max(lost),
        "stall_s_worst": max(flight.stall_s for flight in flights),
        "frames": sum(flight.frames for flight in flights),
    }
    if args.json:
        print(json.dumps({**summary, "machine": machine, "each": [asdict(flight) for flight in flights]}))
    else:
        print(json.dumps({**summary, "load_1min": [machine["load_1min"], round(os.getloadavg()[0], 2)]}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
