"""Measures a bundle on this machine: stages, whole frame, memory, cold start. Behind `edge-rgbt bench`."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np

from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.machine import describe_machine, peak_memory_mb
from edge_rgbt.register import Registration
from edge_rgbt.runtime.loop import TOTAL, StageStatistics, TrackingLoop
from edge_rgbt.runtime.stages import open_loop
from edge_rgbt.types import Box, Frame, FramePair, Modality, StageTiming

WARM_UP = 30
RESTART_EVERY = 50
_SWAY_PX = 48
_FRAME_NS = 33_333_333


class MovingTexture:
    """Endless textured pairs, RGB 8-bit and thermal 16-bit of equal size, as a swaying camera would see them.

    Frames are views into two pictures made beforehand, so that reading them costs neither time nor memory.
    """

    def __init__(self, width: int, height: int, seed: int = 0) -> None:
        self.size = (width, height)
        rng = np.random.default_rng(seed)
        shape = (height + 2 * _SWAY_PX, width + 2 * _SWAY_PX)
        self._rgb = np.dstack([_clouds(rng, shape) for _ in range(3)]).astype(np.uint8)
        self._tir = (_clouds(rng, shape) * 8 + 20_000).astype(np.uint16)
        side = min(width, height) / 10
        self._target = Box(_SWAY_PX + width / 2, _SWAY_PX + height / 2, side, 1.3 * side)

    def pair(self, t: int) -> tuple[FramePair, Box]:
        """Pair number t, raw, and where the patch of texture that serves as target lies in it."""
        width, height = self.size
        x = round(_SWAY_PX * (1 + np.sin(t / 17)))
        y = round(_SWAY_PX * (1 + np.cos(t / 23)))
        window = np.s_[y : y + height, x : x + width]
        rgb = Frame(self._rgb[window], Modality.RGB, t * _FRAME_NS, t, "texture")
        tir = Frame(self._tir[window], Modality.TIR, t * _FRAME_NS, t, "texture")
        target = self._target
        return FramePair(rgb, tir), Box(target.x - x, target.y - y, target.w, target.h)


def measure(
    bundle: Bundle,
    engine: str = "onnx",
    threads: int | None = None,
    frames: int = 300,
    size: tuple[int, int] = (640, 512),
    warp: bool = True,
    progress: Callable[[int], object] = lambda done: None,
) -> dict[str, object]:
    """Latency of every stage and of the whole frame over `frames` pairs, memory, and the machine.

    warp: register with a general homography instead of taking the pictures as aligned.
    """
    registration = Registration(slight_warp(size), size) if warp else None
    with_load = describe_machine()
    loop = open_loop(bundle, engine, threads, registration)
    walls = _drive(loop, MovingTexture(*size), frames, progress)
    info, adapter = loop.engine_info, loop.adapter_info
    loop.close()
    stages, infers = loop.statistics.summary(), loop.statistics.durations_ns("infer")
    return {
        "bundle": {key: getattr(bundle.manifest, key) for key in ("name", "version", "family", "precision")},
        "engine": dataclasses.asdict(info),
        "adapter": None if adapter is None else dataclasses.asdict(adapter),
        "machine": with_load,
        "input": {
            "rgb": f"{size[0]}x{size[1]} uint8",
            "thermal": f"{size[0]}x{size[1]} uint16",
            "registration": "homography" if warp else "none",
        },
        "frames": frames,
        "warm_up": WARM_UP,
        "whole_frame": _spread("whole_frame", walls),
        "network_only": stages["infer"],
        "around_network": _spread("around", [w - i for w, i in zip(walls, infers, strict=True)]),
        "stages": {name: row for name, row in stages.items() if name != TOTAL},
        "frames_per_second": round(1e9 * frames / sum(walls), 1),
        "peak_memory_mb": round(peak_memory_mb(), 1),
    }


def cold_start(bundle: Bundle, engine: str = "onnx", threads: int | None = None, runs: int = 3) -> dict:
    """From process start to the first tracked frame, in fresh processes (files in the disk cache)."""
    spans, memory = [], []
    for _ in range(runs):
        began = time.monotonic_ns()
        call = json.dumps([str(bundle.path), engine, threads])
        code = "import sys; from edge_rgbt.runtime.measure import first_track; first_track(sys.argv[1])"
        done = subprocess.run([sys.executable, "-c", code, call], capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise EdgeRgbtError(f"the cold start failed ({last})")
        answer = json.loads(done.stdout)
        spans.append((answer["tracked_ns"] - began) / 1e6)
        memory.append(answer["peak_memory_mb"])
    return {
        "first_track_ms": round(statistics.median(spans), 1),
        "peak_memory_mb": round(statistics.median(memory), 1),
        "runs": runs,
    }


def first_track(call: str) -> None:
    """Body of the fresh process: opens the bundle, tracks one pair, prints when that was done."""
    path, engine, threads = json.loads(call)
    loop = open_loop(load_bundle(path), engine, threads)
    texture = MovingTexture(640, 512)
    loop.step(*texture.pair(0))
    loop.step(texture.pair(1)[0])
    print(json.dumps({"tracked_ns": time.monotonic_ns(), "peak_memory_mb": peak_memory_mb()}))


def _drive(
    loop: TrackingLoop, texture: MovingTexture, frames: int, progress: Callable[[int], object]
) -> list[int]:
    """Tracks warm-up and measured pairs; wall time in ns of each measured one, from decoded pair to state.

    The target is given anew from time to time, so that a network which loses it does not end in a corner,
    where crops are cheaper or dearer than usual.
    """
    walls: list[int] = []
    t = 0
    while len(walls) < frames:
        pair, truth = texture.pair(t)
        if t == WARM_UP:
            loop.statistics = StageStatistics(frames)
        if t % RESTART_EVERY == 0:
            loop.step(pair, truth)
        began = time.perf_counter_ns()
        loop.step(pair)
        if t >= WARM_UP:
            walls.append(time.perf_counter_ns() - began)
            progress(len(walls))
        t += 1
    return walls


def _spread(name: str, durations_ns: list[int]) -> dict[str, float]:
    one = StageStatistics(len(durations_ns))
    for duration in durations_ns:
        one.add([StageTiming(name, duration)])
    return one.summary()[name]


def _clouds(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """float32 0..255: noise at four scales."""
    total = np.zeros(shape, np.float32)
    for cell in (4, 12, 40, 120):
        coarse = rng.random((shape[0] // cell + 2, shape[1] // cell + 2), np.float32)
        total += cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(total * (255 / 4), 0, 255)


def slight_warp(size: tuple[int, int]) -> np.ndarray:
    """A homography as two cameras side by side have it: a little shift, turn, zoom and tilt."""
    width, height = size
    return np.array(
        [
            [1.02, 0.01, -0.02 * width],
            [-0.01, 1.02, 0.01 * height],
            [0.01 / width, 0.005 / height, 1.0],
        ]
    )
