"""Box files as the benchmarks and their trackers write them: one box per line, in many spellings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_rgbt.errors import SequenceError

LARGEST_PX = 1e9  # scoring counts in float32, and nothing sensible is further away
_SEPARATORS = str.maketrans(",;\t", "   ")


def read_numbers(path: Path | str, columns: tuple[int, ...]) -> np.ndarray:
    """All numbers of a box file, float64 `[lines, columns]`.

    Lines end in LF, CRLF or a lone CR; blank ones are skipped; commas, spaces, tabs and semicolons separate.
    columns: how many numbers a line may hold (the same count in the whole file).
    Raises SequenceError naming file and line for anything else, an empty file included.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SequenceError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise SequenceError(f"{path}: is not a text file of boxes") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_SEPARATORS)
    rows = [fields for line in text.split("\n") if (fields := line.split())]
    if not rows:
        raise SequenceError(f"{path}: holds no box")
    count = len(rows[0])
    if count not in columns or any(len(fields) != count for fields in rows):
        raise _first_fault(path, text, columns)
    try:
        numbers = np.array(rows, dtype=np.float64)
    except ValueError:
        raise _first_fault(path, text, columns) from None
    if not _sensible(numbers):
        raise _first_fault(path, text, columns)
    return numbers


def read_truth(path: Path | str, corners: bool = False) -> np.ndarray:
    """Ground truth boxes xywh, float64 `[n, 4]`, as annotated. corners: the file holds `x1 y1 x2 y2`."""
    numbers = read_numbers(path, columns=(4, 8))
    if numbers.shape[1] == 8:
        return _from_eight(numbers)
    if corners:
        numbers[:, 2:] -= numbers[:, :2]
    return numbers


def read_result(path: Path | str) -> np.ndarray:
    """A tracker's boxes xywh, float64 `[n, 4]`, rounded half to even first, as the toolkits do."""
    numbers = np.rint(read_numbers(path, columns=(4, 8)))
    return _from_eight(numbers) if numbers.shape[1] == 8 else numbers


def _sensible(numbers: np.ndarray) -> bool:
    return bool((np.abs(numbers) <= LARGEST_PX).all())  # false for NaN too


def _from_eight(corners: np.ndarray) -> np.ndarray:
    """Four corners TL TR BR BL -> xywh, without +1."""
    return np.concatenate([corners[:, :2], corners[:, 4:6] - corners[:, :2]], axis=1)


def _first_fault(path: Path | str, text: str, columns: tuple[int, ...]) -> SequenceError:
    """Finds the first bad line again, slowly, to name it."""
    wanted = " or ".join(map(str, columns))
    expected = 0
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        shown = line.strip()[:60]
        if len(fields) not in columns:
            return SequenceError(f"{path}:{number}: '{shown}' is not a box of {wanted} numbers")
        expected = expected or len(fields)
        if len(fields) != expected:
            return SequenceError(
                f"{path}:{number}: {len(fields)} numbers where the lines before have {expected}"
            )
        try:
            good = _sensible(np.array(fields, dtype=np.float64))
        except ValueError:
            good = False
        if not good:
            return SequenceError(f"{path}:{number}: '{shown}' is not a box of {wanted} numbers")
    return SequenceError(f"{path}: is not a file of boxes")
