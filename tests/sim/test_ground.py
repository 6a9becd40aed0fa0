"""The ground map in a camera: its seam does not show, wherever the camera stands."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rgbt.sim.camera_model import Intrinsics, View, rotation
from edge_rgbt.sim.ground import GroundMap
from edge_rgbt.sim.layout import PERIOD_M
from edge_rgbt.sim.noise import fractal_noise, generator

MAP_PX = 768


def view_at(x: float, y: float, fov_deg: float) -> View:
    return View(Intrinsics.from_fov(160, 128, fov_deg), np.array([x, y, 60.0]), rotation(33, -50))


@pytest.mark.parametrize("fov_deg", [25.0, 70.0])
def test_the_seam_of_the_map_does_not_show(fov_deg: float) -> None:
    picture = fractal_noise(generator(4, "map"), MAP_PX, 12, 5)
    rolled = np.roll(picture, (MAP_PX // 2, MAP_PX // 2), axis=(0, 1))
    half = PERIOD_M / 2
    here = GroundMap(picture, levels=1, bands=4).render(view_at(1.0, 2.0, fov_deg))
    there = GroundMap(rolled, levels=1, bands=4).render(view_at(1.0 + half, 2.0 + half, fov_deg))
    assert here.std() > 0.1
    np.testing.assert_allclose(here, there, atol=0.02)


def test_a_map_of_colours_is_shown_with_its_colours() -> None:
    colours = np.full((MAP_PX, MAP_PX, 3), (10, 120, 230), np.uint8)
    image = GroundMap(colours, levels=3, bands=2).render(view_at(5.0, 9.0, 60.0))
    assert (image[..., :3] == (10, 120, 230)).all()
