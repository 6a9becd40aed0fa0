"""Files that appear whole or not at all: written beside their final name, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_rgbt.errors import EdgeRgbtError, UsageError


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yields `path` + `.part` to write a file or folder to, renames it to `path` if the block succeeds.

    The part is removed if the block fails. A folder replaces an existing folder of that name.
    Raises EdgeRgbtError naming the file when the disk refuses.
    """
    final = Path(path)
    part = final.with_name(final.name + ".part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove(part)
        yield part
        if part.is_dir() and final.is_dir():
            shutil.rmtree(final)
        os.replace(part, final)
    except OSError as error:
        raise EdgeRgbtError(
            f"cannot write {final}: {error.strerror or error}; free space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):  # the disk has already said what is wrong
            _remove(part)


def write_text_atomic(path: Path | str, text: str) -> None:
    """Writes UTF-8 text as a whole file or not at all; bytes of file names that are no UTF-8 are escaped."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json_atomic(path: Path | str, value: Any) -> None:
    """Writes indented JSON as a whole file or not at all."""
    write_text_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def require_writable(folder: Path) -> None:
    """Makes the folder if need be; fails before the work, not after it, if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".write-test"):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"--out {folder}: cannot be written ({reason}); choose another folder") from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
