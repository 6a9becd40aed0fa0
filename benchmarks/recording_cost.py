"""What recording costs: processor time of the recorder's thread, data rate, and what the frame loop pays.

    python benchmarks/recording_cost.py [--seconds 10] [--folder DIR] [--json]

Pairs of 640x512, RGB and 16-bit thermal, at 30 Hz: moving texture with sensor noise, one step per pair. Times
are processor time, so that they hold on a busy machine too, which only takes longer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_rgbt.machine import describe_machine
from edge_rgbt.recording import FlightRecorder, RecorderSettings
from edge_rgbt.recording.inputs import LoopInputs
from edge_rgbt.runtime.measure import MovingTexture
from edge_rgbt.types import Box, Frame, FramePair, Modality, StageTiming, TrackState, TrackStatus

SIZE, RATE_HZ = (640, 512), 30.0
MOST_WAITING_MB = 20.0
SETTINGS = {
    "rgb raw, thermal raw (default)": {},
    "rgb jpeg, thermal raw": {"rgb": "jpeg"},
    "rgb jpeg, thermal png": {"rgb": "jpeg", "tir": "png"},
    "rgb jpeg, thermal raw, lz4": {"rgb": "jpeg", "compression": "lz4"},
    "rgb jpeg, thermal raw, zstd": {"rgb": "jpeg", "compression": "zstd"},
    "rgb png, thermal png": {"rgb": "png", "tir": "png"},
    "rgb png, thermal raw": {"rgb": "png"},
    "rgb raw, thermal raw, zstd": {"compression": "zstd"},
}
_STAGES = ("thermal", "register", "crop", "infer", "decode")


def noisy_pairs(count: int = 60) -> list[FramePair]:
    """Made beforehand, with noise of about two grey levels and ten counts."""
    world, rng = MovingTexture(*SIZE), np.random.default_rng(0)
    pairs = []
    for k in range(count):
        pair, _ = world.pair(k)
        rgb = np.clip(pair.rgb.image + rng.normal(0, 2, pair.rgb.image.shape), 0, 255).astype(np.uint8)
        tir = np.clip(pair.tir.image + rng.normal(0, 10, pair.tir.image.shape), 0, 65535).astype(np.uint16)
        pairs.append(FramePair(Frame(rgb, Modality.RGB, 0, k), Frame(tir, Modality.TIR, 0, k)))
    return pairs


def measure(folder: Path, changes: dict[str, Any], pairs: list[FramePair], seconds: float) -> dict[str, Any]:
    """One flight of so many seconds."""
    recorder = FlightRecorder(folder, RecorderSettings(**changes))
    thread = recorder._thread.ident
    assert thread is not None
    clock = time.pthread_getcpuclockid(thread)
    timings = tuple(StageTiming(stage, 1_000_000) for stage in _STAGES)
    handing_us, began = [], time.monotonic()
    for k in range(round(seconds * RATE_HZ)):
        pair, stamp = pairs[k % len(pairs)], time.monotonic_ns()
        rgb = Frame(pair.rgb.image, Modality.RGB, stamp, k, "rgb")
        tir = Frame(pair.tir.image, Modality.TIR, stamp, k, "tir")
        state = TrackState(Box(300.5, 200.25, 40, 50), 0.9, TrackStatus.TRACKING, stamp, timings=timings)
        before = time.perf_counter_ns()
        recorder.frame(rgb)
        recorder.frame(tir)
        recorder.step(FramePair(rgb, tir), state, LoopInputs((20_000.0, 22_000.0, stamp), None))
        handing_us.append((time.perf_counter_ns() - before) / 1e3)
        time.sleep(max(0.0, began + (k + 1) / RATE_HZ - time.monotonic()))
        while recorder.counters.queued_mb > MOST_WAITING_MB:  # a machine busy with other things
            time.sleep(0.05)
    while recorder.counters.queued:
        time.sleep(0.05)
    cpu_s, count = time.clock_gettime(clock), round(seconds * RATE_HZ)
    recorder.close(120)
    counters = recorder.counters
    return {
        "cpu_ms_per_pair": round(1e3 * cpu_s / count, 2),
        "core_share": round(cpu_s / count * RATE_HZ, 3),
        "mb_per_s": round(counters.bytes / 1e6 / count * RATE_HZ, 1),
        "handing_us_p50": round(float(np.median(handing_us)), 1),
        "handing_us_p99": round(float(np.percentile(handing_us, 99)), 1),
        "dropped_frames": counters.dropped_frames,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="disk to write to (default: the temporary folder)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pairs, rows = noisy_pairs(), {}
    for name, changes in SETTINGS.items():
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            rows[name] = measure(Path(folder), {"min_free_mb": 0, **changes}, pairs, args.seconds)
        if not args.json:
            print(
                f"{name:<34}" + "  ".join(f"{key} {value}" for key, value in rows[name].items()), flush=True
            )
    if args.json:
        print(
            json.dumps({"machine": describe_machine(), "seconds": args.seconds, "settings": rows}, indent=2)
        )


if __name__ == "__main__":
    main()
