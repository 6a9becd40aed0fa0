"""The simulated flight as its users see it: the same bytes for a seed, true boxes, fitting registration."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from edge_rgbt.errors import UsageError
from edge_rgbt.sim import PRESETS, Scenario, make_scenario
from edge_rgbt.types import Box, Modality

SMALL = {"rgb_size": (320, 256), "tir_size": (320, 256), "seconds": 4.0}


@pytest.fixture(scope="module")
def day() -> Scenario:
    return make_scenario(12, "day", **SMALL)


def digest(scenario: Scenario, t_ns: int) -> str:
    sums = hashlib.sha256(scenario.render_rgb(t_ns).tobytes())
    sums.update(scenario.render_tir(t_ns).tobytes())
    return sums.hexdigest()


def changed_pixels(scenario: Scenario, t_ns: int, object_id: int) -> tuple[int, int, int, int]:
    """Bounds (x0, y0, x1, y1) of what differs in the thermal image without an object (noise is the same)."""
    with_it = scenario.render_tir(t_ns).astype(float)
    without = scenario.render_tir(t_ns, frozenset({object_id})).astype(float)
    difference = np.abs(with_it - without)
    rows, cols = np.nonzero(difference > 4)
    return int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1


def test_images_have_the_promised_shape_and_type(day: Scenario) -> None:
    rgb, tir = day.render_rgb(0), day.render_tir(0)
    assert (rgb.shape, rgb.dtype) == ((256, 320, 3), np.uint8)
    assert (tir.shape, tir.dtype) == ((256, 320), np.uint16)


def test_thermal_camera_has_its_own_resolution_and_field_of_view() -> None:
    scenario = make_scenario(5, rgb_size=(320, 256), tir_size=(160, 128), seconds=1)
    assert scenario.render_tir(0).shape == (128, 160)
    assert scenario.rig.tir.horizontal_fov_deg != pytest.approx(scenario.rig.rgb.horizontal_fov_deg, abs=0.1)


def test_thermal_counts_use_more_than_eight_bits(day: Scenario) -> None:
    assert len(np.unique(day.render_tir(0))) > 256


def test_same_seed_gives_same_bytes_in_any_order() -> None:
    forward, backward = make_scenario(3, **SMALL), make_scenario(3, **SMALL)
    times = [0, 700_000_000, 1_433_333_333]
    assert [digest(forward, t) for t in times] == [digest(backward, t) for t in reversed(times)][::-1]


def test_same_seed_gives_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib\nfrom edge_rgbt.sim import make_scenario\n"
        "s = make_scenario(3, rgb_size=(320, 256), tir_size=(320, 256), seconds=4.0)\n"
        "h = hashlib.sha256(s.render_rgb(900_000_000).tobytes())\n"
        "h.update(s.render_tir(900_000_000).tobytes())\nprint(h.hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == digest(make_scenario(3, **SMALL), 900_000_000)


def test_seeds_differ() -> None:
    assert digest(make_scenario(1, **SMALL), 0) != digest(make_scenario(2, **SMALL), 0)


@pytest.mark.parametrize("seed", [2, 21])
def test_truth_box_holds_what_the_target_changes(seed: int) -> None:
    scenario = make_scenario(seed, "night", seconds=4, rgb_size=(640, 512), tir_size=(640, 512))
    t_ns = next(
        t for t in range(0, 4_000_000_000, 200_000_000) if scenario.truth(t, Modality.TIR).visibility > 0.97
    )
    truth = scenario.truth(t_ns, Modality.TIR)
    assert truth.box is not None
    x0, y0, x1, y1 = changed_pixels(scenario, t_ns, truth.object_id)
    box = truth.box
    slack = 3.0  # optics and motion spread an edge over a few pixels
    assert x0 >= box.x - slack
    assert y0 >= box.y - slack
    assert x1 <= box.x + box.w + slack
    assert y1 <= box.y + box.h + slack
    assert x1 - x0 >= 0.6 * box.w
    assert y1 - y0 >= 0.6 * box.h


@pytest.mark.parametrize(("residual_px", "low", "high"), [(0.0, 0.0, 1.5), (8.0, 6.0, 10.0)])
def test_registration_joins_the_truths_of_both_cameras_but_for_its_residual(
    residual_px: float, low: float, high: float
) -> None:
    scenario = make_scenario(12, "day", seconds=2, residual_px=residual_px)
    rgb, tir = scenario.truth(0, Modality.RGB).box, scenario.truth(0, Modality.TIR).box
    assert rgb is not None
    assert tir is not None
    mapped = scenario.nominal_registration() @ (tir.cx - 0.5, tir.cy - 0.5, 1)
    error = np.hypot(mapped[0] / mapped[2] + 0.5 - rgb.cx, mapped[1] / mapped[2] + 0.5 - rgb.cy)
    assert low <= error <= high


def test_every_object_in_view_has_a_truth_inside_the_image(day: Scenario) -> None:
    truths = day.object_truths(1_000_000_000, Modality.RGB)
    assert truths[0].is_target
    assert len(truths) > 1
    assert len({t.object_id for t in truths}) == len(truths)
    for truth in truths[1:]:
        assert truth.box is not None
        assert truth.box.x >= 0
        assert truth.box.x + truth.box.w <= 320
        assert 0 <= truth.visibility <= 1


def test_target_stays_in_view_when_the_drone_knows_where_it_is() -> None:
    for seed in range(3):
        scenario = make_scenario(seed, seconds=12, rgb_size=(320, 256), tir_size=(320, 256))
        for t_ns in range(0, 12_000_000_000, 1_000_000_000):
            assert scenario.truth(t_ns, Modality.RGB).box is not None, (seed, t_ns)


def test_the_target_is_in_the_open_when_the_flight_starts() -> None:
    shares = [make_scenario(seed, **SMALL).truth(0, Modality.RGB).visibility for seed in (104, 111, 142)]
    assert min(shares) > 0.6


def test_closed_loop_follows_the_boxes_it_is_given() -> None:
    scenario = make_scenario(
        12, seconds=8, steering="tracker", **{k: SMALL[k] for k in ("rgb_size", "tir_size")}
    )
    for t_ns in range(0, 8_000_000_000, 33_333_333):
        truth = scenario.truth(t_ns, Modality.RGB)
        assert truth.box is not None, t_ns
        scenario.observe(truth.box, t_ns)


def test_closed_loop_without_boxes_loses_a_moving_target() -> None:
    scenario = make_scenario(
        12, seconds=20, steering="tracker", target_kind="car", rgb_size=(320, 256), tir_size=(320, 256)
    )
    for t_ns in range(0, 20_000_000_000, 100_000_000):
        scenario.observe(None, t_ns)
    seen = [scenario.truth(t, Modality.RGB).box is not None for t in range(0, 20_000_000_000, 500_000_000)]
    assert seen[0]
    assert not all(seen)


def test_observe_is_refused_when_the_drone_follows_the_truth(day: Scenario) -> None:
    with pytest.raises(UsageError, match="steering"):
        day.observe(Box(1, 2, 3, 4), 0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"preset": "noon"}, "noon"),
        ({"target_kind": "whale"}, "whale"),
        ({"steering": "wish"}, "wish"),
        ({"seconds": 0}, "0"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        make_scenario(1, **arguments)


def test_presets_change_what_the_cameras_see() -> None:
    scenes = {name: make_scenario(6, name, **SMALL) for name in PRESETS}
    rgb = {name: s.render_rgb(0).astype(float) for name, s in scenes.items()}
    kelvin = {name: (s.render_tir(0).astype(float) - s.render_tir(0).mean()) for name, s in scenes.items()}
    assert rgb["night"].mean() < 0.6 * rgb["dusk"].mean() < 0.9 * rgb["day"].mean()
    assert rgb["rain"].std() < 0.8 * rgb["day"].std()
    assert kelvin["crossover"].std() < 0.5 * kelvin["day"].std()


def test_pose_is_smooth_and_carries_a_position_on_earth(day: Scenario) -> None:
    poses = [day.pose(t) for t in range(0, 4_000_000_000, 20_000_000)]
    positions = np.array([p.position for p in poses])
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=1) / 0.02
    assert speed.max() < 30
    turn = np.diff(np.unwrap(np.radians([p.camera_yaw_deg for p in poses])))
    assert np.degrees(np.abs(turn)).max() < 2.5
    assert all(-90 < p.camera_pitch_deg < -20 for p in poses)
    first, last = poses[0], poses[-1]
    north_m = (last.lat_deg - first.lat_deg) * 111_319.49
    assert north_m == pytest.approx(last.position[1] - first.position[1], abs=0.01)
    assert first.alt_m - first.position[2] == pytest.approx(last.alt_m - last.position[2])
