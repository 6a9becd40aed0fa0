"""Bad input to the real service process: it says what and where in one line, refuses at the start what cannot
be, and goes on in flight as well as it can."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.played_pair import write_played_pair
from edge_rgbt.cameras.system_gi import load_gstreamer
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.rig import Homography, Rig, RigCamera

pytest.importorskip("mcap", reason="needs the extra record (mcap)")
pytestmark = pytest.mark.slow

UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
V4L2 = """kind = "v4l2"
device = "/dev/video97"
pixel_format = "{}"
width_px = {}
height_px = 256
rate_hz = 30"""
GSTREAMER = """kind = "gstreamer"
pipeline = "videotestsrc is-live=true ! video/x-raw,format=GRAY16_LE,width=160,height=120"
pixel_format = "GRAY16"
width_px = 320
height_px = 256
rate_hz = 30"""
PLAYED_RGB, PLAYED_TIR = (f'kind = "files"\npath = "{name}"\nrate_hz = 30' for name in ("rgb", "tir"))


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Path:
    """A configuration that is right, and the pictures that it plays."""
    return write_played_pair(tmp_path_factory.mktemp("played") / "pair", 4.0)


def run(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_rgbt", "run", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def changed(played: Path, name: str, *changes: tuple[str, str]) -> Path:
    """The right configuration with something wrong in it."""
    text = played.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = played.with_name(f"{name}.toml")
    path.write_text(text)
    return path


def flown(config: Path, *arguments: str) -> tuple[dict, str]:
    """The report of a flight that came to its end, and the log."""
    done = run(config, "--seconds", "2.5", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("rate_hz = 30", 'rate_hz = "30"'), "cameras.rgb.rate_hz is '30', expected a finite number"),
        (("rate_hz = 30", "rate_hz = nan"), "cameras.rgb.rate_hz is nan, expected a finite number"),
        (("rate_hz = 30", "rate_hz = -30"), "rate_hz = -30"),
        (("rate_hz = 30", "rate_khz = 30"), "unknown key cameras.rgb.rate_khz; did you mean "),
        (("[mavlink]", "[mavlnk]"), "unknown key mavlnk; did you mean mavlink?"),
        (("threads = 1", "threads = 0"), "threads is 0, expected 1 to 64"),
        (("threads = 1", 'engine = "tensorflow"'), "engine is 'tensorflow', expected onnx"),
        (("threads = 1", 'bundle = "nothing"'), "nothing does not exist"),
        (('path = "tir"', 'path = "nowhere"'), "cameras.tir.path: "),
        (("box_px = [", "box_px = [0,"), "target.box_px"),
        (("udpout:", "udpuot:"), "MAVLink endpoint 'udpuot:127.0.0.1:14597'"),
        (("min_free_mb = 0", "min_free_mb = -1"), "min_free_mb"),
        (("[target]", "[pairing]\ncalibration = 'no.json'\n[target]"), "no.json: calibration cannot be read"),
    ],
    ids=lambda value: value[1].splitlines()[0] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_configuration_that_cannot_be_is_refused_with_a_line_that_names_the_key(played, change, said):
    done = run(changed(played, "wrong", change), "--seconds", "1")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_calibration_for_other_pictures_is_refused_before_anything_is_tracked(played):
    cameras = [RigCamera(name, 640, 512) for name in ("rgb", "tir")]
    homography = Homography(UNIT, 1.0, 100.0, 0.0)
    made = {"schema": 1, "made": "2026-01-01T00:00:00Z", "made_by": "test"}
    Rig(**made, rgb=cameras[0], tir=cameras[1], homography=homography).write(played.with_name("rig.json"))
    pairing = ("[target]", '[pairing]\ncalibration = "rig.json"\n[target]')
    expected = "the calibration is for RGB 640x512 and thermal 640x512, the cameras deliver RGB 320x256"
    promised = [(PLAYED_RGB, V4L2.format("RGB", 320)), (PLAYED_TIR, V4L2.format("GRAY16", 320))]
    for name, changes in {"unknown": [pairing], "promised": [pairing, *promised]}.items():
        done = run(changed(played, name, *changes), "--seconds", "5")
        assert done.returncode == 2
        assert expected in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_a_start_box_outside_a_promised_picture_is_refused(played):
    config = changed(played, "outside", (PLAYED_RGB, V4L2.format("RGB", 80)))
    done = run(config, "--check")
    assert done.returncode == 2
    assert "lies outside the RGB picture of 80x256" in done.stderr


def test_a_camera_that_is_not_there_is_said_once_and_the_flight_goes_on_with_the_other(played):
    config = changed(played, "absent", (PLAYED_TIR, V4L2.format("GRAY16", 320)))
    report, log = flown(config)
    assert report["counters"]["with_rgb"] == report["tracked"] > 5
    assert report["counters"]["tir_failed"] >= 3
    assert log.count("/dev/video97: No such file or directory") == 1


def test_a_camera_that_delivers_another_size_than_promised_is_said_and_left_out(played):
    try:
        load_gstreamer()
    except EdgeRgbtError as missing:
        pytest.skip(str(missing))
    report, log = flown(changed(played, "other", (PLAYED_TIR, GSTREAMER)))
    assert report["counters"]["with_rgb"] == report["tracked"] > 5
    assert report["counters"]["tir_frames"] == 0
    [line] = [line for line in log.splitlines() if "width=160 height=120" in line]
    assert "promises format=GRAY16_LE width=320 height=256" in line


@pytest.mark.parametrize(
    ("changes", "arguments", "said"),
    [
        ((), ("--record", "{folder}/service.toml/flights"), "Not a directory"),
        ((("min_free_mb = 0", "min_free_mb = 1e6"),), (), "recording needs 1e+06 MB (min_free_mb)"),
    ],
    ids=["cannot be written", "full"],
)  # fmt: skip
def test_a_disk_that_takes_nothing_is_said_and_counted_and_the_flight_goes_on(
    played, changes, arguments, said
):
    config = changed(played, "disk", *changes)
    report, log = flown(config, *(part.format(folder=played.parent) for part in arguments))
    assert report["tracked"] > 5
    counters = report["counters"]
    assert counters["recorder_disk_errors"] >= 1
    assert counters["recorder_lost"] >= report["tracked"]
    assert counters["recorder_frames"] == 0
    assert len([line for line in log.splitlines() if "cannot record" in line and said in line]) == 1
    assert "alarm trouble:recorder begins" in log
