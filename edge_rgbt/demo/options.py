"""What the demo was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_rgbt.errors import UsageError

DEFAULT_SEED = 1


@dataclass(frozen=True)
class DemoOptions:
    """What `edge-rgbt demo` was asked to do; see its --help. threads: None takes every core.

    Raises UsageError for a length that cannot be flown.
    """

    out: Path
    seconds: float = 20.0
    seed: int = DEFAULT_SEED
    preset: str | None = None
    bundle: Path | None = None
    mavlink: str | None = None
    realtime: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise UsageError(f"--seconds {self.seconds:g}: fly more than 0 and at most 3600 seconds")
