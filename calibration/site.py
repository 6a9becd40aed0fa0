"""Putting one measured section into the calibration file, and keeping what others measured."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_rgbt.errors import UsageError
from edge_rgbt.rig import SCHEMA, Rig, RigCamera
from edge_rgbt.types import Modality


def update_rig(
    path: Path, cameras: dict[Modality, RigCamera], command: Sequence[str], **sections: Any
) -> Rig:
    """The file's rig with these sections, written whole; a new file if there is none.

    cameras: as seen in the recording. Raises UsageError if the file is of other cameras or sizes.
    """
    made = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"made": made, "made_by": shlex.join(("python", "-m", "calibration", *command))}
    if path.exists():
        rig = Rig.read(path)
        for modality, seen in cameras.items():
            kept = rig.rgb if modality is Modality.RGB else rig.tir
            if kept.camera != seen.camera or not kept.fits(seen.size):
                raise UsageError(
                    f"{path} is of {modality.value} camera {_named(kept)}, the recording of {_named(seen)}; "
                    "give another --out"
                )
        rig = dataclasses.replace(rig, **about, **sections)
    else:
        rig = Rig(SCHEMA, rgb=cameras[Modality.RGB], tir=cameras[Modality.TIR], **about, **sections)
    rig.write(path)
    return rig


def _named(camera: RigCamera) -> str:
    return f"'{camera.camera}' ({camera.width_px}x{camera.height_px} px)"
