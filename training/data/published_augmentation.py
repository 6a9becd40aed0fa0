"""The augmentation that CKD was published with (design: ckd.md section 7.1), step by step.

On whole frames: grey and mirror, one die each for the whole sample. Then per frame: jitter of the search
crop, the cut, brightness and one more mirror. Brightness travels with the sample and is applied in float.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edge_rgbt.imageops import crop_geometry, crop_square, padding_mask
from edge_rgbt.types import Box
from training.data.degradation import to_grey
from training.data.samples import (
    CROPS,
    SEARCH_CENTRE_JITTER,
    SEARCH_SIZE_JITTER,
    AlignedImages,
    Moment,
    RejectedSample,
    TrackingSample,
    UncutSample,
    box_in_crop,
    extent_in_crop,
    jittered_box,
)

PADDING_STRIDE = 16  # the padding mask is also looked at as coarsely as the network's grid


@dataclass(frozen=True, slots=True)
class PublishedRates:
    """How often and how far; validation sets `brightness` and `own_mirror` to 0."""

    grey: float = 0.05
    mirror: float = 0.5
    brightness: float = 0.2
    own_mirror: float = 0.5
    size_jitter: float = SEARCH_SIZE_JITTER
    centre_jitter: float = SEARCH_CENTRE_JITTER


@dataclass(frozen=True, slots=True, eq=False)
class Dice:
    """Everything random about one sample. Triples are of template, search frame, dynamic template.

    size_noise: two standard normal numbers. centre_noise: two uniform ones in 0..1.
    """

    grey: bool
    mirror: bool
    gains: tuple[float, float, float]
    own_mirrors: tuple[bool, bool, bool]
    size_noise: np.ndarray
    centre_noise: np.ndarray


def roll(rates: PublishedRates, rng: np.random.Generator) -> Dice:
    """One sample's dice."""
    grey, mirror = rng.random(2)
    gains = rng.uniform(1 - rates.brightness, 1 + rates.brightness, 3)
    own = rng.random(3) < rates.own_mirror
    return Dice(
        grey=bool(grey < rates.grey),
        mirror=bool(mirror < rates.mirror),
        gains=(float(gains[0]), float(gains[1]), float(gains[2])),
        own_mirrors=(bool(own[0]), bool(own[1]), bool(own[2])),
        size_noise=rng.standard_normal(2),
        centre_noise=rng.random(2),
    )


class PublishedAugmentation:
    """Draws dice by the published rates and applies them."""

    def __init__(self, rates: PublishedRates | None = None) -> None:
        self.rates = rates or PublishedRates()

    def apply(self, drawn: TrackingSample | UncutSample, rng: np.random.Generator) -> TrackingSample:
        """Whole frames go through every step, crops through those that are left. May raise RejectedSample."""
        dice = roll(self.rates, rng)
        if isinstance(drawn, UncutSample):
            return cut_as_published(drawn, dice, self.rates)
        return vary_crops(drawn, dice)


def cut_as_published(sample: UncutSample, dice: Dice, rates: PublishedRates | None = None) -> TrackingSample:
    """The published pipeline on whole frames. Raises RejectedSample where a crop shows padding only."""
    rates, sizes = rates or PublishedRates(), sample.sizes
    template, search = _jointly(sample.template, dice), _jointly(sample.search, dice)
    around = jittered_box(
        search.box, dice.size_noise, dice.centre_noise, rates.size_jitter, rates.centre_jitter
    )
    target = box_in_crop(search.box, around, sizes.search, sizes.search_factor)
    if dice.own_mirrors[1]:
        target[0] = 1 - (target[0] + target[2])
    z = _cut(template.images, template.box, sizes.template_factor, sizes.template, dice.own_mirrors[0])
    x = _cut(search.images, around, sizes.search_factor, sizes.search, dice.own_mirrors[1])
    extent = extent_in_crop(template.box, sizes.template_factor)
    cut = TrackingSample(z.rgb, z.tir, x.rgb, x.tir, target, extent, gains=dice.gains)
    if sample.dynamic is None:
        return cut
    later = _jointly(sample.dynamic, dice)
    d = _cut(later.images, later.box, sizes.template_factor, sizes.template, dice.own_mirrors[2])
    extent = extent_in_crop(later.box, sizes.template_factor)
    return replace(cut, dynamic_rgb=d.rgb, dynamic_tir=d.tir, dynamic_extent=extent)


def vary_crops(sample: TrackingSample, dice: Dice) -> TrackingSample:
    """Grey, mirrors and brightness for crops that were cut, and jittered, before."""
    crops: dict[str, np.ndarray] = {}
    for number, name in enumerate(CROPS):
        crop = getattr(sample, name)
        if crop is None:
            continue
        if dice.grey and crop.ndim == 3:
            crop = to_grey(crop)
        if dice.mirror != dice.own_mirrors[number // 2]:  # twice is not at all
            crop = np.ascontiguousarray(crop[:, ::-1])
        crops[name] = crop
    target = sample.target.copy()
    if dice.mirror != dice.own_mirrors[1]:
        target[0] = 1 - (target[0] + target[2])
    return replace(sample, target=target, gains=dice.gains, **crops)


def _jointly(moment: Moment, dice: Dice) -> Moment:
    """Grey and mirror of whole frames; mirrored views are not copied."""
    rgb, tir, box = moment.images.rgb, moment.images.tir, moment.box
    if dice.grey:
        rgb = to_grey(rgb)
    if dice.mirror:
        rgb, tir = rgb[:, ::-1], tir[:, ::-1]
        box = Box(tir.shape[1] - 1 - (box.x + box.w), box.y, box.w, box.h)
    return Moment(AlignedImages(rgb, tir), box)


def _cut(images: AlignedImages, around: Box, factor: float, size: int, mirror: bool) -> AlignedImages:
    if math.ceil(math.sqrt(around.w * around.h) * factor) < 1:
        raise RejectedSample("box has no area")
    geometry = crop_geometry(around, factor, size)
    padded = padding_mask(geometry, images.tir.shape[1], images.tir.shape[0])
    if padded.all() or padded[::PADDING_STRIDE, ::PADDING_STRIDE].all():
        raise RejectedSample("crop lies outside the picture")
    rgb, tir = crop_square(images.rgb, geometry), crop_square(images.tir, geometry)
    if mirror:
        rgb, tir = np.ascontiguousarray(rgb[:, ::-1]), np.ascontiguousarray(tir[:, ::-1])
    return AlignedImages(rgb, tir)
