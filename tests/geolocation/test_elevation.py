"""Ground heights from raster files: hills, holes, projections, and the thread that reads them."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
from flying import HOME, PICTURE, SECOND, Vehicle, seen_at

from edge_rgbt.errors import UsageError
from edge_rgbt.geolocation import GeolocationSettings, MountSettings, NoPosition, Telemetry
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.geolocation.elevation import ElevationFile, read_patch
from edge_rgbt.geolocation.locator import Geolocator
from edge_rgbt.geolocation.rotations import from_degrees
from edge_rgbt.types import TargetPosition

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterio's own
rasterio = pytest.importorskip("rasterio", reason="needs rasterio (pip install 'edge-rgbt[terrain]')")
NOW = 50 * SECOND
FRAME = LocalFrame.at(*HOME)


def write_raster(path: Path, height, side_m: float = 1500.0, cell_m: float = 10.0, crs="EPSG:4326") -> Path:
    """A GeoTIFF round home; height: of metres north and east, as arrays."""
    from rasterio.transform import from_bounds
    from rasterio.warp import transform

    count = round(2 * side_m / cell_m)
    if crs == "EPSG:4326":
        south, west = FRAME.degrees(-side_m, -side_m)
        north, east = FRAME.degrees(side_m, side_m)
    else:
        (x,), (y,) = transform("EPSG:4326", crs, [HOME[1]], [HOME[0]])
        west, south, east, north = x - side_m, y - side_m, x + side_m, y + side_m
    placed = from_bounds(west, south, east, north, count, count)
    columns, rows = np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5)
    x, y = placed.c + placed.a * columns, placed.f + placed.e * rows
    if crs != "EPSG:4326":
        flat = transform(crs, "EPSG:4326", x.ravel().tolist(), y.ravel().tolist())
        x, y = (np.array(v).reshape(x.shape) for v in flat)
    northing = (y - HOME[0]) * FRAME.north_m_per_deg
    easting = (x - HOME[1]) * FRAME.east_m_per_deg
    band = height(northing, easting).astype(np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", width=count, height=count, count=1, dtype="float32", crs=crs,
        transform=placed, nodata=-9999.0,
    ) as file:  # fmt: skip
        file.write(np.nan_to_num(band, nan=-9999.0), 1)
    return path


def slope(north, east):
    return 500 + 0.1 * north - 0.05 * east


def hill(north, east):
    """A ridge 60 m high, 300 m to the north."""
    return 500 + 60 * np.exp(-(((north - 300) / 60) ** 2))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32632"], ids=["degrees", "UTM"])
def test_heights_are_found_in_any_projection(tmp_path, crs):
    path = write_raster(tmp_path / "slope.tif", slope, crs=crs)
    patch = read_patch(path, *HOME, 800.0)
    north, east = np.array([0.0, 400.0, -600.0]), np.array([0.0, -300.0, 500.0])
    assert patch.heights(north, east) == pytest.approx(slope(north, east), abs=0.6)


def test_a_slope_is_met_where_the_line_of_sight_crosses_it(tmp_path):
    patch = read_patch(write_raster(tmp_path / "slope.tif", slope), *HOME, 800.0)
    d = math.sqrt(0.5)
    hit = patch.meet((0.0, 0.0, 600.0), (d, 0.0, d), 1000.0)
    # 600 - n = 500 + 0.1 n
    assert hit.altitude_m == pytest.approx(600 - 100 / 1.1, abs=0.3)
    assert (hit.north_rise, hit.east_rise) == pytest.approx((0.1, -0.05), abs=0.01)


def test_the_near_side_of_a_hill_is_met_not_the_plain_behind_it(tmp_path):
    patch = read_patch(write_raster(tmp_path / "hill.tif", hill), *HOME, 800.0)
    angle = math.radians(8)
    hit = patch.meet((0.0, 0.0, 580.0), (math.cos(angle), 0.0, math.sin(angle)), 1000.0)
    north = (580 - hit.altitude_m) / math.tan(angle)
    assert hit.altitude_m == pytest.approx(float(hill(north, 0.0)), abs=0.5)
    assert 200 < north < 300


def test_a_line_above_all_summits_meets_nothing(tmp_path):
    patch = read_patch(write_raster(tmp_path / "hill.tif", hill), *HOME, 800.0)
    angle = math.radians(4)
    direction = (math.cos(angle), 0.0, math.sin(angle))
    assert patch.meet((0.0, 0.0, 700.0), direction, 600.0) is NoPosition.MISSES_GROUND


def test_what_lies_beyond_the_range_is_not_asked(tmp_path):
    """The raster ends 100 m behind the range; a coarse march must not stumble over that."""
    path = write_raster(tmp_path / "falling.tif", lambda n, e: 500 - 0.2 * n, side_m=700, cell_m=30.0)
    patch = read_patch(path, *HOME, 1500.0)
    angle = math.radians(5)
    direction = (math.cos(angle), 0.0, math.sin(angle))
    assert patch.meet((0.0, 0.0, 560.0), direction, 600.0) is NoPosition.MISSES_GROUND
    assert patch.meet((0.0, 0.0, 560.0), direction, 900.0) is None


def test_ground_that_the_raster_does_not_know_is_not_guessed(tmp_path):
    def with_hole(north, east):
        return np.where(north > 50, np.nan, 500.0)

    patch = read_patch(write_raster(tmp_path / "hole.tif", with_hole), *HOME, 800.0)
    d = math.sqrt(0.5)
    assert patch.meet((0.0, 0.0, 600.0), (d, 0.0, d), 1000.0) is None
    assert patch.meet((-200.0, 0.0, 600.0), (d, 0.0, d), 1000.0).altitude_m == pytest.approx(500)


def test_a_fine_raster_is_read_in_bounded_size(tmp_path):
    path = write_raster(tmp_path / "fine.tif", slope, side_m=1200, cell_m=2.0)
    patch = read_patch(path, *HOME, 5000.0)
    assert patch._heights.shape[0] <= 2048


def loaded(elevation: ElevationFile, place=HOME):
    """The patch, once the thread has read it."""
    for _ in range(500):
        patch = elevation.around(*place)
        if patch is not None:
            return patch
        time.sleep(0.01)
    raise AssertionError("no patch was read within 5 s")


def test_asking_does_not_wait_and_the_next_patch_comes_as_the_vehicle_flies_on(tmp_path):
    elevation = ElevationFile(write_raster(tmp_path / "slope.tif", slope), 200.0)
    try:
        assert elevation.around(*HOME) is None
        first = loaded(elevation)
        there = FRAME.degrees(250.0, 0.0)
        assert elevation.around(*there) is first  # still covered, and the next one asked for
        for _ in range(500):
            if elevation.around(*there) is not first:
                break
            time.sleep(0.01)
        assert elevation.around(*there).frame.latitude_deg == there[0]
    finally:
        elevation.close()


def over_file(path: Path, height_m: float = 80.0, pitch_deg: float = -45.0) -> Vehicle:
    settings = GeolocationSettings(hfov_deg=60, elevation_file=Path(path.name), max_range_m=500)
    vehicle = Vehicle(settings, base=path.parent)
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, height_m)
    vehicle.point(NOW, from_degrees(0, pitch_deg, 0), 64)
    loaded(vehicle.locator._ground._file)
    return vehicle


def test_targets_are_located_on_the_slope_sigma_3_m(tmp_path):
    vehicle = over_file(write_raster(tmp_path / "slope.tif", slope))
    found = vehicle.locator.locate(seen_at(NOW), 1, *PICTURE)
    vehicle.locator.close()
    assert isinstance(found, TargetPosition), found
    assert vehicle.locator.height_source == "elevation"
    north, east = FRAME.metres(found.latitude_deg, found.longitude_deg)
    assert (north, east) == pytest.approx((80 / 1.1, 0), abs=0.5)
    assert found.altitude_m == pytest.approx(slope(north, east), abs=0.3)
    assert found.vertical_m == 3.0


def test_a_target_beyond_the_terrain_in_range_has_no_position(tmp_path):
    vehicle = over_file(write_raster(tmp_path / "slope.tif", lambda n, e: 500 - 0.2 * n), pitch_deg=-10)
    assert vehicle.locator.locate(seen_at(NOW), 1, *PICTURE) is NoPosition.MISSES_GROUND
    vehicle.locator.close()


def test_where_the_file_ends_the_next_source_takes_over(tmp_path):
    vehicle = over_file(write_raster(tmp_path / "small.tif", slope, side_m=60))
    assert isinstance(vehicle.locator.locate(seen_at(NOW), 1, *PICTURE), TargetPosition)
    vehicle.locator.close()
    assert vehicle.locator.height_source == "home"


def test_a_file_that_breaks_in_flight_is_logged_once_and_the_next_source_takes_over(tmp_path, caplog):
    path = write_raster(tmp_path / "slope.tif", slope)
    settings = GeolocationSettings(hfov_deg=60, elevation_file=path)
    vehicle = Vehicle(settings)
    path.write_bytes(path.read_bytes()[:2000])
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, 80)
    vehicle.point(NOW, from_degrees(0, -45, 0), 64)
    vehicle.locator.locate(seen_at(NOW), 1, *PICTURE)
    for _ in range(500):
        if caplog.records:
            break
        time.sleep(0.01)
    vehicle.locator.locate(seen_at(NOW), 1, *PICTURE)
    vehicle.locator.close()
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "slope.tif" in caplog.text
    assert vehicle.locator.height_source == "home"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_files_that_are_no_elevation_are_refused_with_one_line(tmp_path):
    missing, text, pictures = tmp_path / "no.tif", tmp_path / "text.tif", tmp_path / "unplaced.tif"
    text.write_text("no raster")
    with rasterio.open(pictures, "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8") as file:
        file.write(np.zeros((4, 4), np.uint8), 1)
    for path, words in ((missing, "no such"), (text, "not an elevation"), (pictures, "where on earth")):
        settings = GeolocationSettings(hfov_deg=60, elevation_file=path)
        with pytest.raises(UsageError, match=words) as error:
            Geolocator(Telemetry(), settings, MountSettings())
        assert "\n" not in str(error.value)
