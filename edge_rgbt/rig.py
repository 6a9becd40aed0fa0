"""The calibration file: how two cameras are mounted and timed, measured once, read at every start.

JSON, written by `python -m calibration register` and `timing`, which replace their own sections and keep the
rest. Units stand in the keys. Unknown keys, missing ones and impossible values are refused.

    {
      "schema": 1,
      "made": "2026-03-01T09:30:00Z",
      "made_by": "python -m calibration register boards/",
      "rgb": {"camera": "imx477 A1B2", "width_px": 1280, "height_px": 1024, "scales": false,
              "lens": {"focal_px": [912.4, 911.8], "centre_px": [641.2, 508.9],
                       "distortion": [-0.281, 0.094, 0.0005, -0.0003, -0.012]}},
      "tir": {"camera": "boson 640 77231", "width_px": 640, "height_px": 512},
      "homography": {"matrix": [[2.01, 0.01, -31.5], [-0.01, 2.02, 12.7], [1e-6, 2e-6, 1.0]],
                     "nearest_m": 30, "farthest_m": 400, "error_px": 1.4},
      "mount": {"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "baseline_m": [0.05, 0.0, 0.0],
                "range_m": 60, "error_px": 0.9},
      "timing": {"tir_offset_ms": -37.0, "uncertainty_ms": 0.8, "tolerance_ms": 20}
    }

camera: model and serial number, for people. width_px, height_px: the pictures it was measured on. scales:
true if the camera gives the same view at other sizes of equal aspect, so that the calibration may be scaled.
lens: see `register.Lens`; needed by `mount` alone.
homography: thermal pixels -> RGB pixels of the pictures as the cameras give them, right for ranges from
nearest_m to farthest_m. mount: X_rgb = rotation X_tir + baseline_m, with x right, y down, z forward of each
camera; the baseline is where the RGB camera has the thermal one. It gives a homography for any range along
the RGB camera's axis; range_m is taken while none is known. Either, both or none may be there.
error_px: what the fit left.
timing: tir_offset_ms is added to thermal times and brings them to the RGB clock. patience_ms: how long an RGB
frame may wait for its partner, the tolerance if left out.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from edge_rgbt.errors import UsageError
from edge_rgbt.files import write_json_atomic
from edge_rgbt.register import Lens, Registration
from edge_rgbt.settings import build_settings

SCHEMA = 1
Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]

_LONGEST_BASELINE_M = 5.0
_LARGEST_OFFSET_MS = 60_000.0


@dataclass(frozen=True)
class RigCamera:
    """One camera and the pictures that the calibration was measured on."""

    camera: str
    width_px: int
    height_px: int
    scales: bool = False
    lens: Lens | None = None

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px) < 1:
            raise ValueError(f"size {self.width_px}x{self.height_px} is impossible, expected 1 px or more")
        if self.lens is not None and min(self.lens.focal_px) <= 0:
            raise ValueError(f"lens.focal_px is {list(self.lens.focal_px)}, expected more than 0")
        if self.lens is not None and len(self.lens.distortion) not in (0, 4, 5, 8):
            raise ValueError(
                f"lens.distortion has {len(self.lens.distortion)} numbers, expected 4, 5 or 8, or none"
            )

    @property
    def size(self) -> tuple[int, int]:
        return self.width_px, self.height_px

    def fits(self, size: tuple[int, int]) -> bool:
        """True if the calibration holds for pictures of this size, scaled if the camera scales."""
        width, height = size
        return size == self.size or (self.scales and width * self.height_px == height * self.width_px)

    def scaled(self, size: tuple[int, int]) -> RigCamera:
        lens = self.lens
        if lens is not None:
            scale = size[0] / self.width_px
            fx, fy = lens.focal_px
            cx, cy = (scale * (c + 0.5) - 0.5 for c in lens.centre_px)
            lens = dataclasses.replace(lens, focal_px=(fx * scale, fy * scale), centre_px=(cx, cy))
        return dataclasses.replace(self, width_px=size[0], height_px=size[1], lens=lens)


@dataclass(frozen=True)
class Homography:
    """A map that is right for a range of distances."""

    matrix: Matrix
    nearest_m: float
    farthest_m: float
    error_px: float

    def __post_init__(self) -> None:
        if not 0 < self.nearest_m <= self.farthest_m:
            raise ValueError(f"ranges {self.nearest_m:g} to {self.farthest_m:g} m are impossible")
        if self.error_px < 0:
            raise ValueError(f"error_px is {self.error_px:g}, expected 0 or more")


@dataclass(frozen=True)
class Mount:
    """How the thermal camera sits beside the RGB camera."""

    rotation: Matrix
    baseline_m: Row
    range_m: float
    error_px: float

    def __post_init__(self) -> None:
        rotation = np.array(self.rotation)
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
            raise ValueError("rotation is no rotation: its rows must be unit vectors at right angles")
        if math.hypot(*self.baseline_m) > _LONGEST_BASELINE_M:
            raise ValueError(
                f"baseline_m is {list(self.baseline_m)}, expected at most {_LONGEST_BASELINE_M:g} m; "
                "is it in millimetres?"
            )
        if self.range_m <= abs(self.baseline_m[2]) or self.error_px < 0:
            raise ValueError(
                f"range_m is {self.range_m:g} and error_px {self.error_px:g}, expected above 0, and 0 or more"
            )


@dataclass(frozen=True)
class Timing:
    """What the synchroniser needs to know about the two clocks."""

    tir_offset_ms: float
    uncertainty_ms: float
    tolerance_ms: float
    patience_ms: float | None = None

    def __post_init__(self) -> None:
        if abs(self.tir_offset_ms) > _LARGEST_OFFSET_MS:
            raise ValueError(
                f"tir_offset_ms is {self.tir_offset_ms:g}, expected {_LARGEST_OFFSET_MS:g} at most"
            )
        if self.uncertainty_ms < 0 or not 0 < self.tolerance_ms <= 1000:
            raise ValueError(
                f"uncertainty_ms is {self.uncertainty_ms:g} and tolerance_ms {self.tolerance_ms:g}, "
                "expected 0 or more and more than 0 up to 1000"
            )
        if self.patience_ms is not None and not 0 <= self.patience_ms <= 1000:
            raise ValueError(f"patience_ms is {self.patience_ms:g}, expected 0 to 1000")

    @property
    def tir_offset_ns(self) -> int:
        return round(self.tir_offset_ms * 1e6)


@dataclass(frozen=True)
class Rig:
    """What the calibration file says. The module describes its keys."""

    schema: int
    made: str
    made_by: str
    rgb: RigCamera
    tir: RigCamera
    homography: Homography | None = None
    mount: Mount | None = None
    timing: Timing | None = None

    def __post_init__(self) -> None:
        try:
            datetime.fromisoformat(self.made.replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(f"made is {self.made!r}, expected a time like 2026-03-01T09:30:00Z") from None
        for range_m in self._ranges_m():
            self.registration(range_m)

    @classmethod
    def read(cls, path: Path | str) -> Rig:
        """The file's rig. Raises UsageError, with one line per fault that names file, key and value."""
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
        except OSError as error:
            raise UsageError(
                f"{path}: calibration cannot be read ({error.strerror}); "
                "make one with `python -m calibration register`"
            ) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}: calibration is not valid JSON: {error}") from error
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            found = values.get("schema") if isinstance(values, dict) else None
            raise UsageError(
                f"{path}: schema is {found!r}, expected {SCHEMA}; "
                "use the calibration and the service of the same release"
            )
        return build_settings(cls, values, str(path))

    def write(self, path: Path | str) -> None:
        """Writes the file as a whole or not at all."""
        write_json_atomic(path, _without_nulls(dataclasses.asdict(self)))

    def for_sizes(self, rgb_size: tuple[int, int], tir_size: tuple[int, int]) -> Rig:
        """The rig for pictures (width, height) of these sizes.

        Raises UsageError if it was measured for others and may not be scaled.
        """
        if not (self.rgb.fits(rgb_size) and self.tir.fits(tir_size)):
            raise UsageError(
                f"the calibration is for RGB {_text(self.rgb.size)} and thermal {_text(self.tir.size)}, the "
                f"cameras deliver RGB {_text(rgb_size)} and thermal {_text(tir_size)}; calibrate for these"
            )
        homography = self.homography
        if homography is not None:
            scale_rgb, scale_tir = _scaling(self.rgb.size, rgb_size), _scaling(self.tir.size, tir_size)
            matrix = scale_rgb @ np.array(homography.matrix) @ np.linalg.inv(scale_tir)
            rows = tuple(tuple(float(v) for v in row) for row in matrix)
            homography = dataclasses.replace(homography, matrix=rows)  # type: ignore[arg-type]
        rgb, tir = self.rgb.scaled(rgb_size), self.tir.scaled(tir_size)
        return dataclasses.replace(self, rgb=rgb, tir=tir, homography=homography)

    def registration(self, range_m: float | None = None) -> Registration:
        """The map for targets at this distance, None while it is unknown.

        With lenses that distort this makes a table of the RGB picture's size: for a range, not for a frame.
        Raises UsageError if the file holds no map.
        """
        if self.mount is not None and (range_m is not None or self.homography is None):
            matrix = self._matrix_at(self.mount.range_m if range_m is None else range_m)
            return Registration(matrix, self.rgb.size, self.tir.size, self._lenses())
        if self.homography is not None:
            return Registration(np.array(self.homography.matrix), self.rgb.size, self.tir.size)
        raise UsageError(
            "the calibration holds no registration; measure one with `python -m calibration register`"
        )

    def shift_px(self, from_m: float, to_m: float) -> float:
        """How far the middle of the thermal picture moves in the RGB picture between two ranges."""
        if self.mount is None:
            return 0.0
        middle = np.array([(self.tir.width_px - 1) / 2, (self.tir.height_px - 1) / 2, 1.0])
        one, other = (self._matrix_at(range_m) @ middle for range_m in (from_m, to_m))
        return float(np.hypot(*(one[:2] / one[2] - other[:2] / other[2])))

    def _ranges_m(self) -> list[float | None]:
        """Ranges that between them use every map of the file."""
        ranges: list[float | None] = [] if self.homography is None else [None]
        return ranges if self.mount is None else [*ranges, self.mount.range_m]

    def _matrix_at(self, range_m: float) -> np.ndarray:
        """Thermal -> RGB pixels without distortion, for a plane across the RGB camera's axis."""
        assert self.mount is not None
        rgb_lens, tir_lens = self._lenses()
        if not range_m > abs(self.mount.baseline_m[2]):
            raise UsageError(
                f"no registration is possible for {range_m:g} m; give a range before the cameras"
            )
        turn, baseline = np.array(self.mount.rotation), np.array(self.mount.baseline_m)
        to_tir_axes = turn.T @ (np.eye(3) - np.outer(baseline, [0.0, 0.0, 1.0 / range_m]))
        return np.linalg.inv(tir_lens.matrix @ to_tir_axes @ np.linalg.inv(rgb_lens.matrix))

    def _lenses(self) -> tuple[Lens, Lens]:
        rgb, tir = self.rgb.lens, self.tir.lens
        if rgb is None or tir is None:
            raise ValueError("mount needs the lens of both cameras; rgb.lens or tir.lens is missing")
        return rgb, tir


class RangeFollower:
    """The registration for a range that changes in flight, made anew only where that moves pixels visibly."""

    def __init__(self, rig: Rig, limit_px: float = 0.5) -> None:
        self._rig = rig
        self._limit_px = limit_px
        self._range_m: float | None = None
        self._registration = rig.registration()

    def registration(self, range_m: float | None) -> Registration:
        """range_m: None while it is unknown; what was used last stays."""
        if range_m is None or self._rig.mount is None:
            return self._registration
        if self._range_m is None or self._rig.shift_px(self._range_m, range_m) > self._limit_px:
            self._registration = self._rig.registration(range_m)
            self._range_m = range_m
        return self._registration


def _scaling(size: tuple[int, int], to: tuple[int, int]) -> np.ndarray:
    """3x3 between pixels of the same view at two sizes, centres at whole numbers."""
    sx, sy = to[0] / size[0], to[1] / size[1]
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1.0]])


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)!r} stands twice in one table")
    return values


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
