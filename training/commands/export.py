"""`python -m training export`: writes a checkpoint as a model bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge_rgbt.errors import UsageError
from training.export.families import FAMILIES

EXAMPLE = (
    "python -m training export --family ckd --checkpoint CKD_ep0025.pth.tar --elimination mce --out ckd-mce"
)
DETAILS = (
    "name", "version", "licence", "provenance", "metrics", "lost_threshold", "confidence", "tracker"
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "--family", choices=list(FAMILIES), required=True, help="what network the checkpoint holds"
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="ours, or the published layout"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="bundle: a folder, or NAME.rgbt for one file"
    )
    parser.add_argument(
        "--elimination",
        choices=["none", "ce", "mce"],
        help="token elimination of CKD (default: as trained, or none)",
    )
    parser.add_argument("--fp16", action="store_true", help="FP16 weights and arithmetic")
    parser.add_argument("--torch", action="store_true", help="also write model.pt2, a PyTorch program")
    parser.add_argument(
        "--details", type=Path, metavar="FILE", help=f"JSON object for the manifest: {', '.join(DETAILS)}"
    )


def run(args: argparse.Namespace) -> int:
    """Exports one checkpoint and says what came out."""
    from edge_rgbt.bundle import describe
    from training.export.bundle import export_bundle
    from training.export.exportable import ExportOptions

    bundle, differences = export_bundle(
        args.family,
        args.checkpoint,
        args.out,
        options=ExportOptions(args.elimination, args.fp16),
        with_program=args.torch,
        details=_read_details(args.details),
    )
    print(describe(bundle))
    print(
        f"  checked on {len(differences)} crops against PyTorch: maps within "
        f"{max(d.maps for d in differences):.1e}, box within {max(d.box_px for d in differences):.1e} px"
    )
    return 0


def _read_details(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        details = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give a JSON file with --details") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error})") from None
    unknown = sorted(set(details) - set(DETAILS)) if isinstance(details, dict) else ["the whole file"]
    if unknown:
        raise UsageError(f"{path}: {unknown[0]} is not for --details; known are {', '.join(DETAILS)}")
    return details
