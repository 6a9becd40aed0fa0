"""Seeded randomness: independent generators by name, and periodic noise that tiles without a seam."""

from __future__ import annotations

import math
import zlib

import cv2
import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that depends on seed and names only, so parts of the world do not disturb each other."""
    keys = [zlib.crc32(str(name).encode()) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed & 0xFFFFFFFF, *keys])))


def frame_generator(seed: int, name: str, t_ns: int) -> np.random.Generator:
    """The generator of one frame's noise: a pure function of the seed and the time of capture."""
    return generator(seed, name, t_ns)


def _upsample_periodic(grid: np.ndarray, size: int) -> np.ndarray:
    """Resizes a periodic grid to `size` pixels a side; the result still tiles."""
    cells = grid.shape[0]
    pad = 2
    factor = size // cells
    wide = np.pad(grid, pad, mode="wrap")
    big = cv2.resize(wide, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return big[pad * factor : pad * factor + size, pad * factor : pad * factor + size]


def fractal_noise(
    rng: np.random.Generator, size: int, coarsest: int, octaves: int, gain: float = 0.55
) -> np.ndarray:
    """Periodic multi-octave noise, float32 `[size, size]`, mean about 0 and standard deviation 1.

    coarsest: cells a side of the first octave; every octave doubles it. size must be coarsest * 2**k.
    """
    cells = coarsest
    total = rng.standard_normal((cells, cells)).astype(np.float32)
    amplitude = 1.0
    for _ in range(octaves - 1):
        if cells * 2 > size:
            break
        cells *= 2
        amplitude *= gain
        total = _upsample_periodic(total, cells)
        total = total + amplitude * rng.standard_normal((cells, cells)).astype(np.float32)
    if cells < size:
        total = _upsample_periodic(total, size)
    total -= total.mean()
    total /= max(float(total.std()), 1e-6)
    return np.ascontiguousarray(total)


class SmoothSignal:
    """A smooth random function of time: a sum of a few sines, zero mean, about unit standard deviation."""

    def __init__(self, rng: np.random.Generator, slowest_s: float, fastest_s: float, terms: int = 5) -> None:
        periods = np.exp(np.linspace(np.log(slowest_s), np.log(fastest_s), terms))
        omega = 2 * np.pi / (periods * rng.uniform(0.85, 1.15, terms))
        phase = rng.uniform(0, 2 * np.pi, terms)
        amplitude = (periods / periods.max()) ** 0.5
        amplitude /= np.sqrt((amplitude**2).sum() / 2)
        # plain floats: so few terms are summed several times faster without numpy
        self._terms = list(zip(amplitude.tolist(), omega.tolist(), phase.tolist(), strict=True))

    def __call__(self, t_s: float) -> float:
        return sum(a * math.sin(omega * t_s + phase) for a, omega, phase in self._terms)
