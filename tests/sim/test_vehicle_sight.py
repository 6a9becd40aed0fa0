"""Pictures without pictures: where the walker is in the camera, and how a tracker would tell it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_rgbt.sim import make_scenario
from edge_rgbt.sim.vehicle import Home, PointCommand, Vehicle, VehicleSettings
from edge_rgbt.sim.vehicle.sight import Sight, Sighting, SightSettings, outline
from edge_rgbt.sim.vehicle.walker import Walker
from edge_rgbt.types import Modality, TrackStatus

SECOND = 1_000_000_000


def looks_at_the_start(**sight) -> tuple[Vehicle, Walker, Sight]:
    vehicle = Vehicle(VehicleSettings(position=(-20.0, 0.0, -20.0)))
    walker = Walker(1, 20, speed_m_s=0.0, hidden=((2.0, 5.0),))
    return vehicle, walker, Sight(vehicle, walker, SightSettings(**sight), epoch_ns=7 * SECOND)


def test_a_target_on_the_axis_is_in_the_middle_and_as_large_as_it_should_be() -> None:
    _, _, sight = looks_at_the_start(noise_px=0.0)
    first = sight.due(SECOND)[0]
    assert first.true_box is not None
    box = first.state.box
    assert box.cx == pytest.approx(320, abs=1)
    assert box.cy == pytest.approx(256, abs=20)  # its feet are on the axis
    # From 45 degrees above, both its height and its depth of 0.74 m (it stands askew) show.
    focal, tilt = sight.settings.intrinsics.focal_px, math.cos(math.radians(45))
    assert box.h == pytest.approx(focal * (1.75 + 0.74) * tilt / 27.7, rel=0.06)


def test_answers_come_after_their_latency_with_the_capture_time() -> None:
    _, _, sight = looks_at_the_start(latency_ns=120_000_000)
    assert sight.due(119_000_000) == []
    answers = sight.due(121_000_000)
    assert [(a.capture_ns, a.state.timestamp_ns) for a in answers] == [(0, 7 * SECOND)]


def test_a_hidden_target_is_uncertain_then_lost_and_taken_up_again() -> None:
    _, _, sight = looks_at_the_start(latency_ns=0, uncertain_s=1.0, finds_again_s=0.2)
    status = {a.capture_ns: a.state.status for a in sight.due(7 * SECOND)}

    def at(t_s: float) -> TrackStatus:
        return status[min(status, key=lambda t: abs(t - t_s * SECOND))]

    assert [at(t) for t in (1.9, 2.5, 3.5, 4.9, 5.1, 5.4)] == [
        TrackStatus.TRACKING, TrackStatus.UNCERTAIN, TrackStatus.LOST, TrackStatus.LOST, TrackStatus.LOST,
        TrackStatus.TRACKING,
    ]  # fmt: skip


def test_noise_has_the_size_that_was_asked_for() -> None:
    _, _, sight = looks_at_the_start(noise_px=2.0)

    def error(a: Sighting) -> float:
        assert a.true_box is not None
        return a.state.box.cx - a.true_box.cx

    errors = [error(a) for a in sight.due(2 * SECOND) if a.state.status is TrackStatus.TRACKING]
    assert np.std(errors) == pytest.approx(2.0, rel=0.35)


def test_outside_the_picture_it_is_not_seen() -> None:
    vehicle, walker, sight = looks_at_the_start()
    vehicle.gimbal.command = PointCommand((-100.0, 0.0, -20.0))
    vehicle.advance(4 * SECOND)
    assert outline(vehicle.pose(4 * SECOND), sight.settings.intrinsics, walker, 4.0) is None


@pytest.mark.slow
def test_the_scenario_renders_from_the_vehicle_and_agrees_with_the_projection() -> None:
    """The same target in the rendered world: the truth's box is where the projected outline is."""
    scenario = make_scenario(7, "day", 4.0, target_kind="person")
    plan = scenario.drone.plan
    start = scenario.pose(0)
    x, y, z = start.position
    vehicle = Vehicle(
        VehicleSettings(
            home=Home(plan.home_lat_deg, plan.home_lon_deg, plan.home_alt_m),
            position=(y, x, -z),
            yaw_rad=math.radians(start.yaw_deg),
            gimbal_pitch_rad=math.radians(start.camera_pitch_deg),
            gimbal_yaw_rad=math.radians(start.camera_yaw_deg - start.yaw_deg),
        )
    )
    scenario.fly_by(vehicle)
    for t in range(0, 3 * SECOND, SECOND):
        truth = scenario.truth(t, Modality.RGB)
        assert scenario.pose(t) == vehicle.pose(t)
        target = scenario.world.movers[scenario.world.target_id].at(t / 1e9)
        size = scenario.world.movers[scenario.world.target_id].look.size
        walker = Walker(0, 1, 0.0, start=(float(target[1]), float(target[0])), size_m=size)
        projected = outline(vehicle.pose(t), scenario.rig.rgb, walker, t / 1e9)
        assert truth.full_box is not None
        assert projected is not None
        assert (truth.full_box.cx, truth.full_box.cy) == pytest.approx((projected.cx, projected.cy), abs=6)


@pytest.mark.slow
def test_the_rendered_target_walks_the_walkers_course() -> None:
    walker = Walker(5, 12, speed_m_s=2.0)
    scenario = make_scenario(7, "day", 8.0, target_kind="person", course=walker.course)
    begin = scenario.truth(0, Modality.RGB).world_position
    for t_s in (0.0, 2.5, 7.0):
        state, truth = walker.at(t_s), scenario.truth(round(t_s * 1e9), Modality.RGB)
        expected = (begin[0] + state.east, begin[1] + state.north)
        assert truth.world_position[:2] == pytest.approx(expected, abs=0.1)
        assert truth.speed_m_s == pytest.approx(2.0)


def test_the_vehicles_place_in_the_scenario_is_its_place_on_earth() -> None:
    home = Home(10.0, 20.0, 100.0)
    pose = Vehicle(VehicleSettings(home=home, position=(100.0, -50.0, -30.0))).pose(0)
    assert pose.position == (-50.0, 100.0, 30.0)
    assert (pose.lat_deg, pose.lon_deg) == pytest.approx(home.degrees(100.0, -50.0))
    assert pose.alt_m == 130.0
