"""A calibration file is read strictly, written whole, fitted to the cameras, and maps for any range."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_rgbt.errors import UsageError
from edge_rgbt.register import Lens
from edge_rgbt.rig import Homography, Mount, RangeFollower, Rig, RigCamera, Timing
from edge_rgbt.sim.camera_model import small_rotation

RGB_LENS = Lens((455.0, 452.0), (318.0, 250.0), (-0.28, 0.09, 0.0005, -0.0003, -0.01))
TIR_LENS = Lens((584.0, 581.0), (158.0, 130.0), (-0.10, 0.02, 0.001, 0.0))
TURN = small_rotation(0.01, -0.02, 0.005)
BASELINE = (0.06, -0.01, 0.02)
MATRIX = ((2.0, 0.01, 3.0), (-0.01, 2.0, 2.0), (1e-6, 0.0, 1.0))


def _rig(**changes) -> Rig:
    sections = {
        "schema": 1,
        "made": "2026-03-01T09:30:00Z",
        "made_by": "a test",
        "rgb": RigCamera("imx477 A1", 640, 512, scales=True, lens=RGB_LENS),
        "tir": RigCamera("boson 77", 320, 256, lens=TIR_LENS),
        "homography": Homography(MATRIX, 30.0, 400.0, 1.4),
        "mount": Mount(tuple(map(tuple, TURN.tolist())), BASELINE, 60.0, 0.9),
        "timing": Timing(-37.0, 0.8, 20.0),
    }
    return Rig(**{**sections, **changes})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "rig.json"
    _rig().write(path)
    return path


def _edit(path: Path, **changes) -> Path:
    """Changes keys, given as a__b for a.b; None removes one."""
    values = json.loads(path.read_text())
    for name, value in changes.items():
        *outer, key = name.split("__")
        table = values
        for part in outer:
            table = table[part]
        if value is None:
            del table[key]
        else:
            table[key] = value
    path.write_text(json.dumps(values))
    return path


def test_what_was_written_is_read(written):
    assert Rig.read(written) == _rig()
    assert Rig.read(written).timing.tir_offset_ns == -37_000_000


def test_file_may_hold_timing_alone(tmp_path):
    path = tmp_path / "rig.json"
    _rig(homography=None, mount=None).write(path)
    rig = Rig.read(path)
    assert rig.timing is not None
    with pytest.raises(UsageError, match="no registration; measure one"):
        rig.registration()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema is 2, expected 1"),
        ({"made": "yesterday"}, "made is 'yesterday'"),
        ({"rgb__width_px": 0}, "size 0x512"),
        ({"rgb__width_px": None}, "rgb.width_px is missing"),
        ({"rgb__widht_px": 5}, "unknown key rgb.widht_px; did you mean rgb.width_px"),
        ({"tir__lens__focal_px": [0, 500]}, "lens.focal_px is [0.0, 500.0]"),
        ({"tir__lens__distortion": [0.1, 0.2]}, "lens.distortion has 2 numbers, expected 4, 5 or 8"),
        ({"tir__lens": None}, "mount needs the lens of both cameras"),
        ({"rgb__lens__distortion": [-9.0, 0.0, 0.0, 0.0]}, "has no inverse over the whole picture"),
        ({"homography__nearest_m": -1}, "ranges -1 to 400 m"),
        ({"homography__matrix": [[1, 0, 0], [0, 1, 0]]}, "homography.matrix is"),
        ({"homography__matrix": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, "matrix has no inverse"),
        ({"homography__matrix": [[1, 0, float("nan")], [0, 1, 0], [0, 0, 1]]}, "a finite number"),
        ({"mount__rotation": [[1, 0, 0], [0, 2, 0], [0, 0, 1]]}, "rotation is no rotation"),
        ({"mount__rotation": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}, "rotation is no rotation"),
        ({"mount__baseline_m": [60, 0, 0]}, "is it in millimetres"),
        ({"mount__range_m": 0.01}, "range_m is 0.01"),
        ({"timing__tir_offset_ms": 1e9}, "tir_offset_ms is 1e+09"),
        ({"timing__tolerance_ms": 0}, "tolerance_ms 0"),
        ({"timing__patience_ms": -1}, "patience_ms is -1"),
    ],
)
def test_faulty_file_is_refused_in_one_line_that_names_file_and_key(written, changes, message):
    with pytest.raises(UsageError) as caught:
        Rig.read(_edit(written, **changes))
    text = str(caught.value)
    assert message in text
    assert text.startswith(str(written))
    assert "\n" not in text


@pytest.mark.parametrize("text", ["{", "[1]", '{"schema": 1, "schema": 1}', "\x00"])
def test_file_that_is_no_calibration_is_refused(tmp_path, text):
    path = tmp_path / "rig.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"rig\.json"):
        Rig.read(path)


def test_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json.*python -m calibration register"):
        Rig.read(tmp_path / "none.json")


def test_calibration_of_another_resolution_is_refused_with_all_sizes():
    with pytest.raises(UsageError, match=r"RGB 640x512 and thermal 320x256.*RGB 640x512 and thermal 640x512"):
        _rig().for_sizes((640, 512), (640, 512))  # the thermal camera does not scale
    with pytest.raises(UsageError, match="RGB 1280x720"):
        _rig().for_sizes((1280, 720), (320, 256))  # the RGB camera does, but not to another aspect


@pytest.mark.parametrize("maps", [{"mount": None}, {"homography": None}])
def test_calibration_of_a_camera_that_scales_holds_at_another_size(maps):
    rig = _rig(**maps)
    points = np.array([[20.0, 30.0], [160.0, 128.0], [300.0, 220.0]])
    small, large = (_mapped(r, points) for r in (rig, rig.for_sizes((1280, 1024), (320, 256))))
    np.testing.assert_allclose(large, 2 * (small + 0.5) - 0.5, atol=1e-6)


def _mapped(rig: Rig, points: np.ndarray) -> np.ndarray:
    """Thermal pixels as RGB pixels of this rig, by its matrix alone."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ rig.registration().matrix.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


