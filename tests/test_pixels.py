"""Every camera's pixels become the tracker's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_rgbt.pixels import for_tracker
from edge_rgbt.types import Frame, Modality, PixelFormat, TimeSource

COLOUR = (200, 60, 30)


def _picture() -> np.ndarray:
    """RGB: COLOUR on the left, white top right, black below it."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:, :24] = COLOUR
    picture[:16, 24:] = 255
    return picture


def _nv12(picture: np.ndarray) -> np.ndarray:
    planar = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    height, width = picture.shape[:2]
    colour = planar[height:].reshape(2, height // 2, width // 2)
    return np.concatenate([planar[:height], np.dstack(list(colour)).reshape(height // 2, width)])


def _yuyv(picture: np.ndarray) -> np.ndarray:
    nv12 = _nv12(picture)
    height = picture.shape[0]
    colour = np.repeat(nv12[height:], 2, axis=0)
    return np.dstack([nv12[:height], colour])


AS_DELIVERED = {
    PixelFormat.RGB: lambda p: p,
    PixelFormat.BGR: lambda p: np.ascontiguousarray(p[..., ::-1]),
    PixelFormat.NV12: _nv12,
    PixelFormat.YUYV: _yuyv,
    PixelFormat.GRAY8: lambda p: cv2.cvtColor(p, cv2.COLOR_RGB2GRAY),
}


def _frame(modality: Modality, pixel_format: PixelFormat) -> Frame:
    image = AS_DELIVERED[pixel_format](_picture())
    return Frame(image, modality, 5, 6, "cam", pixel_format, TimeSource.DRIVER, 7)


@pytest.mark.parametrize("pixel_format", [f for f in AS_DELIVERED if f is not PixelFormat.GRAY8])
def test_colour_comes_out_in_rgb_order(pixel_format):
    made = for_tracker(_frame(Modality.RGB, pixel_format))
    assert made.pixel_format is PixelFormat.RGB
    assert np.abs(made.image.astype(int) - _picture()).max() <= 3


@pytest.mark.parametrize("pixel_format", list(AS_DELIVERED))
def test_thermal_becomes_one_grey_channel_over_the_whole_range(pixel_format):
    made = for_tracker(_frame(Modality.TIR, pixel_format))
    assert made.pixel_format is PixelFormat.GRAY8
    grey = cv2.cvtColor(_picture(), cv2.COLOR_RGB2GRAY)
    assert np.abs(made.image.astype(int) - grey).max() <= 2
    assert (made.image.min(), made.image.max()) == (0, 255)


def test_a_monochrome_camera_gives_equal_channels():
    made = for_tracker(_frame(Modality.RGB, PixelFormat.GRAY8))
    assert made.image.shape == (32, 48, 3)
    assert np.ptp(made.image, axis=2).max() == 0


def test_what_is_right_already_is_not_copied():
    for frame in (
        _frame(Modality.RGB, PixelFormat.RGB),
        _frame(Modality.TIR, PixelFormat.GRAY8),
        Frame(np.ones((4, 4), np.uint16), Modality.TIR, 0, 0),
    ):
        assert for_tracker(frame) is frame


def test_time_and_number_pass_through():
    made = for_tracker(_frame(Modality.RGB, PixelFormat.NV12))
    assert (made.timestamp_ns, made.sequence, made.source) == (5, 6, "cam")
    assert (made.time_source, made.time_uncertainty_ns) == (TimeSource.DRIVER, 7)


def test_read_only_pixels_are_converted_too():
    frame = _frame(Modality.TIR, PixelFormat.NV12)
    frame.image.setflags(write=False)
    assert for_tracker(frame).image.max() == 255
