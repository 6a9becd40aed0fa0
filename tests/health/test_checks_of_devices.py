"""What the doctor says about cameras, MAVLink and the engine: real sockets, a serial line, a network."""

from __future__ import annotations

import os
import pty
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from adapters import adapter
from bundles import tiny_bundle, tpf_bundle
from machines import write_tree

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.errors import CameraError, EdgeRgbtError
from edge_rgbt.health.checks import CameraToCheck, Finding, Site, Verdict, configured_site, examine
from edge_rgbt.health.checks.cameras import check_cameras
from edge_rgbt.health.checks.engine import check_engine
from edge_rgbt.health.checks.gstreamer import check_gstreamer
from edge_rgbt.health.checks.link import check_link
from edge_rgbt.mavlink.exchange import Speaker
from edge_rgbt.mavlink.framing import FrameWriter
from edge_rgbt.mavlink.heartbeat import heartbeat
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.messages import Health, autopilot_heartbeat
from edge_rgbt.types import Frame, Modality
from tests.cameras.senders import require_elements


def _by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def _only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


# cameras


class Still(Camera):
    """A thermal camera that shows one picture, in real time."""

    modality, name = Modality.TIR, "still"

    def __init__(self, rate_hz: float, blocks: threading.Event | None = None, stamps_ns: int = 0) -> None:
        self._period_s, self._blocks, self._stamps_ns, self._count = 1 / rate_hz, blocks, stamps_ns, 0
        self.closed = False

    def read(self) -> Frame | None:
        if self._blocks is not None:
            self._blocks.wait()
            return None
        self._count += 1
        stamp_ns = self._stamps_ns or round(self._count * self._period_s * 1e9)
        return Frame(np.zeros((512, 640), np.uint16), self.modality, stamp_ns, self._count, "still")

    def close(self) -> None:
        self.closed = True


class Unplugged(Still):
    def open(self) -> None:
        raise CameraError("camera still: /dev/video9 is not there; plug it in")


def _examine(make: Callable[[], Camera], rate_hz: float | None = None, patience_s: float = 10.0) -> Finding:
    camera = CameraToCheck("tir", make, rate_hz)
    return _only(check_cameras(Site(configured=True, cameras=(camera,), camera_s=patience_s)))


def test_a_camera_that_delivers_tells_format_rate_and_whose_times_they_are():
    camera = Still(60.0)
    finding = _examine(lambda: camera, 60.0)
    assert finding.verdict is Verdict.GOOD
    assert finding.found.startswith("640x512 GRAY16, 60.0 Hz, times from recorded")
    assert camera.closed


def test_a_camera_of_another_rate_than_promised_is_wrong():
    finding = _examine(lambda: Still(9.0), 60.0)
    assert (finding.verdict, "the configuration says 60 Hz" in finding.found) == (Verdict.WRONG, True)


def test_a_camera_whose_clock_stands_still_is_wrong():
    assert "stand still" in _examine(lambda: Still(30.0, stamps_ns=1)).found


def test_a_camera_that_is_not_there_says_what_its_driver_says():
    finding = _examine(lambda: Unplugged(30.0))
    assert (finding.verdict, finding.found) == (
        Verdict.WRONG,
        "camera still: /dev/video9 is not there; plug it in",
    )


def test_a_camera_that_hangs_does_not_hang_the_doctor():
    blocks = threading.Event()
    finding = _examine(lambda: Still(30.0, blocks), patience_s=0.2)
    blocks.set()
    assert (finding.verdict, finding.found.startswith("no frame in")) == (Verdict.WRONG, True)


def test_without_a_camera_the_video_devices_are_told(tmp_path):
    write_tree(tmp_path, {"dev/video0": "", "dev/video1": "", "dev/null": ""})
    finding = _only(check_cameras(Site(root=tmp_path)))
    assert finding.found == "none configured; video devices: /dev/video0, /dev/video1"


def _configured(**settings: object) -> Site:
    rgb = CameraSettings("gstreamer", pixel_format="RGB", width_px=64, height_px=48, rate_hz=30.0, **settings)
    return configured_site({Modality.RGB: rgb})


def test_a_camera_of_the_configuration_is_opened_through_gstreamer():
    require_elements("videotestsrc")
    caps = "video/x-raw,format=RGB,width=64,height=48,framerate=30/1"
    site = _configured(pipeline=f"videotestsrc is-live=true ! {caps}", name="nose", start_timeout_ms=30_000)
    finding = _only(check_cameras(site))
    assert (finding.subject, finding.verdict) == ("camera nose", Verdict.GOOD)
    assert finding.found.startswith("64x48 RGB, 30.0 Hz, times from driver")


def test_what_a_gstreamer_camera_says_against_its_pipeline_is_told():
    require_elements("videotestsrc")
    finding = _only(check_cameras(_configured(pipeline="videotestsrc ! nonesuch")))
    assert (finding.verdict, "nonesuch" in finding.found) == (Verdict.WRONG, True)


def test_a_site_waits_longer_than_its_cameras_do():
    assert _configured(pipeline="videotestsrc", start_timeout_ms=20_000).camera_s > 20


