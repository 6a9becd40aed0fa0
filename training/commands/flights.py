"""`python -m training flights`: renders simulated flights to a folder of training frames."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_rgbt.errors import UsageError

EXAMPLE = "python -m training flights --out runs/flights --count 120"
FIRST_SEED = 10_000  # away from the small seeds that people try and that benchmarks use


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="where the frames go, about 1.3 MB each"
    )
    parser.add_argument("--count", type=int, default=120, help="flights to render (default 120)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"default {FIRST_SEED}")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a flight (default 15)")
    parser.add_argument("--rate-hz", type=float, default=4.0, help="frames kept per second (default 4)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")


def run(args: argparse.Namespace) -> int:
    """Renders what is not there yet."""
    from training.data.simulated_flights import render_flights

    if args.count < 1 or args.seconds * args.rate_hz < 2 or args.workers < 1:
        raise UsageError("flights: at least one flight of two frames and one worker are needed")
    seeds = range(args.first_seed, args.first_seed + args.count)
    render_flights(args.out, seeds, args.seconds, args.rate_hz, args.workers)
    print(f"{args.out}: {args.count} flights, {int(args.seconds * args.rate_hz)} frames each")
    return 0
