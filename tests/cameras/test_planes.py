"""Delivered bytes as pictures, with the padding that drivers put in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rgbt.cameras.planes import picture, row_bytes
from edge_rgbt.errors import CameraError
from edge_rgbt.types import PixelFormat

SINGLE_PLANE = [f for f in PixelFormat if f is not PixelFormat.NV12]


def _padded(rows: np.ndarray, padding: int, lead: int) -> bytes:
    """Rows of bytes with padding behind each and something before the first."""
    filled = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xEE)
    return b"\xdd" * lead + filled.tobytes()


@given(
    pixel_format=st.sampled_from(SINGLE_PLANE),
    width=st.integers(1, 40),
    height=st.integers(1, 30),
    padding=st.integers(0, 9).map(lambda n: 2 * n),
    lead=st.integers(0, 4).map(lambda n: 2 * n),
)
def test_pixels_are_found_whatever_the_padding(pixel_format, width, height, padding, lead):
    size = row_bytes(pixel_format, width)
    rows = np.random.default_rng(width * 31 + height).integers(0, 256, (height, size), np.uint8)
    found = picture(_padded(rows, padding, lead), pixel_format, width, height, [size + padding], [lead])
    assert found.shape[:2] == (height, width)
    assert np.array_equal(np.ascontiguousarray(found).view(np.uint8).reshape(height, size), rows)


@pytest.mark.parametrize(("padding", "gap"), [(0, 0), (6, 0), (0, 32), (6, 32)])
def test_both_planes_of_nv12_are_found(padding, gap):
    width, height = 8, 6
    rows = np.arange(width * height * 3 // 2, dtype=np.uint8).reshape(-1, width)
    bright, colour = (_padded(part, padding, 0) for part in (rows[:height], rows[height:]))
    stride = width + padding
    data = bright + b"\xdd" * gap + colour
    found = picture(data, PixelFormat.NV12, width, height, [stride, stride], [0, stride * height + gap])
    assert np.array_equal(found, rows)


@pytest.mark.parametrize("pixel_format", list(PixelFormat))
def test_too_few_bytes_are_told_with_what_is_needed(pixel_format):
    stride = row_bytes(pixel_format, 8)
    with pytest.raises(CameraError, match=rf"delivered 20 bytes .* {pixel_format.value} needs"):
        picture(bytes(20), pixel_format, 8, 6, [stride, stride], [0, stride * 6])


def test_rows_shorter_than_the_picture_are_told():
    with pytest.raises(CameraError, match="with rows of 10 where 8x6 GRAY16"):
        picture(bytes(1000), PixelFormat.GRAY16, 8, 6, [10], [0])


def test_the_last_row_needs_no_padding():
    assert picture(bytes(5 * 12 + 8), PixelFormat.GRAY8, 8, 6, [12], [0]).shape == (6, 8)
