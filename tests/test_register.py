"""Thermal pictures come into the RGB picture's geometry, or the mistake is named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from worlds import square_pair

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.register import Lens, Registration
from edge_rgbt.types import ABSENT, Box, Frame, FramePair, Modality, Usable


def _pair(rgb_size=(320, 256), tir_size=(160, 128)) -> FramePair:
    tir = np.zeros((tir_size[1], tir_size[0]), np.uint8)
    tir[40:60, 30:50] = 200
    rgb = np.zeros((rgb_size[1], rgb_size[0], 3), np.uint8)
    return FramePair(Frame(rgb, Modality.RGB, 1, 2), Frame(tir, Modality.TIR, 3, 4))


def _centre(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(image > 100)
    return columns.mean(), rows.mean()


def test_identity_passes_the_picture_on_without_a_copy():
    pair = square_pair(0, Box(10, 10, 5, 5))
    raw = FramePair(pair.rgb, pair.tir)
    aligned = Registration.identity((320, 256)).apply(raw)
    assert aligned.aligned
    assert aligned.tir.image is raw.tir.image


def test_point_lands_where_the_matrix_says():
    matrix = np.array([[2.1, 0.1, 7.0], [-0.05, 1.9, -4.0], [1e-4, 5e-5, 1.0]])
    aligned = Registration(matrix, (320, 256)).apply(_pair())
    x, y, w = matrix @ np.array([39.5, 49.5, 1.0])
    assert aligned.tir.image.shape == (256, 320)
    np.testing.assert_allclose(_centre(aligned.tir.image), (x / w, y / w), atol=0.7)


def test_matrix_is_free_of_scale():
    matrix = np.array([[2.0, 0.0, 5.0], [0.0, 2.0, 5.0], [0.0, 0.0, 1.0]])
    one, other = (Registration(m, (320, 256)).apply(_pair()).tir.image for m in (matrix, -3 * matrix))
    assert np.array_equal(one, other)


def test_stretch_lays_one_picture_over_the_other():
    aligned = Registration.stretch((160, 128), (320, 256)).apply(_pair())
    np.testing.assert_allclose(_centre(aligned.tir.image), (79.5, 99.5), atol=0.6)


def test_times_and_numbers_survive():
    aligned = Registration.stretch((160, 128), (320, 256)).apply(_pair())
    assert (aligned.rgb.timestamp_ns, aligned.tir.timestamp_ns, aligned.tir.sequence) == (1, 3, 4)
    assert aligned.skew_ns == 2


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(2),
        np.zeros((3, 3)),
        np.full((3, 3), np.nan),
        np.array([[1, 2, 3], [2, 4, 6], [0, 0, 1.0]]),
        np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0.0]]),
    ],
)
def test_matrix_that_is_no_map_is_refused(matrix):
    with pytest.raises(UsageError, match="registration matrix"):
        Registration(matrix, (320, 256))


def test_horizon_inside_the_picture_is_refused():
    with pytest.raises(UsageError, match="horizon"):
        Registration(np.linalg.inv(np.array([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1.0]])), (320, 256))


def test_picture_of_another_size_is_refused_with_both_sizes():
    registration = Registration.stretch((160, 128), (320, 256))
    with pytest.raises(EdgeRgbtError, match=r"thermal 80x64.*thermal 160x128"):
        registration.apply(_pair(tir_size=(80, 64)))
    with pytest.raises(EdgeRgbtError, match=r"RGB 640x512.*RGB 320x256"):
        registration.apply(_pair(rgb_size=(640, 512)))


def test_views_that_do_not_meet_are_refused():
    matrix = np.array([[1.0, 0.0, 5000.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(EdgeRgbtError, match="outside the RGB picture"):
        Registration(matrix, (320, 256)).apply(_pair())


def test_what_pairing_said_survives():
    pair = FramePair(_pair().rgb, _pair().tir, usable=Usable.TIR, paced_by=Modality.TIR, handed_ns=9)
    aligned = Registration.stretch((160, 128), (320, 256)).apply(pair)
    assert (aligned.usable, aligned.paced_by, aligned.handed_ns) == (Usable.TIR, Modality.TIR, 9)


def test_camera_that_gave_nothing_is_a_blank_of_the_rgb_size():
    pair = _pair()
    blank = Frame(np.zeros((7, 9), np.uint8), Modality.TIR, 1, ABSENT)
    aligned = Registration.stretch((160, 128), (320, 256)).apply(FramePair(pair.rgb, blank))
    assert aligned.aligned
    assert aligned.tir.image.shape == (256, 320)


def test_region_that_the_thermal_camera_sees_is_known_to_the_pair():
    matrix = np.array([[1.0, 0.0, 100.0], [0.0, 1.0, 60.0], [0.0, 0.0, 1.0]])
    aligned = Registration(matrix, (320, 256), (160, 128)).apply(_pair())
    region = aligned.tir_region
    assert region is not None
    assert not region.everywhere
    rows, columns = np.nonzero(region.mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (100, 259, 60, 187)
    assert not aligned.tir.image[~region.mask].any()


def test_share_of_a_rectangle_that_is_seen():
    matrix = np.array([[1.0, 0.0, 100.0], [0.0, 1.0, 60.0], [0.0, 0.0, 1.0]])
    region = Registration(matrix, (320, 256), (160, 128)).valid_region()
    assert region.share(100, 60, 260, 188) == 1.0
    assert region.share(20, 60, 180, 188) == pytest.approx(0.5)
    assert region.share(-80, 60, 180, 188) == pytest.approx(80 / 260)  # beside the picture nothing is seen
    assert region.share(0, 0, 90, 256) == 0.0
    assert region.share(50, 50, 50, 90) == 0.0


def test_full_view_has_no_region_to_mind():
    assert Registration.stretch((160, 128), (320, 256)).apply(_pair()).tir_region is not None
    matrix = np.array([[2.4, 0.0, -20.0], [0.0, 2.4, -20.0], [0.0, 0.0, 1.0]])
    assert Registration(matrix, (320, 256)).apply(_pair()).tir_region is None


def test_lens_agrees_with_opencv_and_its_own_inverse():
    lens = Lens((450.0, 455.0), (318.0, 250.0), (-0.28, 0.09, 0.0005, -0.0003, -0.01, 0.02, 0.01, 0.003))
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 2))
    straight = rays * lens.focal_px + lens.centre_px
    points, zero = np.column_stack([rays, np.ones(40)]), np.zeros(3)
    wanted = cv2.projectPoints(points[:, None], zero, zero, lens.matrix, np.array(lens.distortion))[0][:, 0]
    np.testing.assert_allclose(lens.distorted(straight), wanted, atol=1e-6)
    np.testing.assert_allclose(lens.undistorted(wanted), straight, atol=0.02)


def test_distortion_is_folded_into_one_table():
    """Interpolated between grid points, the map is within a few hundredths of a pixel of the exact one."""
    lenses = (
        Lens((280.0, 280.0), (159.5, 127.5), (-0.28, 0.09, 0.0005, -0.0003, -0.01)),
        Lens((200.0, 201.0), (79.5, 63.5), (-0.1, 0.02, 0.001, 0.0)),
    )
    matrix = np.array([[1.9, 0.02, 6.0], [-0.02, 1.9, 4.0], [1e-5, 0.0, 1.0]])
    registration = Registration(matrix, (320, 256), (160, 128), lenses)
    ramp = np.moveaxis(np.indices((128, 160)), 0, -1)[..., ::-1].astype(np.float32)  # each pixel's x, y
    read = registration._warp(np.ascontiguousarray(ramp), cv2.INTER_LINEAR)
    pixels = np.random.default_rng(0).integers((20, 20), (300, 236), (60, 2))
    straight = np.column_stack([lenses[0].undistorted(pixels.astype(float)), np.ones(60)])
    moved = straight @ np.linalg.inv(matrix).T
    exact = lenses[1].distorted(moved[:, :2] / moved[:, 2:])
    inside = ((exact > 1) & (exact < (158, 126))).all(axis=1)
    assert inside.sum() > 40
    np.testing.assert_allclose(read[pixels[:, 1], pixels[:, 0]][inside], exact[inside], atol=0.06)


def test_lenses_without_distortion_cost_no_table():
    plain = Lens((280.0, 280.0), (159.5, 127.5))
    assert Registration(np.eye(3), (320, 256), (320, 256), (plain, plain)).lenses is None
