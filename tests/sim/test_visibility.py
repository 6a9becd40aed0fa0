"""Visible shares: trees, buildings and the image border take them away."""

from __future__ import annotations

import numpy as np

from edge_rgbt.sim.camera_model import Intrinsics, View, rotation
from edge_rgbt.sim.conditions import make_conditions
from edge_rgbt.sim.items import FaceItem
from edge_rgbt.sim.layout import PERIOD_M, Layout, Tree
from edge_rgbt.sim.noise import generator
from edge_rgbt.sim.objects import Mover, make_look
from edge_rgbt.sim.scene import Scene
from edge_rgbt.sim.truth import clipped, visibility

CAMERA = Intrinsics.from_fov(320, 256, 40)


def car(number: int, x: float, y: float) -> Mover:
    track = np.array([[x, y, 0.0, 0.0, 0.0]] * 2)
    return Mover(number, "car", make_look(generator(number, "look"), "car"), track, 0.0, 1.0)


def view_at(x: float, y: float, height: float = 40.0) -> View:
    """Looks north and down at 45 degrees towards a ground point."""
    return View(CAMERA, np.array([x, y - height, height]), rotation(0, -45))


def share(movers: list[Mover], trees: list[Tree], view: View) -> float:
    layout = Layout("country", trees=trees)
    scene = Scene(layout, movers, make_conditions(1, "day"), np.zeros((8, 8), np.float32), 1)
    items = scene.items(view, 0.0)
    first = next(i for i in items if isinstance(i, FaceItem) and i.mover.id == 0)
    return visibility(first, items, CAMERA)


def test_a_car_in_the_open_is_wholly_visible() -> None:
    assert share([car(0, 150, 150)], [], view_at(150, 150)) > 0.99


def test_a_tree_in_front_hides_a_car() -> None:
    tree = Tree(150, 146.5, 3.0, 7.0, 0, 0.0)
    assert share([car(0, 150, 150)], [tree], view_at(150, 150)) < 0.4


def test_a_tree_behind_hides_nothing() -> None:
    tree = Tree(150, 156.5, 3.0, 7.0, 0, 0.0)
    assert share([car(0, 150, 150)], [tree], view_at(150, 150)) > 0.95


def test_a_car_driving_behind_a_tree_disappears_and_returns() -> None:
    tree = Tree(150, 146.5, 3.0, 7.0, 0, 0.0)
    shares = [share([car(0, x, 150)], [tree], view_at(150, 150)) for x in (140, 150, 160)]
    assert shares[0] > 0.95
    assert shares[1] < 0.4
    assert shares[2] > 0.95


def test_the_border_of_the_image_cuts_the_share() -> None:
    view = view_at(150, 150)
    edge = view.ground_point(0.0, 127.5)
    assert edge is not None
    assert 0.25 < share([car(0, float(edge[0]), float(edge[1]))], [], view) < 0.75


def test_a_nearer_car_covers_part_of_a_farther_one() -> None:
    low = view_at(150, 150, 14.0)
    assert share([car(0, 150, 150), car(1, 150, 147.9)], [], low) < 0.95


def test_a_box_outside_the_image_is_none() -> None:
    assert clipped(np.array([-50.0, 10.0, -2.0, 30.0]), CAMERA) is None


def test_the_world_repeats_without_a_seam() -> None:
    here = share([car(0, 10, 150)], [], view_at(10, 150))
    there = share([car(0, 10, 150)], [], view_at(10 + 3 * PERIOD_M, 150))
    assert here == there
