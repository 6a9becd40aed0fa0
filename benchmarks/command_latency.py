"""How long a ground station waits for the acknowledgement of a command, with and without work beside.

    python benchmarks/command_latency.py [--seconds 10] [--beside nothing tracker python processes] [--json]

A camera component on its station, over UDP on this machine; the ground station is a process of its own that
sends twenty commands a second (selections, stops, requests, intervals) and times each acknowledgement. Beside
it in the camera's process: `tracker`: the shipped bundle, a pair of 640x512 every 33 ms, selections taken up
as in flight; `python`: a thread that computes in Python without a pause; `processes`: the tracker, and one
busy process for every core besides.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from edge_rgbt.bundle import load_bundle
from edge_rgbt.machine import describe_machine
from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.camera.profile import CameraProfile, StreamProfile
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.mavlink.station import Station
from edge_rgbt.runtime.measure import MovingTexture
from edge_rgbt.runtime.stages import open_loop
from edge_rgbt.service.selections import Selections
from edge_rgbt.types import FramePair

SIZE, RATE_HZ, COMMANDS_HZ = (640, 512), 30.0, 20.0
PROFILE = CameraProfile(streams=(StreamProfile("RGB", "rtsp://{host}:8554/rgb", SIZE),))
_NAN = float("nan")
_COLUMNS = ("commands", "median_ms", "p99_ms", "worst_ms", "unanswered", "steps")


def ask(seconds: float, line: Connection) -> None:
    """The ground station: tells its port, then the milliseconds of every acknowledgement; NaN for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        line.send(ours.getsockname()[1])
        ours.settimeout(120)  # the bundle loads first
        _, camera = ours.recvfrom(4096)
        encoder, rng, took_ms = dialect.MAVLink(None, 255, 190), np.random.default_rng(0), []
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            number, params = _command(len(took_ms), rng)
            message = dialect.MAVLink_command_long_message(1, 100, number, 0, *params)
            sent_s = time.monotonic()
            ours.sendto(message.pack(encoder), camera)
            took_ms.append(_wait_for(ours, number, sent_s))
            time.sleep(max(0.0, sent_s + 1 / COMMANDS_HZ - time.monotonic()))
        line.send(took_ms)


