"""One training sample and how it is cut out of two frames, with the published search jitter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edge_rgbt.imageops import crop_geometry, crop_square, dim_surroundings
from edge_rgbt.types import Box

SEARCH_SIZE_JITTER = 0.25
SEARCH_CENTRE_JITTER = 3.0
# what a TrackingSample holds of pictures, two per frame; those of the dynamic template may be None
CROPS = ("template_rgb", "template_tir", "search_rgb", "search_tir", "dynamic_rgb", "dynamic_tir")


class RejectedSample(Exception):
    """The draw cannot be used (target outside, no area); draw again."""


@dataclass(frozen=True, slots=True, eq=False)
class AlignedImages:
    """One moment seen by both cameras in one geometry: RGB `[H, W, 3]` uint8, thermal `[H, W]` uint8."""

    rgb: np.ndarray
    tir: np.ndarray


@dataclass(frozen=True, slots=True)
class CropSizes:
    """Sides of the crops in pixels, their area factors, and how much the search crop's size varies."""

    template: int
    search: int
    template_factor: float = 2.0
    search_factor: float = 4.0
    size_jitter: float = SEARCH_SIZE_JITTER


@dataclass(frozen=True, slots=True, eq=False)
class TrackingSample:
    """Crops of template and search region (uint8; thermal with one channel) and the target.

    target: xywh in the search crop as fractions of the search crop, float32.
    dynamic_rgb, dynamic_tir: a later template, for trackers that use one.
    template_extent, dynamic_extent: width and height of the target in its template, as fractions of the crop.
    gains: brightness factors of template, search and dynamic template, applied to the batch in float.
    """

    template_rgb: np.ndarray
    template_tir: np.ndarray
    search_rgb: np.ndarray
    search_tir: np.ndarray
    target: np.ndarray
    template_extent: tuple[float, float]
    dynamic_rgb: np.ndarray | None = None
    dynamic_tir: np.ndarray | None = None
    dynamic_extent: tuple[float, float] | None = None
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame of both cameras and where the target is in it."""

    images: AlignedImages
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class UncutSample:
    """Whole frames of one target, for augmentations that work on frames before anything is cut out.

    dynamic: a frame between the two; the template itself where there is none.
    """

    template: Moment
    search: Moment
    sizes: CropSizes
    dynamic: Moment | None = None


def jittered_box(
    box: Box, size_noise: np.ndarray, centre_noise: np.ndarray, size_jitter: float, centre_jitter: float
) -> Box:
    """The box around which a crop is cut: size times exp(normal * jitter), centre moved by a uniform draw.

    size_noise: two standard normal numbers (w, h). centre_noise: two uniform numbers in 0..1 (x, y).
    """
    w = box.w * math.exp(size_noise[0] * size_jitter)
    h = box.h * math.exp(size_noise[1] * size_jitter)
    reach = math.sqrt(w * h) * centre_jitter
    cx = box.cx + reach * (centre_noise[0] - 0.5)
    cy = box.cy + reach * (centre_noise[1] - 0.5)
    return Box(cx - w / 2, cy - h / 2, w, h)


def box_in_crop(box: Box, around: Box, crop_size: int, factor: float) -> np.ndarray:
    """`box` as xywh fractions of the crop cut around `around`; float32 `[4]`.

    The release maps centres to (S - 1) / 2 here but to S / 2 when tracking; the half pixel is kept.
    """
    scale = crop_size / math.ceil(math.sqrt(around.w * around.h) * factor)
    cx = (crop_size - 1) / 2 + (box.cx - around.cx) * scale
    cy = (crop_size - 1) / 2 + (box.cy - around.cy) * scale
    w, h = box.w * scale, box.h * scale
    return np.array([cx - w / 2, cy - h / 2, w, h], dtype=np.float32) / np.float32(crop_size)


def extent_in_crop(box: Box, factor: float) -> tuple[float, float]:
    """Width and height of a box as fractions of the square that is cut around it."""
    side = math.ceil(math.sqrt(box.w * box.h) * factor)
    return box.w / side, box.h / side


def dim_templates(sample: TrackingSample, dimming: float) -> TrackingSample:
    """The sample as a tracker with this `template_dimming` shows it to its network."""
    crops = {}
    for name, extent in (("template", sample.template_extent), ("dynamic", sample.dynamic_extent)):
        for modality in ("rgb", "tir"):
            crop = getattr(sample, f"{name}_{modality}")
            if crop is not None and extent is not None:
                crops[f"{name}_{modality}"] = dim_surroundings(crop, *extent, dimming)
    return replace(sample, **crops)


def cut_sample(
    template: AlignedImages,
    template_box: Box,
    search: AlignedImages,
    search_box: Box,
    sizes: CropSizes,
    rng: np.random.Generator,
    centre_jitter: float = SEARCH_CENTRE_JITTER,
    tir_shift_px: tuple[float, float] = (0.0, 0.0),
    dynamic: Moment | None = None,
) -> TrackingSample:
    """Cuts the crops; the search crop is jittered. Raises RejectedSample if the target fell outside.

    tir_shift_px: moves the thermal pictures against the RGB ones, in pixels of the frame.
    dynamic: where a second template is cut, if one is.
    """
    around = jittered_box(search_box, rng.standard_normal(2), rng.random(2), sizes.size_jitter, centre_jitter)
    target = box_in_crop(search_box, around, sizes.search, sizes.search_factor)
    centre = target[:2] + target[2:] / 2
    if not ((centre > 0) & (centre < 1)).all():
        raise RejectedSample("target centre lies outside the search crop")
    z_rgb, z_tir = _cut(template, template_box, sizes.template_factor, sizes.template, tir_shift_px)
    x_rgb, x_tir = _cut(search, around, sizes.search_factor, sizes.search, tir_shift_px)
    extent = extent_in_crop(template_box, sizes.template_factor)
    cut = TrackingSample(z_rgb, z_tir, x_rgb, x_tir, target, extent)
    if dynamic is None:
        return cut
    d_rgb, d_tir = _cut(dynamic.images, dynamic.box, sizes.template_factor, sizes.template, tir_shift_px)
    extent = extent_in_crop(dynamic.box, sizes.template_factor)
    return replace(cut, dynamic_rgb=d_rgb, dynamic_tir=d_tir, dynamic_extent=extent)


def _cut(
    images: AlignedImages, box: Box, factor: float, size: int, tir_shift_px: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    rgb = crop_square(images.rgb, crop_geometry(box, factor, size))
    moved = Box(box.x - tir_shift_px[0], box.y - tir_shift_px[1], box.w, box.h)
    return rgb, crop_square(images.tir, crop_geometry(moved, factor, size))
