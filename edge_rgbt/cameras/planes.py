"""One delivered buffer as a picture's array, whatever padding the driver put into it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_rgbt.errors import CameraError
from edge_rgbt.types import PixelFormat

# bytes of one pixel, or of one pixel's brightness for NV12
_PIXEL_BYTES = {
    PixelFormat.RGB: 3,
    PixelFormat.BGR: 3,
    PixelFormat.YUYV: 2,
    PixelFormat.NV12: 1,
    PixelFormat.GRAY8: 1,
    PixelFormat.GRAY16: 2,
}


def picture(
    data: bytes,
    pixel_format: PixelFormat,
    width: int,
    height: int,
    strides: Sequence[int],
    offsets: Sequence[int],
) -> np.ndarray:
    """The array that `PixelFormat` describes, as a read-only view of `data` where the layout allows it.

    strides, offsets: bytes, for each plane (NV12 has two). Raises CameraError if `data` is too short.
    """
    planes = [_plane(data, pixel_format, width, height, strides[0], offsets[0])]
    if pixel_format is PixelFormat.NV12:
        if strides[1] == strides[0] and offsets[1] == offsets[0] + height * strides[0]:
            return _plane(data, pixel_format, width, height * 3 // 2, strides[0], offsets[0])
        planes.append(_plane(data, pixel_format, width, height // 2, strides[1], offsets[1]))
        return np.concatenate(planes)
    return planes[0]


def row_bytes(pixel_format: PixelFormat, width: int) -> int:
    """Bytes of one row without padding."""
    return width * _PIXEL_BYTES[pixel_format]


def _plane(
    data: bytes, pixel_format: PixelFormat, width: int, rows: int, stride: int, offset: int
) -> np.ndarray:
    size = _PIXEL_BYTES[pixel_format]
    needed = offset + (rows - 1) * stride + width * size
    if stride < width * size or len(data) < needed:
        raise CameraError(
            f"delivered {len(data)} bytes with rows of {stride} where {width}x{rows} "
            f"{pixel_format.value} needs {needed}"
        )
    if pixel_format is PixelFormat.GRAY16:
        return np.ndarray((rows, width), "<u2", data, offset, (stride, 2))
    if size == 1:
        return np.ndarray((rows, width), np.uint8, data, offset, (stride, 1))
    return np.ndarray((rows, width, size), np.uint8, data, offset, (stride, size, 1))
