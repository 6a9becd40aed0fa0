"""`python -m calibration timing`: the offset between the two cameras' clocks, from a flight with turns."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from calibration.motion import MotionMeter
from calibration.site import update_rig
from calibration.timing import SEARCH_MS, TimingFit, fit_timing
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.recording import open_recording
from edge_rgbt.rig import RigCamera, Timing
from edge_rgbt.types import Frame, Modality

if TYPE_CHECKING:
    from edge_rgbt.recording.reader import FlightRecording

EXAMPLE = "python -m calibration timing flights/turns.mcap --out calibration.json"
_LEAST_TOLERANCE_MS = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "source", type=Path, metavar="RECORDING", help="a flight recording with turns, half a minute or more"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="calibration file to write into"
    )
    parser.add_argument(
        "--search-ms", type=float, default=SEARCH_MS, help=f"how far apart the clocks may be ({SEARCH_MS:g})"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measures and writes the section `timing`; nothing is written when the recording cannot tell."""
    if not 20 <= args.search_ms <= 60_000:
        raise UsageError(f"--search-ms {args.search_ms:g}: give 20 to 60000")
    flight = open_recording(args.source)
    meters, cameras, periods = _measure(flight, quiet=args.json)
    try:
        fit = fit_timing(meters[Modality.RGB].track(), meters[Modality.TIR].track(), args.search_ms)
    except EdgeRgbtError as error:
        raise EdgeRgbtError(f"{args.source}: {error}") from error
    tolerance_ms = max(periods.values()) / 2e6 + 3 * fit.sigma_ms
    timing = Timing(fit.tir_offset_ms, fit.sigma_ms, round(max(tolerance_ms, _LEAST_TOLERANCE_MS), 1))
    update_rig(args.out, cameras, ("timing", str(args.source), "--out", str(args.out)), timing=timing)
    told = _report(fit, timing, args.out)
    print(json.dumps(told) if args.json else _text(told, args.out))
    return 0


def _measure(
    flight: FlightRecording, quiet: bool
) -> tuple[dict[Modality, MotionMeter], dict[Modality, RigCamera], dict[Modality, int]]:
    """Every frame of both cameras; the period of a camera is the median between its frames."""
    meters = {modality: MotionMeter() for modality in Modality}
    first: dict[Modality, Frame] = {}
    times: dict[Modality, list[int]] = {modality: [] for modality in Modality}
    with tqdm(unit="frame", disable=quiet or None, file=sys.stderr) as bar:
        for frame in flight.frames():
            start = first.setdefault(frame.modality, frame)
            if (frame.width, frame.height) != (start.width, start.height):
                raise EdgeRgbtError(
                    f"{flight.name}: {frame.modality.value} frames change from "
                    f"{start.width}x{start.height} to {frame.width}x{frame.height} px: record anew"
                )
            meters[frame.modality].add(frame)
            times[frame.modality].append(frame.timestamp_ns)
            bar.update()
    missing = [modality.value for modality in Modality if len(times[modality]) < 3]
    if missing:
        raise EdgeRgbtError(f"{flight.name}: no {' and no '.join(missing)} frames in the recording")
    cameras = {m: RigCamera(f.source, f.width, f.height) for m, f in first.items()}
    periods = {m: sorted(b - a for a, b in pairwise(t))[len(t) // 2 - 1] for m, t in times.items()}
    return meters, cameras, periods


def _report(fit: TimingFit, timing: Timing, path: Path) -> dict[str, Any]:
    return {
        "tir_offset_ms": fit.tir_offset_ms,
        "uncertainty_ms": fit.sigma_ms,
        "tolerance_ms": timing.tolerance_ms,
        "explained": fit.explained,
        "motion_px": fit.motion_px,
        "windows": fit.windows,
        "drift_ppm": fit.drift_ppm,
        "drift_uncertainty_ppm": fit.drift_sigma_ppm,
        "file": str(path),
    }


def _text(told: dict[str, Any], path: Path) -> str:
    lines = [
        f"add {told['tir_offset_ms']:+.1f} ms to thermal times (± {told['uncertainty_ms']:.1f} ms, "
        f"{told['windows']} stretches, {told['explained']:.0%} of the motion agrees)"
    ]
    if told["drift_ppm"] is not None:
        lines.append(f"drift {told['drift_ppm']:+.0f} ± {told['drift_uncertainty_ppm']:.0f} ppm")
    lines.append(f"written into {path}")
    return "\n".join(lines)