@pytest.mark.parametrize("range_m", [8.0, 60.0, 400.0])
def test_map_for_a_range_agrees_with_points_seen_by_both_cameras(range_m):
    """Points of a plane at that range, projected into both pictures by OpenCV, lie on each other."""
    rig = _rig(homography=None)
    spread = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 2)) * range_m
    points = np.column_stack([spread, np.full(50, range_m)])  # RGB camera's axes
    rgb_px = _seen(RGB_LENS, points)
    tir_px = _seen(TIR_LENS, (points - BASELINE) @ TURN)
    registration = rig.registration(range_m)
    table = np.moveaxis(np.indices((256, 320)), 0, -1)[..., ::-1].astype(np.float32)  # each pixel's x, y
    moved = registration._warp(np.ascontiguousarray(table), cv2.INTER_LINEAR)
    inside = ((rgb_px > 2) & (rgb_px < (637, 509)) & (tir_px > 2)).all(axis=1) & (tir_px < (317, 253)).all(
        axis=1
    )
    assert inside.sum() > 20
    found = cv2.remap(moved, rgb_px[inside, 0], rgb_px[inside, 1], cv2.INTER_LINEAR).reshape(-1, 2)
    np.testing.assert_allclose(found, tir_px[inside], atol=0.1)


def _seen(lens: Lens, points: np.ndarray) -> np.ndarray:
    zero = np.zeros(3)
    pixels, _ = cv2.projectPoints(points[:, None], zero, zero, lens.matrix, np.array(lens.distortion))
    return pixels[:, 0].astype(np.float32)


def test_disparity_between_ranges_is_focal_length_times_baseline_over_range():
    rig = _rig(mount=Mount(((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.05, 0.0, 0.0), 60.0, 0.0))
    assert rig.shift_px(10.0, 50.0) == pytest.approx(455 * 0.05 * (1 / 10 - 1 / 50), rel=1e-3)


def test_known_range_prefers_the_mount_and_unknown_range_the_homography():
    rig = _rig()
    assert rig.registration().lenses is None
    assert rig.registration(50.0).lenses == (RGB_LENS, TIR_LENS)
    with pytest.raises(UsageError, match="0 m"):
        rig.registration(0.0)


def test_follower_makes_a_new_map_only_when_pixels_move():
    follower = RangeFollower(_rig(), limit_px=0.5)
    unknown = follower.registration(None)
    near = follower.registration(10.0)
    assert near is not unknown
    assert follower.registration(10.1) is near
    assert follower.registration(None) is near
    assert follower.registration(50.0) is not near