def test_a_site_knows_the_pipelines_of_its_configuration():
    assert not _configured(pipeline="v4l2src").uses_argus
    assert _configured(pipeline="nvarguscamerasrc ! nvvidconv").uses_argus


# MAVLink


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _repeating(send: Callable[[bytes], object], component: int, message: object) -> Iterator[None]:
    """Sends a heartbeat ten times a second, as a vehicle does once."""
    stop = threading.Event()
    frame = FrameWriter().write(Identity(7, component), message)

    def run() -> None:
        while not stop.wait(0.1):
            send(frame)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _link(url: str, heartbeat_s: float) -> Finding:
    return _only(check_link(Site(configured=True, mavlink_urls=(url,), heartbeat_s=heartbeat_s)))


def test_a_vehicle_that_speaks_is_heard_over_udp():
    port = _free_port()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as vehicle,
        _repeating(lambda frame: vehicle.sendto(frame, ("127.0.0.1", port)), 1, autopilot_heartbeat()),
    ):
        finding = _link(f"udpin:127.0.0.1:{port}", 20.0)
    assert finding.verdict is Verdict.GOOD
    assert finding.found.endswith("heartbeat of vehicle 7")


def test_another_component_is_no_vehicle():
    port = _free_port()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        _repeating(
            lambda frame: other.sendto(frame, ("127.0.0.1", port)),
            100,
            heartbeat(Speaker.CAMERA, Health.STANDBY),
        ),
    ):
        finding = _link(f"udpin:127.0.0.1:{port}", 1.0)
    assert finding.verdict is Verdict.WRONG
    assert "only of 1 other components" in finding.found


def test_silence_is_wrong_and_says_what_to_look_at():
    finding = _link(f"udpin:127.0.0.1:{_free_port()}", 0.1)
    assert (finding.verdict, "autopilot" in finding.advice) == (Verdict.WRONG, True)


def test_a_port_in_use_is_wrong():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as owner:
        owner.bind(("127.0.0.1", 0))
        finding = _link(f"udpin:127.0.0.1:{owner.getsockname()[1]}", 0.1)
    assert (finding.verdict, "in use" in finding.found) == (Verdict.WRONG, True)


def test_a_vehicle_is_heard_on_a_serial_line():
    vehicle, ours = pty.openpty()
    try:
        with _repeating(lambda frame: os.write(vehicle, frame), 1, autopilot_heartbeat()):
            finding = _link(f"serial:{os.ttyname(ours)}:115200", 20.0)
    finally:
        os.close(ours)
        os.close(vehicle)
    assert (finding.verdict, "vehicle 7" in finding.found) == (Verdict.GOOD, True)


def test_a_serial_device_that_is_not_there_is_wrong():
    finding = _link("serial:/dev/ttyNONE:115200", 0.1)
    assert (finding.verdict, "/dev/ttyNONE" in finding.found) == (Verdict.WRONG, True)


def test_where_we_speak_first_an_answer_is_not_waited_for_long():
    began_s = time.monotonic()
    assert _link("udpout:127.0.0.1:14550", 60.0).verdict is Verdict.NOTE
    assert time.monotonic() - began_s < 30


def test_a_misspelt_endpoint_is_a_finding():
    assert _link("upd:127.0.0.1:14550", 0.1).verdict is Verdict.WRONG


# engine


def test_a_whole_bundle_is_loaded_and_run(tmp_path):
    findings = _by_subject(check_engine(Site(bundle=tiny_bundle(tmp_path / "b").path, threads=1)))
    assert [f.verdict for f in findings.values()] == [Verdict.GOOD] * 3
    assert "brightness-match 1" in findings["bundle"].found
    assert "CPU" in findings["ONNX Runtime"].found
    assert "ms the first time" in findings["engine"].found


def test_the_adapter_of_a_fused_bundle_is_run_too(tmp_path):
    bundle = tpf_bundle(tmp_path / "b", adapter("add"))
    finding = _by_subject(check_engine(Site(bundle=bundle.path, threads=1)))["adapter"]
    assert (finding.verdict, "fuses in" in finding.found) == (Verdict.GOOD, True)


def test_a_damaged_bundle_is_wrong(tmp_path):
    bundle = tiny_bundle(tmp_path / "b")
    model = bundle.path / "model.onnx"
    content = bytearray(model.read_bytes())
    content[100] ^= 1
    model.write_bytes(content)
    finding = _only(check_engine(Site(bundle=bundle.path)))
    assert (finding.verdict, "SHA-256" in finding.found) == (Verdict.WRONG, True)


def test_an_unknown_engine_is_wrong(tmp_path):
    site = Site(bundle=tiny_bundle(tmp_path / "b").path, engine="none")
    assert _by_subject(check_engine(site))["engine"].verdict is Verdict.WRONG


# the table


def test_a_check_that_fails_is_a_finding_and_the_next_one_runs():
    def check_broken(site: Site) -> Iterator[Finding]:
        yield Finding("first", Verdict.GOOD, "seen")
        raise EdgeRgbtError("the rest cannot be told; look there")

    findings = list(examine(Site(configured=True), (check_broken, check_gstreamer)))
    assert [f.subject for f in findings] == ["first", "broken", "GStreamer"]
    assert findings[1].verdict is Verdict.WRONG
