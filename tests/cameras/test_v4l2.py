"""The kernel's video interface: layouts against its headers, the camera against a stand-in for a driver."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edge_rgbt.cameras import v4l2_abi as abi
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.v4l2 import V4l2Camera
from edge_rgbt.errors import CameraError
from edge_rgbt.types import Modality

HERE = Path(__file__).resolve().parent
STRUCTURES = {
    "v4l2_capability": abi.Capability,
    "v4l2_pix_format": abi.PixFormat,
    "v4l2_format": abi.Format,
    "v4l2_requestbuffers": abi.RequestBuffers,
    "v4l2_buffer": abi.Buffer,
    "v4l2_timecode": abi.TimeCode,
    "v4l2_fract": abi.Fraction,
    "v4l2_captureparm": abi.CaptureParm,
    "v4l2_streamparm": abi.StreamParm,
    "timeval": abi.TimeVal,
}
OTHER_NAMES = {"digits": "frames"}  # ours -> the kernel's, where ours holds several
NUMBERS = {
    "VIDIOC_QUERYCAP": abi.QUERYCAP,
    "VIDIOC_G_FMT": abi.G_FMT,
    "VIDIOC_S_FMT": abi.S_FMT,
    "VIDIOC_REQBUFS": abi.REQBUFS,
    "VIDIOC_QUERYBUF": abi.QUERYBUF,
    "VIDIOC_QBUF": abi.QBUF,
    "VIDIOC_DQBUF": abi.DQBUF,
    "VIDIOC_STREAMON": abi.STREAMON,
    "VIDIOC_STREAMOFF": abi.STREAMOFF,
    "VIDIOC_S_PARM": abi.S_PARM,
    "V4L2_BUF_TYPE_VIDEO_CAPTURE": abi.BUF_TYPE_VIDEO_CAPTURE,
    "V4L2_MEMORY_MMAP": abi.MEMORY_MMAP,
    "V4L2_FIELD_NONE": abi.FIELD_NONE,
    "V4L2_CAP_VIDEO_CAPTURE": abi.CAP_VIDEO_CAPTURE,
    "V4L2_CAP_VIDEO_CAPTURE_MPLANE": abi.CAP_VIDEO_CAPTURE_MPLANE,
    "V4L2_CAP_STREAMING": abi.CAP_STREAMING,
    "V4L2_CAP_DEVICE_CAPS": abi.CAP_DEVICE_CAPS,
    "V4L2_BUF_FLAG_ERROR": abi.BUF_FLAG_ERROR,
    "V4L2_BUF_FLAG_TIMESTAMP_MASK": abi.BUF_FLAG_TIMESTAMP_MASK,
    "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC": abi.BUF_FLAG_TIMESTAMP_MONOTONIC,
    "V4L2_BUF_FLAG_TSTAMP_SRC_MASK": abi.BUF_FLAG_TSTAMP_SRC_MASK,
    "V4L2_BUF_FLAG_TSTAMP_SRC_SOE": abi.BUF_FLAG_TSTAMP_SRC_SOE,
    "V4L2_PIX_FMT_Y16": abi.fourcc("Y16 "),
    "V4L2_PIX_FMT_GREY": abi.fourcc("GREY"),
    "V4L2_PIX_FMT_YUYV": abi.fourcc("YUYV"),
    "V4L2_PIX_FMT_NV12": abi.fourcc("NV12"),
    "V4L2_PIX_FMT_BGR24": abi.fourcc("BGR3"),
    "V4L2_PIX_FMT_RGB24": abi.fourcc("RGB3"),
}
READ = """
import json, os, sys, time
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.v4l2 import V4l2Camera
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.types import Modality

def told(f):
    return {"sequence": f.sequence, "age_ms": (time.monotonic_ns() - f.timestamp_ns) / 1e6,
        "source": f.time_source.value, "uncertainty_ms": f.time_uncertainty_ns / 1e6,
        "size": [f.width, f.height], "dtype": str(f.image.dtype), "rows": f.image[:, 0].tolist(),
        "even": bool((f.image == f.image[:, :1]).all())}

def read(how, pixel_format, pause_s):
    os.environ["FAKE_V4L2"] = how
    settings = CameraSettings(kind="v4l2", name="boson", device="/dev/video-fake", pixel_format=pixel_format,
        width_px=64, height_px=48, rate_hz=50.0, stall_timeout_ms=200.0)
    frames = []
    try:
        with V4l2Camera(settings, Modality.TIR) as camera:
            for _ in range(6):
                time.sleep(pause_s)
                frames.append(told(camera.read()))
    except EdgeRgbtError as fault:
        return {"frames": frames, "error": f"{type(fault).__name__}: {fault}"}
    return {"frames": frames, "error": ""}

