"""How high the ground is: the sources of section 8.3, their order, their sigmas."""

import math

import pytest
from flying import HOME, MS, PICTURE, SECOND, Vehicle, fix, seen_at

from edge_rgbt.geolocation import GeolocationSettings, NoPosition
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.geolocation.rotations import from_degrees
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.types import TargetPosition

NOW = 50 * SECOND
DOWN_45 = from_degrees(0, -45, 0)


def terrain(height_m: float, spacing: int = 100):
    return dialect.MAVLink_terrain_report_message(0, 0, spacing, 400.0, height_m, 0, 100)


def sonar(
    vehicle: Vehicle, distance_m: float, orientation: int = 25, quality: int = 0, longest_m: float = 200
):
    return dialect.MAVLink_distance_sensor_message(
        vehicle.boot_ms(NOW), 20, round(longest_m * 100), round(distance_m * 100), 0, 0, orientation, 0,
        0, 0, (0, 0, 0, 0), quality,
    )  # fmt: skip


def over_ground(settings: GeolocationSettings, *messages, attitude=(0.0, 0.0, 0.0)) -> Vehicle:
    """50 m above home, at 550 m above the sea, looking down by 45 degrees to the north."""
    vehicle = Vehicle(settings)
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, 50, attitude=attitude)
    vehicle.point(NOW, DOWN_45, 64)
    for message in messages:
        vehicle.say(message(vehicle) if callable(message) else message, NOW)
    return vehicle


def located(vehicle: Vehicle) -> TargetPosition:
    found = vehicle.locator.locate(seen_at(NOW), 1, *PICTURE)
    assert isinstance(found, TargetPosition), found
    return found


def distance_north(found: TargetPosition) -> float:
    return LocalFrame.at(*HOME).metres(found.latitude_deg, found.longitude_deg)[0]


def settings(**values) -> GeolocationSettings:
    return GeolocationSettings(hfov_deg=60, **values)


def check(vehicle: Vehicle, source: str, height_m: float, sigma_m: float) -> None:
    found = located(vehicle)
    assert vehicle.locator.height_source == source
    assert distance_north(found) == pytest.approx(height_m, abs=0.02)
    assert found.altitude_m == pytest.approx(550 - height_m, abs=0.02)
    assert found.vertical_m == pytest.approx(sigma_m)


def test_home_is_the_ground_where_nothing_else_is_told_sigma_5_m():
    check(over_ground(settings()), "home", 50, 5.0)


def test_the_autopilots_terrain_comes_before_home_sigma_3_m():
    check(over_ground(settings(), terrain(42)), "terrain", 42, 3.0)


def test_terrain_without_a_map_of_the_place_does_not_count():
    check(over_ground(settings(), terrain(42, spacing=0)), "home", 50, 5.0)


def test_terrain_follows_the_vehicle_that_climbs_since():
    vehicle = over_ground(settings(), terrain(42))
    vehicle.fly(NOW + SECOND, 53)
    vehicle.point(NOW + SECOND, DOWN_45, 64)
    found = vehicle.locator.locate(seen_at(NOW + SECOND), 1, *PICTURE)
    assert distance_north(found) == pytest.approx(45, abs=0.02)


def test_terrain_that_is_no_longer_told_does_not_count():
    vehicle = over_ground(settings())
    vehicle.telemetry.set_terrain(NOW - 100 * MS, 42.0)
    for k in range(1, 12):
        vehicle.fly(NOW + k * SECOND // 2, 50)
    vehicle.point(NOW + 6 * SECOND - SECOND // 2, DOWN_45, 64)
    vehicle.locator.locate(seen_at(NOW + 6 * SECOND - SECOND // 2), 1, *PICTURE)
    assert vehicle.locator.height_source == "home"


def test_the_rangefinder_is_corrected_for_tilt_sigma_half_a_metre_and_a_percent():
    vehicle = over_ground(settings(), lambda v: sonar(v, 40), attitude=(20, -10, 0))
    height = 40 * math.cos(math.radians(20)) * math.cos(math.radians(10))
    check(vehicle, "rangefinder", height, 0.5 + 0.01 * height)


def test_a_rangefinder_tilted_by_more_than_45_degrees_does_not_count():
    check(over_ground(settings(), lambda v: sonar(v, 40), attitude=(50, 0, 0)), "home", 50, 5.0)


@pytest.mark.parametrize(
    "told",
    [{"orientation": 0}, {"quality": 1}, {"longest_m": 40}],
    ids=["forward", "invalid", "out of reach"],
)
def test_a_rangefinder_that_does_not_measure_the_ground_does_not_count(told):
    check(over_ground(settings(), lambda v: sonar(v, 40, **told)), "home", 50, 5.0)


def test_a_fixed_height_of_the_target_sigma_10_m():
    only = settings(heights=("fixed",), target_altitude_m=520.0)
    check(over_ground(only), "fixed", 30, 10.0)


def test_the_configured_order_decides():
    order = settings(heights=("rangefinder", "terrain", "home"))
    vehicle = over_ground(order, terrain(42), lambda v: sonar(v, 40))
    check(vehicle, "rangefinder", 40, 0.9)
    vehicle = over_ground(settings(), terrain(42), lambda v: sonar(v, 40))
    check(vehicle, "terrain", 42, 3.0)


def test_heights_above_the_sea_are_as_uncertain_as_the_vehicles_own_altitude():
    """Home and terrain are told as heights below the vehicle: there an error of its altitude drops out."""

    def northern_variance(heights, vertical_m):
        vehicle = over_ground(settings(heights=heights, target_altitude_m=500.0, fixed_sigma_m=5.0))
        vehicle.say(fix(vertical_m=vertical_m), NOW)
        return located(vehicle).covariance_ne_m2[0]

    assert northern_variance(("fixed",), 4.0) - northern_variance(("fixed",), 1.0) == pytest.approx(15.0)
    assert northern_variance(("home",), 4.0) == pytest.approx(northern_variance(("home",), 1.0))


def test_the_targets_own_height_brings_the_place_nearer():
    """The middle of a box round a 1.8 m person is seen 0.9 m above the ground."""
    check(over_ground(settings(target_height_m=1.8)), "home", 49.1, 5.0)


def test_the_view_tells_what_the_middle_of_the_picture_shows():
    vehicle = over_ground(settings())
    view = vehicle.locator.view(NOW, *PICTURE)
    assert view.rotation == pytest.approx(DOWN_45, abs=1e-6)
    assert (view.hfov_deg, view.place.altitude_m) == pytest.approx((60, 550))
    latitude, longitude, altitude = view.ground
    assert LocalFrame.at(*HOME).metres(latitude, longitude) == pytest.approx((50, 0), abs=0.02)
    assert altitude == pytest.approx(500)
    vehicle.point(NOW, from_degrees(0, 10, 0), 64, seconds=0)
    assert vehicle.locator.view(NOW, *PICTURE).ground is None
    assert vehicle.locator.view(NOW + SECOND, *PICTURE) is NoPosition.NO_VEHICLE_POSITION
