"""From any camera's pixel format to the tracker's: RGB for colour, grey 8 or 16 bit for thermal.

Cameras hand over what they have, and only frames that are about to be used come here. Frames that a queue or
the pairing drops are never converted, and what waits in queues is small: NV12 takes half the bytes of RGB.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from edge_rgbt.types import Frame, Modality, PixelFormat

_DARKEST, _BRIGHTEST = 16, 235  # levels of black and white in the brightness of video
_LEVELS = 255.0 / (_BRIGHTEST - _DARKEST)


def for_tracker(frame: Frame) -> Frame:
    """The frame as RGB, or as GRAY8 or GRAY16 if thermal; the same object if it is that already.

    Colour of NV12 and YUYV is BT.601 with video levels. Colour-coded thermal becomes its brightness.
    """
    if frame.modality is Modality.RGB:
        if frame.pixel_format is PixelFormat.RGB:
            return frame
        image, made = _TO_RGB[frame.pixel_format](frame.image), PixelFormat.RGB
    else:
        if frame.pixel_format in (PixelFormat.GRAY8, PixelFormat.GRAY16):
            return frame
        image, made = _TO_GREY[frame.pixel_format](frame), PixelFormat.GRAY8
    return dataclasses.replace(frame, image=image, pixel_format=made)


def _coloured(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: cv2.cvtColor(image, code)


def _grey(code: int) -> Callable[[Frame], np.ndarray]:
    return lambda frame: cv2.cvtColor(frame.image, code)


def _stretched(brightness: np.ndarray) -> np.ndarray:
    """Video levels 16..235 to 0..255."""
    return cv2.convertScaleAbs(cv2.subtract(brightness, (_DARKEST, 0.0, 0.0, 0.0)), alpha=_LEVELS)  # type: ignore


_TO_RGB: dict[PixelFormat, Callable[[np.ndarray], np.ndarray]] = {
    PixelFormat.BGR: _coloured(cv2.COLOR_BGR2RGB),
    PixelFormat.NV12: _coloured(cv2.COLOR_YUV2RGB_NV12),
    PixelFormat.YUYV: _coloured(cv2.COLOR_YUV2RGB_YUY2),
    PixelFormat.GRAY8: _coloured(cv2.COLOR_GRAY2RGB),
}
_TO_GREY: dict[PixelFormat, Callable[[Frame], np.ndarray]] = {
    PixelFormat.RGB: _grey(cv2.COLOR_RGB2GRAY),
    PixelFormat.BGR: _grey(cv2.COLOR_BGR2GRAY),
    PixelFormat.NV12: lambda frame: _stretched(frame.image[: frame.height]),
    PixelFormat.YUYV: lambda frame: _stretched(cv2.extractChannel(frame.image, 0)),
}
