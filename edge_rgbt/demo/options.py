"""What the demo was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_SEED = 1


@dataclass(frozen=True)
class DemoOptions:
    """What `edge-rgbt demo` was asked to do; see its --help. threads: None leaves one core to the world."""

    out: Path
    seconds: float = 20.0
    seed: int = DEFAULT_SEED
    preset: str | None = None
    bundle: Path | None = None
    mavlink: str | None = None
    realtime: bool = False
    threads: int | None = None
