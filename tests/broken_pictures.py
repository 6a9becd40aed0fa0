"""Pictures as broken cameras deliver them, made from good ones; for the tests of whatever must notice."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from edge_rgbt.types import PictureFault

# A good picture, the one delivered before it, and randomness -> a broken one.
Breaking = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _black(image, last, rng):
    return np.zeros_like(image)


def _dark_noise(image, last, rng):
    """A covered 8-bit camera; 16-bit counts have no such thing and give one level."""
    if image.dtype == np.uint16:
        return np.full_like(image, 21_000)
    return np.clip(rng.normal(4, 2, image.shape), 0, 12).astype(np.uint8)


def _one_grey(image, last, rng):
    return np.full_like(image, 128 if image.dtype == np.uint8 else 30_000)


def _white(image, last, rng):
    return np.full_like(image, np.iinfo(image.dtype).max)


def _blinded(image, last, rng):
    """The sun in the picture: all but a rim of a twelfth of the height is at the upper end."""
    top = 255 if image.dtype == np.uint8 else 16_383 if image.max() < 16_383 else 65_535
    out = image.copy()
    out[: image.shape[0] * 11 // 12] = top
    return out


def _wild_noise(image, last, rng):
    return rng.integers(0, np.iinfo(image.dtype).max, image.shape, endpoint=True).astype(image.dtype)


def _faint_noise(image, last, rng):
    level, spread = (60, 5) if image.dtype == np.uint8 else (22_000, 30)
    return np.clip(rng.normal(level, spread, image.shape), 0, None).astype(image.dtype)


def _demosaiced_noise(image, last, rng):
    """Noise that neighbouring pixels share, as colour reconstruction and weak compression leave it."""
    return cv2.blur(_faint_noise(image, last, rng), (2, 2))


def _compressed_noise(image, last, rng):
    """Grey snow that has been through a video link; counts are never compressed with loss."""
    noise = _faint_noise(image if image.ndim == 2 else image[..., 0], last, rng)
    if image.dtype == np.uint8:
        data = cv2.imencode(".jpg", noise, (cv2.IMWRITE_JPEG_QUALITY, 50))[1]
        noise = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return noise if image.ndim == 2 else np.dstack([noise] * 3)


def _torn(lower: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Breaking:
    """lower: of this and the last picture the one whose lower part is seen."""

    def tear(image, last, rng):
        row = int(image.shape[0] * rng.uniform(0.2, 0.8))
        return np.concatenate([image[:row], lower(image, last)[row:]])

    return tear


BROKEN: dict[str, tuple[PictureFault, Breaking]] = {
    "black": (PictureFault.BLACK, _black),
    "covered lens": (PictureFault.BLACK, _dark_noise),
    "one grey": (PictureFault.BLACK, _one_grey),
    "white": (PictureFault.SATURATED, _white),
    "blinded": (PictureFault.SATURATED, _blinded),
    "wild noise": (PictureFault.NOISE, _wild_noise),
    "faint noise": (PictureFault.NOISE, _faint_noise),
    "demosaiced noise": (PictureFault.NOISE, _demosaiced_noise),
    "compressed noise": (PictureFault.NOISE, _compressed_noise),
    "torn, lower part of the last picture": (PictureFault.TORN, _torn(lambda image, last: last)),
    "torn, lower part 16 px aside": (PictureFault.TORN, _torn(lambda image, last: np.roll(image, 16, 1))),
}