print(json.dumps([read(*case) for case in json.loads(sys.argv[1])]))
"""
CASES = {
    "good": ("good", "GRAY16", 0.0),
    "slow": ("good", "GRAY16", 0.12),  # six periods; the driver holds four
    "padded": ("padded", "GRAY8", 0.0),
    **{
        how: (how, "GRAY16", 0.0)
        for how in ["uvc", "eof", "noclock", "damaged", "yuyv", "small", "mplane", "busy", "stall", "unplug"]
    },
}


def _compiler() -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").is_file():
        pytest.skip("needs a C compiler and the kernel's headers: apt install gcc libc6-dev linux-libc-dev")
    return compiler


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Sizes, offsets and numbers as the kernel's headers have them."""
    terms = [f"sizeof(struct {name})" for name in STRUCTURES]
    terms += [
        f"offsetof(struct {name}, {OTHER_NAMES.get(field[0], field[0])})"
        for name, structure in STRUCTURES.items()
        for field in structure._fields_
    ]
    terms += NUMBERS
    lines = [f'printf("%s\\t%lld\\n", "{term}", (long long)(unsigned)({term}));' for term in terms]
    folder = tmp_path_factory.mktemp("abi")
    source = folder / "abi.c"
    source.write_text(
        "#include <linux/videodev2.h>\n#include <stddef.h>\n#include <stdio.h>\n"
        "int main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n"
    )
    subprocess.run([_compiler(), str(source), "-o", str(folder / "abi")], check=True)
    said = subprocess.run([str(folder / "abi")], check=True, capture_output=True, text=True).stdout
    return {term: int(value) for term, value in (line.split("\t") for line in said.splitlines())}


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_a_structure_has_the_kernels_layout(name, in_c):
    structure = STRUCTURES[name]
    assert ctypes.sizeof(structure) == in_c[f"sizeof(struct {name})"]
    for field in structure._fields_:
        kernels = OTHER_NAMES.get(field[0], field[0])
        assert getattr(structure, field[0]).offset == in_c[f"offsetof(struct {name}, {kernels})"]


def test_numbers_are_the_kernels(in_c):
    assert {name: value for name, value in NUMBERS.items() if in_c[name] != value} == {}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a process sees that reads six frames of each of CASES, a stand-in for the driver preloaded."""
    library = tmp_path_factory.mktemp("fake") / "fake_v4l2.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-nonnull", "-Wno-maybe-uninitialized"]
    subprocess.run([_compiler(), *flags, str(HERE / "fake_v4l2.c"), "-o", str(library), "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(list(CASES.values()))],
        cwd=HERE.parents[1], env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


def test_thermal_counts_times_and_numbers_are_the_kernels(seen):
    assert seen["good"]["error"] == ""
    assert len(seen["good"]["frames"]) == 6
    for frame in seen["good"]["frames"]:
        assert (frame["size"], frame["dtype"], frame["even"]) == ([64, 48], "uint16", True)
        assert frame["rows"] == [((row + frame["sequence"]) & 0xFF) * 0x0101 for row in range(48)]
        assert (frame["source"], frame["uncertainty_ms"]) == ("sensor", 10.0)
        assert 0 <= frame["age_ms"] < 1000


def test_grey_pictures_with_padded_rows_come_out_straight(seen):
    assert seen["padded"]["error"] == ""
    assert all(frame["even"] and frame["dtype"] == "uint8" for frame in seen["padded"]["frames"])


@pytest.mark.parametrize(("how", "source"), [("uvc", "driver"), ("eof", "driver"), ("noclock", "arrival")])
def test_times_are_believed_as_far_as_the_driver_deserves(seen, how, source):
    assert {frame["source"] for frame in seen[how]["frames"]} == {source}


def test_a_slow_reader_never_gets_what_waited_in_full_buffers(seen):
    frames = seen["slow"]["frames"]
    gaps = [b["sequence"] - a["sequence"] for a, b in pairwise(frames)]
    assert min(gaps) >= 4
    assert sorted(frame["age_ms"] for frame in frames)[len(frames) // 2] < 20


def test_damaged_frames_are_left_out(seen):
    frames = seen["damaged"]["frames"]
    assert len(frames) == 6
    assert all(frame["sequence"] % 2 == 0 for frame in frames)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("yuyv", "delivers YUYV 64x48 where the configuration promises Y16 64x48; `v4l2-ctl"),
        ("small", "delivers Y16 32x24 where the configuration promises Y16 64x48"),
        ("mplane", "(Fake camera) delivers no single-plane video; use a gstreamer camera with v4l2src"),
        ("busy", "/dev/video-fake: Device or resource busy; another program uses it"),
        ("stall", "CameraStalledError: camera boson: no frame for 200 ms"),
        ("unplug", "/dev/video-fake: No such device; was it unplugged?"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(seen, how, said):
    error = seen[how]["error"]
    assert said in error
    assert "\n" not in error


def _settings(device: str) -> CameraSettings:
    promise = {"pixel_format": "GRAY16", "width_px": 640, "height_px": 512, "rate_hz": 60.0}
    return CameraSettings(kind="v4l2", name="boson", device=device, **promise)  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(CameraError, match=r"boson: /dev/video99: No such file.*; is it plugged in"):
        V4l2Camera(_settings("/dev/video99"), Modality.TIR).open()


def test_a_device_that_is_no_camera_is_named():
    with pytest.raises(CameraError, match=r"boson: /dev/null: .*; this is no video capture device"):
        V4l2Camera(_settings("/dev/null"), Modality.TIR).open()
