"""What video to the ground costs, and how old it is when it arrives.

    python benchmarks/video_cost.py --seconds 20

Offers moving pictures with a clock in them at 30 Hz and prints, for no client and for one or more, the
processor time that the server's process spends beyond making the pictures (per cent of one core), and for
one client the age of every picture when it was decoded (RTSP over TCP on loopback, no jitter buffer): median
and 99th percentile. Clients run in processes of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.picture_clock import draw_clock, read_clock  # noqa: E402
from edge_rgbt.cameras.gstreamer import GStreamerCamera  # noqa: E402
from edge_rgbt.cameras.settings import CameraSettings  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.errors import EdgeRgbtError  # noqa: E402
from edge_rgbt.streaming import Shown, StreamSettings, VideoServer, VideoSettings  # noqa: E402
from edge_rgbt.types import Frame, FramePair, Modality  # noqa: E402

RATE_HZ = 30.0
WARM_UP_S = 2.0


@dataclass
class Load:
    """core: processor seconds per second. age_ms: of decoded pictures, with one client."""

    clients: int
    core: float
    pictures: int
    dropped: int


def main(args: argparse.Namespace) -> int:
    server = VideoServer(
        VideoSettings(args.listen, encoder=args.encoder),
        (StreamSettings("RGB", size_px=tuple(args.size), bitrate_kbps=args.kbps),),
    )
    server.start()
    views = _views(tuple(args.size))
    idle = _load(None, views, args.seconds / 2, 0)
    loads, ages = [], []
    for clients in (0, *args.clients):
        processes = [_client(args, seconds=args.seconds + 2 * WARM_UP_S) for _ in range(clients)]
        try:
            loads.append(_load(server, views, args.seconds, clients))
        finally:
            answers = [process.communicate()[0] for process in processes]
        if clients == 1:
            ages = json.loads(answers[0])
    server.close()
    print(f"{args.size[0]}x{args.size[1]} at {RATE_HZ:g} Hz, {args.kbps} kbit/s, {server.encoder}")
    print(f"making the pictures alone: {idle.core:.1%} of a core, taken off below")
    for load in loads:
        print(
            f"{load.clients:3d} clients: {load.core - idle.core:6.1%} of a core, "
            f"{load.pictures} pictures, {load.dropped} dropped"
        )
    if ages:
        median, worst = np.percentile(ages, (50, 99))
        print(f"age when decoded: {median:.1f} ms median, {worst:.1f} ms p99, {len(ages)} pictures")
    return 0


def _views(size: tuple[int, int]) -> list[np.ndarray]:
    """A textured ground that drifts, as under a drone; flat pictures would cost an encoder nothing."""
    noise = np.random.default_rng(5)
    ground = cv2.resize(noise.integers(40, 200, (90, 160, 3), np.uint8), (size[0] + 200, size[1] + 120))
    ground = cv2.add(ground, noise.integers(0, 12, ground.shape, np.uint8))
    shifts = [(round(60 + 60 * np.sin(i / 14)), round(100 + 100 * np.sin(i / 19))) for i in range(90)]
    return [np.ascontiguousarray(ground[y : y + size[1], x : x + size[0]]) for y, x in shifts]


def _load(server: VideoServer | None, views: list[np.ndarray], seconds: float, clients: int) -> Load:
    """Offers for `seconds`, counted from two seconds after all clients are there."""
    begun_s, before, counted = time.monotonic(), None, (0, 0)
    complete_s, end_s = float("inf"), begun_s + 60
    sequence, tir = 0, np.zeros(views[0].shape[:2], np.uint8)
    while (now_s := time.monotonic()) < end_s:
        if server is None or (server.clients == clients and (clients == 0 or _counted(server)[0] > 0)):
            complete_s = min(complete_s, now_s)
        if before is None and now_s >= complete_s + WARM_UP_S:
            before, counted = (time.process_time(), now_s), _counted(server)
            end_s = now_s + seconds
        picture, now_ns = views[sequence % len(views)].copy(), time.monotonic_ns()
        draw_clock(picture, now_ns)
        if server is not None:
            pair = FramePair(
                Frame(picture, Modality.RGB, now_ns, sequence), Frame(tir, Modality.TIR, now_ns, sequence)
            )
            server.offer(Shown(pair))
        sequence += 1
        time.sleep(max(begun_s + sequence / RATE_HZ - time.monotonic(), 0))
    if before is None:
        raise EdgeRgbtError(f"{clients} clients were not connected within a minute")
    done = _counted(server)
    core = (time.process_time() - before[0]) / (time.monotonic() - before[1])
    return Load(clients, core, done[0] - counted[0], done[1] - counted[1])


def _counted(server: VideoServer | None) -> tuple[int, int]:
    if server is None:
        return 0, 0
    counters = server.counters()["RGB"]
    return counters.pictures, counters.dropped


def _client(args: argparse.Namespace, seconds: float) -> subprocess.Popen[str]:
    size = [str(v) for v in args.size]
    call = [
        sys.executable,
        __file__,
        "--watch",
        "--listen",
        args.listen,
        "--seconds",
        str(seconds),
        "--size",
        *size,
    ]
    return subprocess.Popen(call, stdout=subprocess.PIPE, text=True)


def watch(args: argparse.Namespace) -> int:
    """The client's process: prints the ages of the pictures as JSON."""
    pipeline = (
        f"rtspsrc location=rtsp://{args.listen}/rgb latency=0 protocols=tcp ! rtph264depay ! h264parse ! "
        "avdec_h264 max-threads=1"
    )
    settings = CameraSettings(
        kind="gstreamer", name="client", pipeline=f"{pipeline} ! videoconvert ! video/x-raw,format=GRAY8",
        pixel_format="GRAY8", width_px=args.size[0], height_px=args.size[1], rate_hz=RATE_HZ,
        start_timeout_ms=20_000.0,
    )  # fmt: skip
    camera = GStreamerCamera(settings, Modality.TIR)
    camera.open()
    ages, end_s = [], time.monotonic() + args.seconds
    while time.monotonic() < end_s:
        frame = camera.read()
        if frame is not None:
            ages.append((time.monotonic_ns() - read_clock(frame.image)) / 1e6)
    camera.close()
    # The card that says "no picture" has no clock, and whatever is read from it is ages away.
    print(json.dumps([age for age in ages[15:] if 0 <= age < 10_000]))
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--listen", default="127.0.0.1:18554")
    made.add_argument("--size", type=int, nargs=2, default=(1280, 720))
    made.add_argument("--kbps", type=int, default=4000)
    made.add_argument("--seconds", type=float, default=10.0)
    made.add_argument("--clients", type=int, nargs="*", default=(1, 10))
    made.add_argument("--encoder", default="auto")
    made.add_argument("--watch", action="store_true", help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    given = parser().parse_args()
    sys.exit(run_reporting_errors("video_cost", lambda: watch(given) if given.watch else main(given)))
