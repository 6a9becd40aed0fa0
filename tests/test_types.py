"""Frames are checked when they are made."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rgbt.types import Frame, FramePair, Modality, PixelFormat, TimeSource

SHAPES = {
    PixelFormat.RGB: ((4, 6, 3), np.uint8),
    PixelFormat.BGR: ((4, 6, 3), np.uint8),
    PixelFormat.NV12: ((6, 6), np.uint8),
    PixelFormat.YUYV: ((4, 6, 2), np.uint8),
    PixelFormat.GRAY8: ((4, 6), np.uint8),
    PixelFormat.GRAY16: ((4, 6), np.uint16),
}


def _frame(pixel_format: PixelFormat, modality: Modality = Modality.TIR, **changes: object) -> Frame:
    shape, dtype = SHAPES[pixel_format]
    given = {"image": np.zeros(shape, dtype), "pixel_format": pixel_format} | changes
    return Frame(modality=modality, timestamp_ns=1, sequence=2, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("pixel_format", list(PixelFormat))
def test_every_format_tells_the_size_of_the_picture(pixel_format):
    frame = _frame(pixel_format)
    assert (frame.width, frame.height) == (6, 4)


def test_every_format_was_tried():
    assert set(SHAPES) == set(PixelFormat)


@pytest.mark.parametrize(
    ("pixel_format", "shape", "dtype"),
    [
        (PixelFormat.NV12, (5, 6), np.uint8),
        (PixelFormat.NV12, (6, 5), np.uint8),
        (PixelFormat.GRAY16, (4, 6), np.uint8),
        (PixelFormat.GRAY8, (4, 6, 1), np.uint8),
        (PixelFormat.YUYV, (4, 6), np.uint8),
        (PixelFormat.BGR, (4, 6, 4), np.uint8),
        (PixelFormat.GRAY8, (6,), np.uint8),
        (PixelFormat.GRAY8, (0, 6), np.uint8),
    ],
)
def test_an_array_that_does_not_fit_its_format_is_refused(pixel_format, shape, dtype):
    with pytest.raises(ValueError, match="expected"):
        _frame(pixel_format, image=np.zeros(shape, dtype))


def test_sixteen_bit_colour_is_refused():
    with pytest.raises(ValueError, match="rgb image cannot be GRAY16"):
        _frame(PixelFormat.GRAY16, Modality.RGB)


def test_a_format_that_is_not_given_is_told_by_the_array():
    assert Frame(np.zeros((4, 6, 3), np.uint8), Modality.RGB, 0, 0).pixel_format is PixelFormat.RGB
    assert Frame(np.zeros((4, 6), np.uint8), Modality.TIR, 0, 0).pixel_format is PixelFormat.GRAY8
    assert Frame(np.zeros((4, 6), np.uint16), Modality.TIR, 0, 0).pixel_format is PixelFormat.GRAY16


def test_times_that_nobody_vouches_for_count_as_recorded():
    assert _frame(PixelFormat.GRAY8).time_source is TimeSource.RECORDED


def test_a_negative_uncertainty_is_refused():
    with pytest.raises(ValueError, match="time uncertainty is -1 ns"):
        _frame(PixelFormat.GRAY8, time_uncertainty_ns=-1)


def test_an_aligned_pair_takes_converted_colour_only():
    tir = _frame(PixelFormat.GRAY8)
    FramePair(_frame(PixelFormat.RGB, Modality.RGB), tir, aligned=True)
    with pytest.raises(ValueError, match="is BGR, expected RGB"):
        FramePair(_frame(PixelFormat.BGR, Modality.RGB), tir, aligned=True)
