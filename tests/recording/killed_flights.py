"""Records flights in processes of their own and kills them, at random moments, in the middle of it.

Run as a program: FOLDER COUNT LONGEST_S SEED. Prints one JSON line per flight: its folder and when its last
frame had been handed to the recorder, and for how long a busy machine held that up. A fork is a fresh flight
for the price of a few milliseconds.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import struct
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edge_rgbt.recording import FlightRecorder, RecorderSettings
from edge_rgbt.recording.foxglove import schema_bytes
from edge_rgbt.recording.segment import load_mcap
from edge_rgbt.types import Frame, Modality

RATE_HZ = 30.0
_LINE = struct.Struct("<qq")


def fly(folder: Path, report: int) -> None:
    """Until killed: two noisy cameras at 30 Hz into files of about a second."""
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (120, 160, 3), np.uint8)
    tir = rng.integers(0, 65536, (120, 160), np.uint16)
    recorder = FlightRecorder(folder, RecorderSettings(rgb="jpeg", min_free_mb=0, segment_s=1.2))
    began, k = time.monotonic(), 0
    while True:
        stamp = time.monotonic_ns()
        recorder.frame(Frame(rgb.copy(), Modality.RGB, stamp, k))
        recorder.frame(Frame(tir.copy(), Modality.TIR, stamp, k))
        os.write(report, _LINE.pack(k, time.monotonic_ns()))
        k += 1
        time.sleep(max(0.0, began + k / RATE_HZ - time.monotonic()))


def start(folder: Path) -> tuple[int, int]:
    """Process id, and where it reports what it has handed over."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        fly(folder, theirs)
    os.close(theirs)
    return pid, ours


def summary(folder: Path, data: bytes) -> dict[str, Any]:
    """The last frame handed over and when, and how long the flight itself once stood."""
    lines = list(_LINE.iter_unpack(data[: len(data) // _LINE.size * _LINE.size]))
    gaps = [(b[1] - a[1]) / 1e9 for a, b in pairwise(lines)]
    return {"folder": str(folder), "last": lines[-1], "stall_s": max([0.0, *gaps]) - 1 / RATE_HZ}


def main(folder: Path, count: int, longest_s: float, seed: int) -> None:
    load_mcap()
    schema_bytes("foxglove.RawImage")  # loads what every flight needs, before the first fork
    chance = random.Random(seed)
    watch = selectors.DefaultSelector()
    for place in (folder / str(k) for k in range(count)):
        pid, pipe = start(place)
        frames = chance.randint(1, round(longest_s * RATE_HZ))
        watch.register(pipe, selectors.EVENT_READ, (place, pid, frames, bytearray()))
    while watch.get_map():
        for key, _ in watch.select():
            place, pid, frames, data = key.data
            data += os.read(key.fd, 65536)
            if len(data) < frames * _LINE.size:
                continue
            time.sleep(chance.uniform(0, 0.5 / RATE_HZ))  # anywhere between two frames
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            watch.unregister(key.fd)
            with os.fdopen(key.fd, "rb") as rest:
                data += rest.read()
            print(json.dumps(summary(place, bytes(data))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
