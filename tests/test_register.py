"""Thermal pictures come into the RGB picture's geometry, or the mistake is named."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import square_pair

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.register import Registration
from edge_rgbt.types import Box, Frame, FramePair, Modality


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
