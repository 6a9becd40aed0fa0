"""Small text files of /sys, /proc and /etc, under a root that tests replace by a folder of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOST_BYTES = 65536
_NUMBER = re.compile(r"-?\d{1,18}")


class FileTree:
    """Reads below one root; a file that is missing, unreadable or nonsense is None, never an error."""

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root)

    def text(self, path: str) -> str | None:
        """A file's text without the white space and NUL around it, or None.

        Through the descriptor: Python's own text files make a TypeError of EAGAIN, which is what the thermal
        zones cv0 to cv2 of an Orin say while those engines are powered down.
        """
        try:
            descriptor = os.open(self._path(path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(descriptor, _MOST_BYTES).decode("utf-8", "replace").strip("\0 \t\r\n")
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def number(self, path: str) -> int | None:
        """The whole number that a file begins with, or None."""
        found = _NUMBER.match(self.text(path) or "")
        return int(found.group()) if found else None

    def names(self, folder: str, pattern: str = "") -> list[str]:
        """Entries of a folder whose whole name matches the regular expression, sorted by their numbers."""
        try:
            entries = os.listdir(self._path(folder))
        except OSError:
            return []
        return sorted((e for e in entries if re.fullmatch(pattern or ".*", e)), key=_natural)

    def exists(self, path: str) -> bool:
        """True if there is such a file or folder."""
        return os.path.exists(self._path(path))

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
