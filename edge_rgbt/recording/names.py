"""What the files of a flight are called."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIX = ".mcap"
_LATER = re.compile(r"\.\d{3,}$")


def segment_path(folder: Path, flight: str, number: int) -> Path:
    """`FLIGHT.mcap`, then `FLIGHT.002.mcap` and so on."""
    return folder / (f"{flight}{SUFFIX}" if number == 1 else f"{flight}.{number:03d}{SUFFIX}")


def flight_of(path: Path) -> str:
    """The flight that a file belongs to, by its name."""
    return _LATER.sub("", path.name.removesuffix(SUFFIX))


def first_files(folder: Path) -> list[Path]:
    """One file per flight in a folder: the first, or where that is gone each of those that follow it."""
    files = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file())
    whole = {path for path in files if path == segment_path(folder, flight_of(path), 1)}
    return [p for p in files if p in whole or segment_path(folder, flight_of(p), 1) not in whole]
