"""What a replay was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_rgbt.types import Box


@dataclass(frozen=True)
class ReplayOptions:
    """What `edge-rgbt replay` was asked to do; see its --help."""

    source: str
    out: Path
    bundle: Path | None = None
    engine: str = "onnx"
    threads: int | None = None
    dataset: str | None = None
    split: str | None = None
    init: Box | None = None
    video: bool = False
    mavlink: str | None = None
    realtime: bool = False
    fps: float | None = None
    workers: int = 1
    integer_boxes: bool = False
