"""A clock in the picture: when it was made, as black and white squares that survive a video codec."""

from __future__ import annotations

import numpy as np

BITS = 40  # milliseconds: 34 years
_PER_ROW = 20


def draw_clock(image: np.ndarray, time_ns: int) -> None:
    """Writes the time, to the millisecond, into the upper half of an RGB or grey picture."""
    side = _side(image)
    milliseconds = time_ns // 1_000_000
    for bit in range(BITS):
        row, column = divmod(bit, _PER_ROW)
        square = image[row * side : (row + 1) * side, column * side : (column + 1) * side]
        square[:] = 235 if milliseconds >> bit & 1 else 16


def read_clock(image: np.ndarray) -> int:
    """The time in nanoseconds, whole milliseconds. A picture without a clock gives nonsense."""
    side = _side(image)
    grey = image if image.ndim == 2 else image.mean(axis=2)
    milliseconds = 0
    for bit in range(BITS):
        row, column = divmod(bit, _PER_ROW)
        middle = grey[
            row * side + side // 4 : (row + 1) * side - side // 4,
            column * side + side // 4 : (column + 1) * side - side // 4,
        ]
        milliseconds |= int(middle.mean() > 125) << bit
    return milliseconds * 1_000_000


def _side(image: np.ndarray) -> int:
    return image.shape[1] // _PER_ROW
