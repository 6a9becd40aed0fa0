"""Ground heights from a raster file, read through rasterio by a thread of its own.

The frame loop never waits for the file: it asks a patch of heights in memory, and where the vehicle leaves
it says so and gets the next one a little later.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.geolocation.refusals import NoPosition
from edge_rgbt.geolocation.rotations import Vector

_MOST_CELLS = 2048  # a side; finer rasters are read coarser
_MOST_STEPS = 4000
_STEPS_AT_ONCE = 128
_BISECTIONS = 14  # a step of 15 m comes down to a millimetre
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GroundHit:
    """Where a line of sight meets the terrain: height above mean sea level, rise per metre north and east."""

    altitude_m: float
    north_rise: float
    east_rise: float


class Patch:
    """A grid of heights about a place, in metres north and east of it.

    heights: `[rows, columns]` in metres, rows from south to north; NaN where nothing is known. low: north and
    east of the first cell's centre; step: between centres.
    """

    def __init__(
        self, frame: LocalFrame, heights: np.ndarray, low: tuple[float, float], step: tuple[float, float]
    ) -> None:
        self.frame = frame
        self._heights = heights
        self._low, self._step = low, step
        self._highest = float(np.nanmax(heights)) if np.isfinite(heights).any() else math.nan

    def heights(self, north_m: np.ndarray, east_m: np.ndarray) -> np.ndarray:
        """Bilinear heights at places; NaN outside the patch."""
        rows, columns = self._heights.shape
        row = (north_m - self._low[0]) / self._step[0]
        column = (east_m - self._low[1]) / self._step[1]
        inside = (row >= 0) & (row <= rows - 1) & (column >= 0) & (column <= columns - 1)
        r = np.minimum(np.maximum(row, 0), rows - 2).astype(np.intp)
        c = np.minimum(np.maximum(column, 0), columns - 2).astype(np.intp)
        y, x = row - r, column - c
        grid = self._heights
        south = grid[r, c] * (1 - x) + grid[r, c + 1] * x
        north = grid[r + 1, c] * (1 - x) + grid[r + 1, c + 1] * x
        return np.where(inside, south * (1 - y) + north * y, np.nan)

    def meet(
        self, camera: tuple[float, float, float], direction: Vector, farthest_m: float
    ) -> GroundHit | NoPosition | None:
        """Marches along a line of sight, half a cell at a time, then bisects.

        camera: north, east of the patch's frame, height above mean sea level. MISSES_GROUND if the line stays
        above the ground up to `farthest_m`; None where the patch does not know the ground.
        """
        north, east, altitude = camera
        horizontal = math.hypot(direction[0], direction[1])
        step = max(min(self._step) / 2 / max(horizontal, 0.05), farthest_m / _MOST_STEPS)
        near = 0.0
        if direction[2] > 0 and altitude > self._highest:  # nothing is met above the highest summit
            near = (altitude - self._highest) / direction[2]
        while near < farthest_m:
            count = min(_STEPS_AT_ONCE, math.ceil((farthest_m - near) / step) + 1)
            reach = near + step * np.arange(count)
            ground = self.heights(north + reach * direction[0], east + reach * direction[1])
            above = altitude - reach * direction[2] - ground
            blocked = np.flatnonzero(~(above > 0))  # below the ground, or nothing known
            if len(blocked):
                first = int(blocked[0])
                if math.isnan(above[first]) or reach[first] == 0.0:
                    return None
                return self._refined(camera, direction, float(reach[first]) - step, float(reach[first]))
            near = float(reach[-1]) + step
        return NoPosition.MISSES_GROUND

    def _refined(
        self, camera: tuple[float, float, float], direction: Vector, near: float, far: float
    ) -> GroundHit:
        north, east, altitude = camera
        for _ in range(_BISECTIONS):
            middle = (near + far) / 2
            if altitude - middle * direction[2] > self._height(
                north + middle * direction[0], east + middle * direction[1]
            ):
                near = middle
            else:
                far = middle
        n, e = north + far * direction[0], east + far * direction[1]
        dn, de = self._step
        return GroundHit(
            self._height(n, e),
            self._rise(self._height(n - dn / 2, e), self._height(n + dn / 2, e), dn),
            self._rise(self._height(n, e - de / 2), self._height(n, e + de / 2), de),
        )

    @staticmethod
    def _rise(before: float, after: float, step: float) -> float:
        rise = (after - before) / step
        return 0.0 if math.isnan(rise) else rise

    def _height(self, north_m: float, east_m: float) -> float:
        rows, columns = self._heights.shape
        row = (north_m - self._low[0]) / self._step[0]
        column = (east_m - self._low[1]) / self._step[1]
        if not (0 <= row <= rows - 1 and 0 <= column <= columns - 1):
            return math.nan
        r, c = min(int(row), rows - 2), min(int(column), columns - 2)
        y, x = row - r, column - c
        (a, b), (d, e) = self._heights[r : r + 2, c : c + 2].tolist()
        return (a * (1 - x) + b * x) * (1 - y) + (d * (1 - x) + e * x) * y


class ElevationFile:
    """The patch of a raster file about the vehicle. Any raster that GDAL reads, in any projection.

    reach_m: how far from the vehicle heights are wanted. Raises UsageError if the file is no such raster.
    """

    def __init__(self, path: Path, reach_m: float) -> None:
        self.path = path
        self._side_m = 2 * reach_m  # half a patch: the vehicle may go `reach_m` before the next one is read
        self._reach_m = reach_m
        self._patch: Patch | None = None
        self._wanted: tuple[float, float] | None = None
        self._wake = threading.Condition()
        self._closed = False
        with _opened(path) as raster:
            _require_heights(raster, path)
        self._reader = threading.Thread(target=self._read_patches, name="elevation", daemon=True)
        self._reader.start()

    def around(self, latitude_deg: float, longitude_deg: float) -> Patch | None:
        """The heights in memory, None while there are none for this place. Does not wait."""
        patch = self._patch
        if patch is not None:
            away = math.hypot(*patch.frame.metres(latitude_deg, longitude_deg))
            if away > self._reach_m / 2:
                self._want(latitude_deg, longitude_deg)
            return patch if away <= self._side_m else None
        self._want(latitude_deg, longitude_deg)
        return None

    def close(self) -> None:
        """Stops the reading thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._reader.join()

    def _want(self, latitude_deg: float, longitude_deg: float) -> None:
        with self._wake:
            if self._wanted is None:
                self._wanted = (latitude_deg, longitude_deg)
                self._wake.notify()

    def _read_patches(self) -> None:
        failed = False
        while True:
            with self._wake:
                while self._wanted is None and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                assert self._wanted is not None
                place = self._wanted
            try:
                self._patch, failed = read_patch(self.path, *place, self._side_m), False
            except Exception as error:  # whatever the file holds, the next source of heights takes over
                if not failed:
                    _log.warning("ground heights are not read any more: %s", error)
                failed = True
            with self._wake:
                if failed:  # not again with the next picture
                    self._wake.wait_for(lambda: self._closed, timeout=1.0)
                self._wanted = None


