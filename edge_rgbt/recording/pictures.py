"""Pictures as bytes and back: JPEG, PNG or raw, whatever the camera's pixel format."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.pixels import for_tracker
from edge_rgbt.types import Frame, PixelFormat

JPEG, PNG = "jpeg", "png"
# Run-length matching: noisy pictures come out smaller than with zlib's usual search, at half the time.
_PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
# Names of raw layouts as foxglove.RawImage knows them, with bytes per pixel of a row.
_RAW = {
    PixelFormat.RGB: ("rgb8", 3),
    PixelFormat.BGR: ("bgr8", 3),
    PixelFormat.NV12: ("nv12", 1),
    PixelFormat.YUYV: ("yuyv", 2),
    PixelFormat.GRAY8: ("mono8", 1),
    PixelFormat.GRAY16: ("16UC1", 2),
}
RAW_NAMES = frozenset(name for name, _ in _RAW.values())


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A stored picture. encoding: jpeg, png, or the name of a raw layout. step: bytes per row of a raw one.

    pixel_format: of the array that decoding gives. width, height: of the picture, not of the array.
    """

    data: bytes
    encoding: str
    pixel_format: PixelFormat
    width: int
    height: int
    step: int = 0

    @property
    def lossless(self) -> bool:
        return self.encoding != JPEG


def encode_picture(frame: Frame, encoding: str, jpeg_quality: int) -> EncodedPicture:
    """The frame's picture as `jpeg`, `png` or `raw`. 16-bit counts asked for as JPEG are stored raw."""
    size = (frame.width, frame.height)
    if encoding == JPEG and frame.pixel_format is not PixelFormat.GRAY16:
        frame = for_tracker(frame)
        data = _encode(".jpg", _bgr(frame), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
        return EncodedPicture(data, JPEG, frame.pixel_format, *size)
    if encoding == PNG:
        data = _encode(".png", _bgr(frame), _PNG_OPTIONS)
        return EncodedPicture(data, PNG, frame.pixel_format, *size)
    name, pixel_bytes = _RAW[frame.pixel_format]
    return EncodedPicture(frame.image.tobytes(), name, frame.pixel_format, *size, frame.width * pixel_bytes)


def decode_picture(picture: EncodedPicture) -> np.ndarray:
    """The array, laid out as `pixel_format` says; bit-equal to the camera's unless it was JPEG.

    Raises ValueError for bytes that are no such picture.
    """
    wanted, width, height = picture.pixel_format, picture.width, picture.height
    data = np.frombuffer(picture.data, np.uint8)
    if picture.encoding not in (JPEG, PNG):
        array = data.view(np.uint16) if wanted is PixelFormat.GRAY16 else data
        return array.reshape(_array_shape(wanted, width, height))
    try:
        array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"is no {picture.encoding} picture ({error.err})") from error
    if array is None:
        raise ValueError(f"is no {picture.encoding} picture")
    if wanted is PixelFormat.RGB:
        array = cv2.cvtColor(array, cv2.COLOR_BGR2RGB)
    return array.reshape(_array_shape(wanted, width, height))


def _array_shape(layout: PixelFormat, width: int, height: int) -> tuple[int, ...]:
    if layout in (PixelFormat.RGB, PixelFormat.BGR):
        return (height, width, 3)
    if layout is PixelFormat.NV12:
        return (height * 3 // 2, width)
    return (height, width, 2) if layout is PixelFormat.YUYV else (height, width)


def _bgr(frame: Frame) -> np.ndarray:
    """The array as OpenCV's writers take it; layouts they do not know go as one grey plane, bit by bit."""
    if frame.pixel_format is PixelFormat.RGB:
        return cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    if frame.pixel_format is PixelFormat.YUYV:
        return frame.image.reshape(frame.height, 2 * frame.width)
    return frame.image


def _encode(suffix: str, image: np.ndarray, options: list[int]) -> bytes:
    good, data = cv2.imencode(suffix, image, options)
    if not good:
        raise ValueError(f"cannot be encoded as {suffix}")
    return data.tobytes()
