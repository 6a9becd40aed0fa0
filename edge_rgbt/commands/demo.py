"""`edge-rgbt demo`: a simulated flight, tracked, with a video and a page to look at."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edge_rgbt.demo import DemoOptions, run_demo
from edge_rgbt.demo.options import DEFAULT_SEED
from edge_rgbt.demo.simulator import RATE_HZ
from edge_rgbt.sim.conditions import PRESETS

NAME = "demo"
HELP = "fly a simulated drone whose RGB and thermal cameras are tracked, with MAVLink out, a video and a page"
EXAMPLE = "edge-rgbt demo --seconds 20 --seed 7 --preset night --out my-flight"
_LINE_EVERY_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="default: demo-out")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="length of the flight (20)")
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, metavar="N", help=f"which flight (default {DEFAULT_SEED})"
    )
    parser.add_argument("--preset", choices=PRESETS, help="light and weather (default: the seed chooses)")
    parser.add_argument("--bundle", type=Path, metavar="B", help="model (default: the shipped one)")
    parser.add_argument(
        "--mavlink", metavar="URL", help="where the track goes (default udpout:127.0.0.1:14550)"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="fly no faster than a clock, to watch it live"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="engine threads (default: one per core)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Flies and prints."""
    options = DemoOptions(
        out=args.out,
        seconds=args.seconds,
        seed=args.seed,
        preset=args.preset,
        bundle=args.bundle,
        mavlink=args.mavlink,
        realtime=args.realtime,
        threads=args.threads,
    )
    with _Progress(round(args.seconds * RATE_HZ)) as progress:
        report = run_demo(options, progress.update)
    print(json.dumps(report) if args.json else _summary(report))
    return 0


class _Progress:
    """Rate and time left on standard error: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._watched = sys.stderr.isatty()
        self._bar = tqdm(total=expected, unit="pair", disable=not self._watched, leave=False)
        self._began = self._told = time.monotonic()
        self._done = 0

    def update(self, pairs: int) -> None:
        """So many pairs have been tracked by now."""
        if self._done == 0 and pairs:
            self._began = self._told = time.monotonic()  # building the world is not part of the rate
        self._bar.update(pairs - self._done)
        self._done = pairs
        now = time.monotonic()
        if pairs and not self._watched and now - self._told >= _LINE_EVERY_S:
            self._told = now
            rate = pairs / (now - self._began)
            left = max(self._expected - pairs, 0) / max(rate, 0.1)
            print(
                f"{pairs} of about {self._expected} pairs, {rate:.1f} pairs/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.close()


def _summary(report: dict[str, Any]) -> str:
    """The flight for a person."""
    latency, link, files = report["latency_ms"], report["mavlink"], report["files"]
    visible = report["mean_overlap_visible"]
    seen = "" if visible is None else f" ({visible:.2f} while it could be seen)"
    overlap = (
        "none: one pair only"
        if report["mean_overlap"] is None
        else f"{report['mean_overlap']:.2f} mean{seen}"
    )
    lines = [
        f"overlap with the truth   {overlap}",
        f"speed                    {report['pairs_per_second']:.1f} pairs/s, {report['pairs']} pairs in "
        f"{report['wall_seconds']:.1f} s, rendering included",
        f"latency, pair to box     {latency['p50']:.1f} ms median, {latency['p99']:.1f} ms p99",
        f"MAVLink                  {link['messages']} messages sent to {', '.join(link['urls'])}"
        + (f" ({link['problem']})" if link["problem"] else ""),
        f"video                    {files['video']}",
        f"tracks                   {files['tracks']}",
        f"page                     {files['page']}",
    ]
    return "\n".join(lines)
