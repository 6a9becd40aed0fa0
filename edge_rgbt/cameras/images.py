"""One picture from one file, as a camera would have delivered it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_rgbt.errors import SequenceError

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"))
MIN_SIDE_PX = 8  # nothing smaller can hold a target; one-pixel pictures are damaged files
# Decoders fill what a cut-off file lacks with grey and only print a warning: first bytes -> end mark.
_END_MARKS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PN": b"IEND"}
# OpenCV prints its own lines about a damaged file; ours says the same with the name.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
_TAIL = 4096  # some writers pad after the end mark


def read_rgb(path: Path) -> np.ndarray:
    """Colour picture `[H, W, 3]` uint8 in RGB order; a grey one is repeated over the channels.

    Raises SequenceError naming the file if it is unreadable, 16-bit or tiny.
    """
    image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype != np.uint8:
        raise SequenceError(f"{path}: is {image.dtype} where an 8-bit RGB image is due; convert it to 8 bit")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_thermal(path: Path) -> np.ndarray:
    """Thermal picture `[H, W]`, uint8 or uint16 counts; a colour-coded one becomes its luminance.

    Raises SequenceError naming the file if it is unreadable, of another depth or tiny.
    """
    image = _decode(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if image.dtype not in (np.uint8, np.uint16):
        raise SequenceError(f"{path}: is {image.dtype}; thermal images are 8 or 16 bit")
    return image


def _decode(path: Path, flags: int) -> np.ndarray:
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise SequenceError(f"{path}: cannot be read ({error.strerror or error})") from error
    end_mark = _END_MARKS.get(data[:3].tobytes(), b"")
    if end_mark not in data[-_TAIL:].tobytes():
        raise SequenceError(f"{path}: is cut off, the end of the image is missing")
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise SequenceError(f"{path}: is not a readable image")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise SequenceError(f"{path}: is {width}x{height} pixels, too small to hold a target")
    return image
