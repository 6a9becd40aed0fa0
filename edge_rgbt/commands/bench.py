"""`edge-rgbt bench`: how fast a bundle tracks on this machine, stage by stage, and what it takes."""

from __future__ import annotations

import argparse
import json
import logging
import sys

from tqdm import tqdm

from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.engine import ENGINES, EngineInfo
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.runtime.measure import cold_start, measure
from edge_rgbt.runtime.stages import STAGES

NAME = "bench"
HELP = "measure latency per stage and end to end, throughput, memory and cold start of a bundle"
EXAMPLE = "edge-rgbt bench --frames 500 --threads 2"
FLIGHT_S = 11.0  # ten of which the statistics look back on
_OUTSIDE_MS = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--bundle", metavar="B", help="folder or .rgbt file (default: the shipped one)")
    parser.add_argument("--engine", default="onnx", choices=list(ENGINES), help="default: onnx")
    parser.add_argument("--frames", type=int, default=300, metavar="N", help="measured pairs (default 300)")
    parser.add_argument("--threads", type=int, metavar="N", help="engine threads (default: the engine's)")
    parser.add_argument("--size", default="640x512", metavar="WxH", help="of both pictures (default 640x512)")
    parser.add_argument("--no-flight", action="store_true", help="leave out the service at 30 Hz")
    parser.add_argument("--no-warp", action="store_true", help="take the pictures as aligned")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    size = _size(args.size)
    if args.frames < 1:
        raise UsageError(f"--frames {args.frames}: measure at least 1")
    bundle = load_bundle(args.bundle)
    quiet = args.json or not sys.stderr.isatty()
    with tqdm(total=args.frames, unit="pair", disable=quiet, leave=False) as bar:
        result = measure(
            bundle, args.engine, args.threads, args.frames, size, not args.no_warp, lambda done: bar.update()
        )
    result["cold_start"] = cold_start(bundle, args.engine, args.threads)
    result["flight"] = None if args.no_flight else _flight(bundle, args, size)
    print(json.dumps(result, indent=2) if args.json else _table(result))
    return 0


def _flight(bundle: Bundle, args: argparse.Namespace, size: tuple[int, int]) -> dict:
    """The service's own stages; what it needs and this machine lacks is said in one line."""
    logging.disable(logging.WARNING)
    try:
        from edge_rgbt.service.measure import measure_flight

        return measure_flight(bundle, args.engine, args.threads, FLIGHT_S, size, not args.no_warp)
    except (ImportError, EdgeRgbtError) as error:
        return {"missing": f"{error}; pip install 'edge-rgbt[run]'"}
    finally:
        logging.disable(logging.NOTSET)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UsageError(f"--size {text}: expected WxH in pixels, such as 640x512") from None
    if not (32 <= width <= 8192 and 32 <= height <= 8192):
        raise UsageError(f"--size {text}: sides from 32 to 8192 pixels can be measured")
    return width, height


def _table(result: dict) -> str:
    """The measurement for a person."""
    machine, given = result["machine"], result["input"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    bundle = result["bundle"]
    budgets = {stage.name: stage.budget_ms for stage in STAGES}
    lines = [
        f"bundle   {bundle['name']} {bundle['version']} ({bundle['family']}, {bundle['precision']})",
        *(f"{part:<9}{EngineInfo(**result[part])}" for part in ("engine", "adapter") if result[part]),
        f"machine  {machine['cpu']}, {machine['cores']} cores, load {machine['load_1min']} at the start, "
        f"{machine['system']}, Python {machine['python']}, {libraries}",
        f"input    RGB {given['rgb']}, thermal {given['thermal']}, registration: {given['registration']}; "
        f"{result['frames']} pairs after {result['warm_up']} to warm up",
        "",
        f"{'':<28}{'mean ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'budget':>9}",
    ]
    lines += [_row(name, row, budgets.get(name)) for name, row in result["stages"].items()]
    lines += [
        "",
        *_flight_lines(result["flight"], budgets),
        _row("network only", result["network_only"]),
        _row("around the network", result["around_network"], _OUTSIDE_MS),
        _row("whole frame, pair to box", result["whole_frame"]),
        "",
        f"throughput   {result['frames_per_second']} pairs/s, one after the other",
        f"memory       {result['peak_memory_mb']} MB resident at most",
        f"cold start   {result['cold_start']['first_track_ms']} ms from process start to the first tracked "
        f"frame (median of {result['cold_start']['runs']}, files in the disk cache), "
        f"{result['cold_start']['peak_memory_mb']} MB",
    ]
    return "\n".join(lines)


def _flight_lines(flight: dict | None, budgets: dict[str, float | None]) -> list[str]:
    if flight is None:
        return []
    if "missing" in flight:
        return [f"the service in flight is not measured: {flight['missing']}", ""]
    age = f"age p50 {flight['frame_age_p50_ms']} ms, p99 {flight['frame_age_p99_ms']} ms"
    pairs = f"{flight['pairs']} pairs, {age}"
    head = f"the service at {flight['rate_hz']:g} Hz, recorder and link at work: {pairs}"
    rows = [_row(name, row, budgets.get(name)) for name, row in flight["stages"].items()]
    outside = f"{'':>9}{flight['outside_engine_ms']:>9.3f}{'':>9}{_OUTSIDE_MS:>9.1f}"
    total = f"{'outside the engine, medians':<28}{outside}"
    return [head, *rows, total, ""]


def _row(name: str, row: dict, budget_ms: float | None = None) -> str:
    budget = f"{budget_ms:>9.1f}" if budget_ms else ""
    return f"{name:<28}{row['mean_ms']:>9.3f}{row['p50_ms']:>9.3f}{row['p99_ms']:>9.3f}{budget}"
