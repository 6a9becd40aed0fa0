"""Drawing on 8-bit images: polygons with soft edges, darkening, textured quads, added light."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

FRACTION_BITS = 4
_ONE = 1 << FRACTION_BITS
_INVERSE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_CLEAR = (0, 0, 0, 255)


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as the fixed-point integers that OpenCV draws; far-off points are clamped."""
    return np.rint(np.minimum(np.maximum(points, -4000.0), 4000.0) * _ONE).astype(np.int32)


def fill(image: np.ndarray, points_fixed: np.ndarray, colour: Sequence[float] | float) -> None:
    """Fills a convex polygon given by `fixed`."""
    cv2.fillConvexPoly(image, points_fixed, colour, cv2.LINE_AA, FRACTION_BITS)


def clip_window(points: np.ndarray, image: np.ndarray, margin: int = 1) -> tuple[int, int, int, int] | None:
    """Whole-pixel window (x0, y0, x1, y1) around points, cut to the image; None when outside."""
    h, w = image.shape[:2]
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    x0, y0 = max(int(left) - margin - 1, 0), max(int(top) - margin - 1, 0)
    x1, y1 = min(int(right) + margin + 2, w), min(int(bottom) + margin + 2, h)
    if right < 0 or bottom < 0 or x1 <= x0 or y1 <= y0:
        return None
    return x0, y0, x1, y1


def darken(image: np.ndarray, polygon: np.ndarray, strength: float, soften: int = 0) -> None:
    """Multiplies what lies under a convex polygon by 1 - strength; image of one or four channels."""
    window = clip_window(polygon, image, 1 + soften)
    if window is None:
        return
    x0, y0, x1, y1 = window
    veil = np.full((y1 - y0, x1 - x0), 255, np.uint8)
    fill(veil, fixed(polygon - (x0, y0)), (round(255 * (1 - strength)),))
    if soften:
        veil = cv2.blur(veil, (2 * soften + 1, 2 * soften + 1), borderType=cv2.BORDER_REPLICATE)
    part = image[y0:y1, x0:x1]
    if image.ndim == 3:
        veil = cv2.cvtColor(veil, cv2.COLOR_GRAY2RGBA)
    cv2.multiply(part, veil, dst=part, scale=1 / 255)


def textured_quad(
    image: np.ndarray, texture: np.ndarray, outline: np.ndarray, window: list[int], to_texture: np.ndarray
) -> None:
    """Lays a texture on a polygon in a whole-pixel window (x0, y0, x1, y1) of the image.

    outline: `fixed` points, counted from the window's corner. to_texture: homography from pixels of the
    window to texture pixels.
    """
    x0, y0, x1, y1 = window
    part = image[y0:y1, x0:x1]
    laid = cv2.warpPerspective(texture, to_texture, (x1 - x0, y1 - y0), flags=_INVERSE,
                               borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, outline, 255, cv2.LINE_8, FRACTION_BITS)
    cv2.copyTo(laid, mask, part)


def lay_disc(image: np.ndarray, sprite: np.ndarray, window: list[int], to_sprite: np.ndarray) -> None:
    """Lays a leaf picture over the image, inside a whole-pixel window (x0, y0, x1, y1).

    image: uint8 `[h, w, 4]` or `[h, w]`. sprite: `[n, n, 4]`, colours (for one channel, the first counts)
    premultiplied by their coverage, and 255 - coverage. to_sprite: affine map `[2, 3]` from pixels of the
    window to sprite pixels. Four channels, because OpenCV warps them faster than three, or than one twice.
    """
    x0, y0, x1, y1 = window
    if x1 <= x0 or y1 <= y0:
        return
    laid = cv2.warpAffine(sprite, to_sprite, (x1 - x0, y1 - y0), flags=_INVERSE,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=_CLEAR)  # fmt: skip
    clear = cv2.extractChannel(laid, 3)
    if image.ndim == 3:
        clear = cv2.cvtColor(clear, cv2.COLOR_GRAY2RGBA)
    else:
        laid = cv2.extractChannel(laid, 0)
    part = image[y0:y1, x0:x1]
    cv2.multiply(part, clear, dst=part, scale=1 / 255)
    cv2.add(part, laid, dst=part)


