"""What cameras, weather and night do to crops; applied after cutting, on few pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from training.data.samples import CROPS, TrackingSample


@dataclass(frozen=True, slots=True)
class DegradationRates:
    """How often each thing happens to a sample; flat is low contrast: haze, or no warmth of its own."""

    grey: float = 0.10
    invert_thermal: float = 0.12
    blur: float = 0.35
    noise: float = 0.5
    dark_rgb: float = 0.10
    flat_rgb: float = 0.12
    flat_thermal: float = 0.12
    drop_modality: float = 0.04
    mirror: float = 0.5


def degrade(sample: TrackingSample, rates: DegradationRates, rng: np.random.Generator) -> TrackingSample:
    """Frames share what a camera keeps (colour, inversion, mirror); light, blur, noise differ per frame."""
    z_rgb, x_rgb = sample.template_rgb, sample.search_rgb
    z_tir, x_tir = sample.template_tir, sample.search_tir
    d_rgb, d_tir = sample.dynamic_rgb, sample.dynamic_tir
    if rng.random() < rates.grey:
        z_rgb, x_rgb = to_grey(z_rgb), to_grey(x_rgb)
        d_rgb = None if d_rgb is None else to_grey(d_rgb)
    if rng.random() < rates.invert_thermal:
        z_tir, x_tir = 255 - z_tir, 255 - x_tir
        d_tir = None if d_tir is None else 255 - d_tir
    z_rgb, x_rgb = (_relight(i, rng, 0.75, 1.25, 12) for i in (z_rgb, x_rgb))
    z_tir, x_tir = (_relight(i, rng, 0.75, 1.25, 12) for i in (z_tir, x_tir))
    z_rgb, x_rgb, z_tir, x_tir = _weaken_one(z_rgb, x_rgb, z_tir, x_tir, rates, rng)
    if rng.random() < rates.drop_modality:
        level = int(rng.integers(0, 256))
        if rng.random() < 0.5:
            x_rgb = np.full_like(x_rgb, level)
        else:
            x_tir = np.full_like(x_tir, level)
    z_rgb, x_rgb, z_tir, x_tir = (_soften(i, rates, rng) for i in (z_rgb, x_rgb, z_tir, x_tir))
    if d_rgb is not None and d_tir is not None:
        d_rgb, d_tir = (_soften(_relight(i, rng, 0.75, 1.25, 12), rates, rng) for i in (d_rgb, d_tir))
    degraded = replace(
        sample,
        template_rgb=z_rgb, template_tir=z_tir, search_rgb=x_rgb, search_tir=x_tir,
        dynamic_rgb=d_rgb, dynamic_tir=d_tir,
    )  # fmt: skip
    return _mirrored(degraded) if rng.random() < rates.mirror else degraded


def _weaken_one(
    z_rgb: np.ndarray,
    x_rgb: np.ndarray,
    z_tir: np.ndarray,
    x_tir: np.ndarray,
    rates: DegradationRates,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """At most one modality becomes hard to see; with both gone there would be nothing to learn."""
    dice = rng.random()
    both_frames = rng.random() < 0.5
    if dice < rates.dark_rgb:
        x_rgb = _relight(x_rgb, rng, 0.05, 0.4, 5)
        z_rgb = _relight(z_rgb, rng, 0.05, 0.5, 5) if both_frames else z_rgb
    elif dice < rates.dark_rgb + rates.flat_rgb:
        x_rgb = _flatten(x_rgb, rng)
        z_rgb = _flatten(z_rgb, rng) if both_frames else z_rgb
    elif dice < rates.dark_rgb + rates.flat_rgb + rates.flat_thermal:
        x_tir = _flatten(x_tir, rng)
        z_tir = _flatten(z_tir, rng) if both_frames else z_tir
    return z_rgb, x_rgb, z_tir, x_tir


def to_grey(image: np.ndarray) -> np.ndarray:
    """An RGB picture without its colour, still of three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _relight(
    image: np.ndarray, rng: np.random.Generator, low: float, high: float, shift: float
) -> np.ndarray:
    table = np.clip(np.arange(256) * rng.uniform(low, high) + rng.uniform(-shift, shift), 0, 255)
    return cv2.LUT(image, table.astype(np.uint8))


def _flatten(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    contrast, level = rng.uniform(0.05, 0.4), rng.uniform(40, 200)
    table = np.clip((np.arange(256) - float(image.mean())) * contrast + level, 0, 255)
    return cv2.LUT(image, table.astype(np.uint8))


def _soften(image: np.ndarray, rates: DegradationRates, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < rates.blur:
        if rng.random() < 0.3:  # motion
            length = int(rng.integers(2, 8))
            kernel = np.zeros((length, length), np.float32)
            np.fill_diagonal(kernel, 1 / length)
            if rng.random() < 0.5:
                kernel = np.ascontiguousarray(kernel[:, ::-1])
            image = cv2.filter2D(image, -1, kernel)
        else:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < rates.noise:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(1, 9))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image


def _mirrored(sample: TrackingSample) -> TrackingSample:
    x, y, w, h = sample.target
    flipped = {
        name: np.ascontiguousarray(getattr(sample, name)[:, ::-1])
        for name in CROPS
        if getattr(sample, name) is not None
    }
    return replace(sample, target=np.array([1 - x - w, y, w, h], np.float32), **flipped)
