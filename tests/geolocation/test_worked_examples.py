"""The table of section 8.4 and the covariance of 8.5, with all telemetry over MAVLink (acceptance 9)."""

import math

import pytest
from flying import HOME, PICTURE, SECOND, Vehicle, fix, on_the_wire, seen_at

from edge_rgbt.geolocation import GeolocationSettings, MountSettings
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.mavlink.camera.geo import geo_status
from edge_rgbt.types import TargetPosition

PITCH_45 = (0.9238795, 0.0, -0.3826834, 0.0)
PITCH_30_YAW_20 = (0.9512512, 0.0449435, -0.2548870, 0.1677313)
PITCH_60_YAW_225 = (-0.3314136, 0.4619398, 0.1913417, 0.8001031)
NOW = 50 * SECOND


def located(vehicle: Vehicle, fraction, side_px=40.0) -> TargetPosition:
    found = vehicle.locator.locate(seen_at(NOW, fraction, side_px), 1, *PICTURE)
    assert isinstance(found, TargetPosition), found
    return found


def check(found: TargetPosition, north, east, slant, lat_e7, lon_e7, ground_m=500.0):
    """The numbers of the table, in the message that goes out."""
    n, e = LocalFrame.at(*HOME).metres(found.latitude_deg, found.longitude_deg)
    assert (n, e, found.range_m) == pytest.approx((north, east, slant), abs=0.05)
    published = on_the_wire(geo_status(found, 1))
    assert (published.lat, published.lon) == pytest.approx((lat_e7, lon_e7), abs=2)
    assert published.dist == pytest.approx(slant, abs=0.05)
    assert published.alt == pytest.approx(ground_m, abs=0.01)
    assert math.isnan(published.vel_n)


def gimballed(height_m, heading_deg, q, flags) -> Vehicle:
    vehicle = Vehicle()
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, height_m, attitude=(0.0, 0.0, heading_deg))
    vehicle.point(NOW, q, flags)
    return vehicle


@pytest.mark.parametrize("flags", [32, 44, 60, 12], ids=["32", "44 servo mount", "60 at a ROI", "no frame"])
def test_example_a_yaw_in_the_vehicle_frame_flags_32_44_60(flags):
    found = located(gimballed(100, 0, PITCH_45, flags), (0.5, 0.5))
    check(found, 100.000, 0.000, 141.421, 473986415, 85455940)


@pytest.mark.parametrize("flags", [32, 44, 60])
def test_example_b_heading_is_added_in_the_vehicle_frame_flags_32_44_60(flags):
    found = located(gimballed(50, 90, PITCH_30_YAW_20, flags), (0.60, 0.40))
    check(found, -46.852, 90.684, 113.661, 473973206, 85467953)


@pytest.mark.parametrize("flags", [64, 64 + 12, 64 + 16, 16], ids=["64", "76", "80", "yaw lock alone"])
def test_example_c_yaw_in_the_earth_frame_leaves_the_heading_out_flag_64(flags):
    found = located(gimballed(80, 10, PITCH_60_YAW_225, flags), (0.25, 0.75))
    check(found, -38.702, -4.222, 88.970, 473973939, 85455381)


def test_example_d_fixed_mount_turns_with_the_vehicle():
    mount = MountSettings(kind="fixed", attitude_deg=(0, -60, 0))
    vehicle = Vehicle(mount=mount)
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, 60, attitude=(10, -5, 30))
    check(located(vehicle, (0.5, 0.5)), 29.703, 5.485, 67.174, 473980092, 85456667)


def test_the_covariance_of_example_b():
    """Pixel 3 px (5 % of a 60 px box), attitude 0.5, heading 2, height 1.5 m, position 1.5 m."""
    settings = GeolocationSettings(hfov_deg=60.0, home_sigma_m=1.5, capture_sigma_ms=0.0)
    vehicle = Vehicle(settings)
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, 50, attitude=(0, 0, 90))
    vehicle.point(NOW, PITCH_30_YAW_20, 32)
    found = located(vehicle, (0.60, 0.40), side_px=60)
    nn, ne, ee = found.covariance_ne_m2
    assert nn == pytest.approx(15.6, rel=0.01)
    assert ee == pytest.approx(16.8, rel=0.01)
    assert ne == pytest.approx(-0.8, abs=0.06)  # the table gives one digit
    published = on_the_wire(geo_status(found, 1))
    assert published.h_acc == pytest.approx(4.15, abs=0.02)
    assert published.v_acc == 1.5


@pytest.mark.parametrize(
    ("depression", "metres"), [(90, 0.9), (45, 1.7), (30, 3.5), (20, 7.5), (10, 28.9), (5, 115)]
)
def test_one_degree_of_tilt_costs_what_section_8_5_says(depression, metres):
    """h / sin^2 of the depression per radian, at 50 m."""
    mount = MountSettings(kind="fixed", attitude_deg=(0, -depression, 0), tilt_sigma_deg=1.0)
    settings = GeolocationSettings(
        hfov_deg=60.0, home_sigma_m=0.01, capture_sigma_ms=0.0, max_horizontal_sigma_m=1000
    )
    vehicle = Vehicle(settings, mount)
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, 50)
    vehicle.say(fix(horizontal_m=0.001), NOW)
    nn = located(vehicle, (0.5, 0.5), side_px=1).covariance_ne_m2[0]
    pixel = 2 / (640 / math.tan(math.radians(30))) * 50 / math.sin(math.radians(depression)) ** 2
    assert math.sqrt(nn - pixel**2) == pytest.approx(metres, rel=0.05)
