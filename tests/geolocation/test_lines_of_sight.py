"""Pixels to directions, metres to degrees, rotations: against independent ways to compute them."""

import math

import numpy as np
import pytest

from benchmarks.flight_telemetry import geodetic
from edge_rgbt.errors import UsageError
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.geolocation.intersection import Movement, Plane, Sight, Sigmas, largest_sigma
from edge_rgbt.geolocation.optics import Optics, OpticsBook
from edge_rgbt.geolocation.rotations import from_degrees, multiplied, rotated, turn_between
from edge_rgbt.register import Lens
from edge_rgbt.rig import RigCamera

STILL = Movement((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def test_the_middle_of_the_picture_is_the_optical_axis():
    optics = Optics.from_field_of_view(60, 1280, 720)
    assert optics.slopes(640, 360) == (0.0, 0.0)
    assert optics.slopes(1280, 360) == pytest.approx((math.tan(math.radians(30)), 0.0))
    assert optics.hfov_deg() == pytest.approx(60)


LENS = Lens((912.4, 911.8), (641.2, 508.9), (-0.281, 0.094, 0.0005, -0.0003, -0.012))


@pytest.mark.parametrize("pixel", [(641.7, 509.4), (20.5, 30.5), (1260.5, 1000.5), (900.5, 200.5)])
def test_distortion_is_undone_as_the_registration_does_it(pixel):
    """A box counts from the picture's corner, a lens from the centre of the first pixel."""
    optics = Optics.from_lens(LENS, 1280, 1024)
    (straight,) = LENS.undistorted(np.array([pixel]) - 0.5)
    expected = (straight - LENS.centre_px) / LENS.focal_px
    assert optics.slopes(*pixel) == pytest.approx(tuple(expected), abs=1e-5)


def test_a_distortion_without_an_inverse_gives_no_direction():
    optics = Optics.from_lens(Lens((300.0, 300.0), (320.0, 256.0), (-0.9, 0.0, 0.0, 0.0)), 640, 512)
    assert optics.slopes(320.5, 256.5) is not None
    assert optics.slopes(0, 0) is None


def test_the_calibration_serves_its_own_size_and_scaled_ones_if_the_camera_scales():
    camera = RigCamera("a camera", 1280, 1024, scales=True, lens=LENS)
    book = OpticsBook(camera)
    half = book.optics(640, 512)
    full = book.optics(1280, 1024)
    assert half.slopes(100, 50) == pytest.approx(full.slopes(200, 100), abs=1e-6)
    assert book.optics(640, 480) is None


def test_without_lens_and_field_of_view_there_is_no_geolocation():
    with pytest.raises(UsageError, match="hfov_deg"):
        OpticsBook(RigCamera("a camera", 1280, 1024))


@pytest.mark.parametrize("latitude", [-80.0, -33.0, 0.0, 47.397742, 70.0])
@pytest.mark.parametrize(("north", "east"), [(1000.0, 0.0), (0.0, -1000.0), (-700.0, 700.0)])
def test_metres_become_degrees_as_earth_centred_axes_say(latitude, north, east):
    exact = geodetic((latitude, 179.999), 0.0, east, north, 0.0)
    n, e = LocalFrame.at(latitude, 179.999).metres(*exact)
    limit = 0.1 if abs(latitude) < 60 else 0.5  # meridians converge
    assert (n, e) == pytest.approx((north, east), abs=limit)


def test_degrees_and_metres_are_each_others_inverse():
    frame = LocalFrame.at(47.4, -179.9999)
    place = frame.degrees(-350.0, -900.0)
    assert place[1] > 179.9
    assert frame.metres(*place) == pytest.approx((-350.0, -900.0), abs=1e-6)


def matrix(q) -> np.ndarray:
    return np.stack([rotated(q, axis) for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))], axis=1)


def test_euler_angles_turn_yaw_pitch_roll_in_that_order():
    roll, pitch, yaw = (from_degrees(10, 0, 0), from_degrees(0, -5, 0), from_degrees(0, 0, 30))
    assert from_degrees(10, -5, 30) == pytest.approx(multiplied(multiplied(yaw, pitch), roll))
    assert rotated(from_degrees(0, -90, 0), (1, 0, 0)) == pytest.approx((0, 0, 1), abs=1e-12)  # looks down
    assert rotated(from_degrees(0, 0, 90), (1, 0, 0)) == pytest.approx((0, 1, 0), abs=1e-12)  # to the right


def test_the_turn_between_two_attitudes_is_about_the_axes_of_the_earth():
    before = from_degrees(5, -30, 100)
    after = multiplied(from_degrees(0, 0, 2), before)
    assert turn_between(before, after) == pytest.approx((0, 0, math.radians(2)), abs=1e-9)


def test_the_covariance_is_what_random_errors_really_do():
    """The spread of 40 000 draws through the same intersection, on ground that rises to the east."""
    q, slope = from_degrees(0, -35, 60), 0.15
    focal, camera_height = 1000.0, 70.0
    sigmas = Sigmas(math.radians(0.3), math.radians(0.8), 1.0, 1.2, 0.0)
    pixel = 4.0

    def direction(u, v):
        v3 = np.array([1.0, u / focal, v / focal])
        return rotated(q, tuple(v3 / np.linalg.norm(v3)))

    flat = Sight(direction(0, 0), Plane(camera_height))
    d = np.array(flat.direction)
    drop = camera_height - slope * flat.east_m / (1 + slope * d[1] / d[2])
    line = Sight(flat.direction, Plane(drop, 0.0, slope))
    turns = ((direction(pixel, 0), direction(-pixel, 0)), (direction(0, pixel), direction(0, -pixel)))
    claimed = line.covariance(turns, sigmas, STILL)

    rng = np.random.default_rng(4)
    n = 40_000
    pixels = rng.normal(0, pixel, (n, 2)) / focal
    rays = np.column_stack([np.ones(n), pixels]) @ matrix(q).T
    turn = rng.normal(0, 1, (n, 3)) * (sigmas.tilt_rad, sigmas.tilt_rad, sigmas.heading_rad)
    rays = rays + np.cross(turn, rays)
    moved = rng.normal(0, sigmas.position_m, (n, 2))
    above = drop + rng.normal(0, sigmas.height_m, n) - slope * (moved[:, 1] - line.east_m)
    hits = moved + rays[:, :2] * (above / (rays[:, 2] + slope * rays[:, 1]))[:, None]
    (nn, ne), (_, ee) = np.cov(hits.T)
    assert claimed == pytest.approx((nn, ne, ee), rel=0.04, abs=0.15)


def test_the_long_axis_of_the_ellipse_is_what_is_published():
    angle, long, short = 0.7, 9.0, 4.0
    axis = np.array([math.cos(angle), math.sin(angle)])
    m = short * np.eye(2) + (long - short) * np.outer(axis, axis)
    assert largest_sigma((m[0, 0], m[0, 1], m[1, 1])) == pytest.approx(3.0)


def test_a_line_along_the_slope_is_uncertain_beyond_measure():
    direction = rotated(from_degrees(0, -10, 0), (1, 0, 0))
    line = Sight(direction, Plane(20.0, north_rise=-math.tan(math.radians(9.99))))
    sigmas = Sigmas(0.01, 0.01, 1.0, 1.0, 0.0)
    assert largest_sigma(line.covariance((), sigmas, STILL)) > 1000