def _command(index: int, rng: np.random.Generator) -> tuple[int, list[float]]:
    """In turn: select, ask for the status, request a message, let go."""
    x, y = rng.uniform(0.2, 0.6, 2)
    number, *params = (
        (dialect.MAV_CMD_CAMERA_TRACK_RECTANGLE, x, y, x + 0.15, y + 0.15),
        (dialect.MAV_CMD_SET_MESSAGE_INTERVAL, 275, 100_000),
        (dialect.MAV_CMD_REQUEST_MESSAGE, 259),
        (dialect.MAV_CMD_CAMERA_STOP_TRACKING, 0),
    )[index // 4 % 4]  # four of a kind, so that a track lives long enough to be stepped
    return int(number), [*params, *[_NAN] * (7 - len(params))]


def _wait_for(ours: socket.socket, number: int, sent_s: float) -> float:
    parser: Any = dialect.MAVLink(None)
    ours.settimeout(2.0)
    while True:
        try:
            data = ours.recv(4096)
        except TimeoutError:
            return _NAN
        arrived_s = time.monotonic()
        for message in parser.parse_buffer(data) or []:
            if message.get_type() == "COMMAND_ACK" and message.command == number:
                return (arrived_s - sent_s) * 1e3


def captured(pair: FramePair, t_ns: int) -> FramePair:
    """The same pictures, of this moment."""
    rgb, tir = (dataclasses.replace(frame, timestamp_ns=t_ns) for frame in (pair.rgb, pair.tir))
    return dataclasses.replace(pair, rgb=rgb, tir=tir)


class Tracking:
    """The frame loop: obeys what is asked, steps, publishes."""

    def __init__(self, camera: CameraComponent, asked: Selections, station: Station) -> None:
        self._camera, self._asked, self._station = camera, asked, station
        self._loop = open_loop(load_bundle(None), threads=None)
        self._pairs = [MovingTexture(*SIZE).pair(k)[0] for k in range(60)]
        self.steps = 0

    def run(self, stop: threading.Event) -> None:
        track_id, frame, next_s = None, 0, time.monotonic()
        while not stop.is_set():
            pair = captured(self._pairs[frame % len(self._pairs)], time.monotonic_ns())
            self._asked.seen(pair)
            wish = self._asked.take()
            if wish is not None:
                track_id = wish.track_id
            if wish is not None and wish.box is not None:
                self._publish(self._loop.step(pair, wish.box), track_id)
            elif track_id is not None:
                self._publish(self._loop.step(pair), track_id)
                self.steps += 1
            frame += 1
            next_s = max(next_s + 1 / RATE_HZ, time.monotonic())
            stop.wait(next_s - time.monotonic())
        self._loop.close()

    def _publish(self, state: Any, track_id: int | None) -> None:
        self._camera.publish(state, *SIZE, time.monotonic_ns(), track_id)
        self._station.wake()


def _compute(stop: threading.Event) -> None:
    value = 0
    while not stop.is_set():
        for step in range(10_000):
            value = (value * 31 + step) % 1_000_003


def _burn(stop: Any) -> None:
    _compute(stop)


def _next(line: Connection, seconds: float = 0.0) -> Any:
    """What the ground station tells, which may have died."""
    if not line.poll(seconds + 120.0):
        raise SystemExit("the ground station's process does not answer")
    return line.recv()


def measure(beside: str, seconds: float) -> dict[str, Any]:
    """One run: acknowledgement times in milliseconds, and how many steps the tracker made beside."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    client = context.Process(target=ask, args=(seconds, theirs), daemon=True)
    client.start()
    asked = Selections()
    first, _ = MovingTexture(*SIZE).pair(0)
    asked.seen(captured(first, time.monotonic_ns() + 3600 * 10**9))  # for runs without a tracker
    camera = CameraComponent(PROFILE, asked)
    settings = MavlinkSettings(url=(f"udpout:127.0.0.1:{_next(ours)}",), sysid=1)
    station = Station(settings, [camera], health=lambda: camera.health(time.monotonic_ns()))
    stop, burning = threading.Event(), context.Event()
    work: list[Callable[[threading.Event], None]] = []
    tracking = Tracking(camera, asked, station) if beside in ("tracker", "processes") else None
    if tracking is not None:
        work.append(tracking.run)
    if beside == "python":
        work.append(_compute)
    threads = [threading.Thread(target=one, args=(stop,), daemon=True) for one in work]
    cores = os.cpu_count() or 1 if beside == "processes" else 0
    burners = [context.Process(target=_burn, args=(burning,), daemon=True) for _ in range(cores)]
    for one in (*threads, *burners):
        one.start()
    with station:
        took_ms = np.array(_next(ours, seconds))
    stop.set()
    burning.set()
    for one in (*threads, *burners, client):
        one.join()
    answered = took_ms[np.isfinite(took_ms)]
    return {
        "beside": beside,
        "commands": len(took_ms),
        "unanswered": int(len(took_ms) - len(answered)),
        "median_ms": round(float(np.median(answered)), 2),
        "p99_ms": round(float(np.percentile(answered, 99)), 2),
        "worst_ms": round(float(answered.max()), 2),
        "steps": 0 if tracking is None else tracking.steps,
    }


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    choices = ("nothing", "tracker", "python", "processes")
    parser.add_argument("--beside", nargs="+", choices=choices, default=choices)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    runs = [measure(beside, args.seconds) for beside in args.beside]
    if args.json:
        print(json.dumps({"machine": describe_machine(), "runs": runs}))
        return
    heads = ("commands", "median ms", "p99 ms", "worst ms", "silent", "steps")
    print(f"{'beside':<12}" + "".join(f"{head:>11}" for head in heads))
    for run in runs:
        print(f"{run['beside']:<12}" + "".join(f"{run[key]:>11}" for key in _COLUMNS))


if __name__ == "__main__":
    main()
