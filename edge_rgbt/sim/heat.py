"""The 8-bit scale in which the thermal camera draws: steps of `STEP_K` from `ZERO_K`, relative to the air."""

from __future__ import annotations

import cv2
import numpy as np

STEP_K = 0.25
ZERO_K = -22.0


def to_steps(kelvin_above_air: np.ndarray) -> np.ndarray:
    """Rounds temperatures (float32 image) to uint8 steps; what is out of range stops at its ends."""
    return cv2.convertScaleAbs(np.maximum(kelvin_above_air, ZERO_K), alpha=1 / STEP_K, beta=-ZERO_K / STEP_K)


def step_values(kelvin_above_air: np.ndarray) -> np.ndarray:
    """Steps without rounding, kept between 1 and 255."""
    return np.clip((np.asarray(kelvin_above_air) - ZERO_K) / STEP_K, 1, 255)