def read_patch(path: Path, latitude_deg: float, longitude_deg: float, side_m: float) -> Patch:
    """Heights up to `side_m` from a place, resampled to metres north and east. Raises EdgeRgbtError."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.transform import from_bounds
    from rasterio.warp import reproject

    frame = LocalFrame.at(latitude_deg, longitude_deg)
    half_lat, half_lon = side_m / frame.north_m_per_deg, side_m / frame.east_m_per_deg
    bounds = (
        longitude_deg - half_lon, latitude_deg - half_lat, longitude_deg + half_lon, latitude_deg + half_lat
    )  # fmt: skip
    with _opened(path) as raster:
        cells = min(max(math.ceil(2 * side_m / _cell_m(raster, frame)), 4), _MOST_CELLS)
        heights = np.full((cells, cells), np.nan, np.float32)
        try:
            reproject(
                rasterio.band(raster, 1), heights, dst_transform=from_bounds(*bounds, cells, cells),
                dst_crs="EPSG:4326", dst_nodata=np.nan, resampling=Resampling.bilinear,
            )  # fmt: skip
        except (RasterioError, OSError) as error:
            raise EdgeRgbtError(f"{path}: heights cannot be read ({error}); copy the file anew") from error
    step = 2 * side_m / cells
    low = -side_m + step / 2
    return Patch(frame, heights[::-1].astype(np.float64), (low, low), (step, step))


def _cell_m(raster: Any, frame: LocalFrame) -> float:
    """The raster's own resolution at a place."""
    x, y = (abs(v) for v in raster.res)
    if raster.crs.is_geographic:
        return min(x * frame.east_m_per_deg, y * frame.north_m_per_deg)
    return min(x, y) * float(raster.crs.linear_units_factor[1])


def _opened(path: Path) -> Any:
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError as missing:
        raise UsageError(
            "an elevation file needs rasterio, which is not installed: pip install 'edge-rgbt[terrain]'"
        ) from missing
    try:
        return rasterio.open(path)
    except (RasterioError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else "unreadable"
        raise UsageError(
            f"{path}: not an elevation raster ({reason}); give a GeoTIFF or another GDAL raster"
        ) from error


def _require_heights(raster: Any, path: Path) -> None:
    if raster.crs is None:
        raise UsageError(f"{path}: the raster does not say where on earth it is; give one with a projection")
    if raster.count < 1 or np.dtype(raster.dtypes[0]).kind not in "iuf":
        raise UsageError(f"{path}: band 1 holds {raster.dtypes[0]}, expected heights in metres")
