"""`python -m training pack`: a dataset of many small files as one file with an index."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edge_rgbt.errors import UsageError
from edge_rgbt.replay.layouts import IMAGE_LAYOUTS

EXAMPLE = "python -m training pack lasher --data /data/LasHeR --out /fast/lasher-train --workers 8"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "kind", choices=(*IMAGE_LAYOUTS, "flights", "pairs"), help="what the data folder holds"
    )
    parser.add_argument(
        "--data", required=True, type=Path, action="append", metavar="DIR", help="may be repeated for pairs"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the pack goes")
    parser.add_argument("--quality", type=int, default=92, help="of the JPEG pictures (default 92)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    datasets = parser.add_argument_group("datasets", "what is kept around each box")
    datasets.add_argument("--split", default="", help="default: the training split where there is one")
    datasets.add_argument("--whole", action="store_true", help="whole pictures, the files' own bytes")
    datasets.add_argument(
        "--margin", type=float, default=10.0, help="side kept, in target sides (default 10)"
    )
    datasets.add_argument(
        "--target-px", type=float, default=80.0, help="larger targets are shrunk to this side (default 80)"
    )
    datasets.add_argument("--interpolate", action="store_true", help="fill VTUAV's boxes in between")
    datasets.add_argument("--skip-broken", action="store_true", help="go on without unusable sequences")
    flights = parser.add_argument_group("flights")
    flights.add_argument("--frames", type=int, default=0, help="frames kept of each (default 0: all)")
    flights.add_argument("--scale", type=float, default=1.0, help="shrink frames by this (default 1)")


def run(args: argparse.Namespace) -> int:
    """Packs what is not packed yet; a stopped run goes on."""
    from training.data.packable import ViewSettings, pack_flights, pack_pairs, pack_tracks
    from training.data.settings import SourceSettings

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if args.workers < 1:
        raise UsageError(f"pack: --workers is {args.workers}; at least 1")
    if args.kind != "pairs" and len(args.data) > 1:
        raise UsageError(f"pack {args.kind}: takes one --data; pack the others into packs of their own")
    if args.kind == "pairs":
        packed = pack_pairs(args.out, args.data, args.quality, args.workers)
    elif args.kind == "flights":
        packed = pack_flights(args.out, args.data[0], args.frames, args.scale, args.quality, args.workers)
    else:
        source = SourceSettings(
            str(args.data[0]), args.kind, interpolate=args.interpolate, skip_broken=args.skip_broken
        )
        view = ViewSettings(args.whole, args.margin, args.target_px, args.quality)
        packed = pack_tracks(args.out, source, args.kind, args.split, view, args.workers)
    for fault in packed.faults:
        logging.warning("frame left out: %s", fault)
    print(f"{args.out}: {packed.shards} {args.kind}, {packed.picture_bytes / 1e6:.1f} MB of pictures")
    return 0
