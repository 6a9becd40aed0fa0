"""From the network's maps to the box they show, in the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_rgbt.engine.base import EngineInfo
from edge_rgbt.errors import EngineError
from edge_rgbt.imageops import CropGeometry, Peak, decode_peak, hann_window, picture_box, shape_prior
from edge_rgbt.manifest import Manifest
from edge_rgbt.types import Box

RIVAL_CELLS = 2


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one search crop shows: xywh in picture pixels, not clipped; scores before window and prior, 0..1.

    score: the map's maximum, wherever it lies. cell_score: in the cell that the box was read from.
    rival_score: the highest more than `RIVAL_CELLS` away from that cell.
    """

    xywh: tuple[float, float, float, float]
    score: float
    cell_score: float
    rival_score: float


class MapReader:
    """Reads the maps as the bundle's settings say; keeps the last score map."""

    def __init__(self, manifest: Manifest) -> None:
        self._settings = manifest.tracker
        self._window = hann_window(manifest.map_size)
        self.score_map: np.ndarray | None = None

    def read(
        self, maps: Mapping[str, np.ndarray], geometry: CropGeometry, last: Box, searching: bool = False
    ) -> Sighting:
        """The most likely box; searching: anywhere in the crop alike, else rather in its middle.

        last: the box whose size is compared with.
        """
        settings = self._settings
        score, size, offset = maps["score"][0, 0], maps["size"][0], maps["offset"][0]
        prior = None
        if settings.shape_penalty:
            prior = shape_prior(size, last.w / geometry.side, last.h / geometry.side, settings.shape_penalty)
        weight = 0.0 if searching else settings.window_weight
        peak = decode_peak(score, size, offset, self._window, weight, prior)
        x, y, w, h = picture_box(peak, geometry)
        kept = settings.size_smoothing
        if kept:
            cx, cy = x + 0.5 * w, y + 0.5 * h
            w, h = (1.0 - kept) * w + kept * last.w, (1.0 - kept) * h + kept * last.h
            x, y = cx - 0.5 * w, cy - 0.5 * h
        self.score_map = score.copy()  # an engine may reuse its output memory
        cell_score = _unit(float(score[peak.row, peak.col]))
        return Sighting((x, y, w, h), _unit(peak.score), cell_score, _rival(score, peak))


def require_finite(maps: Mapping[str, np.ndarray], info: EngineInfo, timestamp_ns: int) -> None:
    """Raises EngineError if a map holds NaN or infinity."""
    for name in ("score", "size", "offset"):
        flat = maps[name].ravel()
        if not math.isfinite(flat.dot(flat)):  # one call; a square that overflows is no map either
            raise EngineError(
                f"engine {info.engine} ({info.precision}, {info.device}) returned numbers that are not "
                f"finite in '{name}' for the pair at {timestamp_ns} ns; check the bundle"
            )


def resized(xywh: tuple[float, float, float, float], w: float, h: float) -> tuple[float, float, float, float]:
    """The same middle with another size."""
    x, y, old_w, old_h = xywh
    return x + 0.5 * (old_w - w), y + 0.5 * (old_h - h), w, h


def _rival(score: np.ndarray, peak: Peak) -> float:
    """The highest score outside the square of cells around the peak."""
    top, left = max(0, peak.row - RIVAL_CELLS), max(0, peak.col - RIVAL_CELLS)
    beside = score.copy()
    beside[top : peak.row + RIVAL_CELLS + 1, left : peak.col + RIVAL_CELLS + 1] = 0.0
    return _unit(float(beside.max()))


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