def add_light(image: np.ndarray, light: np.ndarray, quad: np.ndarray, gain: float) -> None:
    """Shines a light picture (uint8, same channels) onto a ground quad `[4, 2]`: what is there brightens."""
    window = clip_window(quad, image)
    if window is None:
        return
    x0, y0, x1, y1 = window
    if (x1 - x0) * (y1 - y0) > 150_000:
        return
    h, w = light.shape[:2]
    source = np.array([[0, h], [w, h], [w, 0], [0, 0]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, (quad - (x0, y0)).astype(np.float32))
    laid = cv2.warpPerspective(light, matrix, (x1 - x0, y1 - y0))
    part = image[y0:y1, x0:x1]
    brighter = cv2.multiply(part, laid, scale=gain / 255)
    cv2.add(part, brighter, dst=part)
    cv2.scaleAdd(laid, 0.10, part, dst=part)


def add_glow(image: np.ndarray, glow: np.ndarray, centre: np.ndarray, radius: float) -> None:
    """Adds a round glow (uint8 picture, same channels) around a pixel."""
    size = max(3, round(radius * 2))
    x0, y0 = np.round(centre - size / 2).astype(int)
    h, w = image.shape[:2]
    cx0, cy0, cx1, cy1 = max(x0, 0), max(y0, 0), min(x0 + size, w), min(y0 + size, h)
    if cx1 <= cx0 or cy1 <= cy0:
        return
    spot = cv2.resize(glow, (size, size), interpolation=cv2.INTER_LINEAR)
    part = image[cy0:cy1, cx0:cx1]
    cv2.add(part, np.ascontiguousarray(spot[cy0 - y0 : cy1 - y0, cx0 - x0 : cx1 - x0]), dst=part)


def glow_picture(colour: tuple[int, int, int], size: int = 48) -> np.ndarray:
    """A bright core with a wide faint halo, uint8 `[size, size, 4]`."""
    y, x = (np.mgrid[0:size, 0:size] - (size - 1) / 2) / (size / 2)
    r = np.hypot(x, y)
    shape = np.clip(1.2 * np.exp(-((r / 0.16) ** 2)) + 0.22 * np.exp(-((r / 0.42) ** 2)), 0, 1)
    shape *= np.clip((1 - r) * 4, 0, 1)
    white = np.clip(shape - 0.75, 0, 1)[..., None] * 200
    picture = np.clip(shape[..., None] * np.array(colour) + white, 0, 255).astype(np.uint8)
    return cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)


def headlight_picture(size: int = 64) -> np.ndarray:
    """Two overlapping cones, near end at the bottom, uint8 `[size, size, 4]`."""
    v, u = np.mgrid[0:size, 0:size] / (size - 1)
    far = 1 - v  # 0 at the bumper
    light = np.zeros((size, size))
    for side in (-0.07, 0.07):
        width = 0.05 + 0.30 * far
        light += np.exp(-(((u - 0.5 - side * (1 + far)) / width) ** 2)) * np.clip(far * 9, 0, 1)
    light *= (1 - far) ** 1.2 / (1 + 2.5 * far)
    light = np.clip(light / light.max(), 0, 1)
    return cv2.cvtColor((light[..., None] * (255, 244, 214)).astype(np.uint8), cv2.COLOR_RGB2RGBA)


def motion_blur(image: np.ndarray, move_px: np.ndarray) -> np.ndarray:
    """Blurs along a straight move of `move_px` `[2]` pixels (at most 12) during the exposure.

    Averages whole-pixel shifts, several times faster than a filter; moves below 0.7 px change nothing.
    """
    length = float(np.hypot(*move_px))
    if length < 0.7:
        return image
    move_px = move_px * min(1.0, 12.0 / length)
    count = int(np.ceil(min(length, 12.0))) + 1
    steps = np.round(np.linspace(-0.5, 0.5, count)[:, None] * move_px).astype(int)
    shifts = {(int(dx), int(dy)) for dx, dy in steps}
    reach = int(np.ceil(np.abs(move_px).max() / 2)) + 1
    wide = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    h, w = image.shape[:2]
    total: np.ndarray | None = None
    for done, (dx, dy) in enumerate(sorted(shifts)):
        part = wide[reach + dy : reach + dy + h, reach + dx : reach + dx + w]
        if total is None:
            total = part.copy()
        else:
            cv2.addWeighted(total, done / (done + 1), part, 1 / (done + 1), 0, dst=total)
    return image if total is None else total
