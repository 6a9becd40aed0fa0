"""What the doctor says about board, power, clock, disk and GStreamer: fake trees, real files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import desktop_pc, orin_nx, write_tree

from edge_rgbt.health.checks import Finding, Site, Verdict
from edge_rgbt.health.checks.board import CAMERA_PACKAGES, check_board, check_power
from edge_rgbt.health.checks.clock import check_clock
from edge_rgbt.health.checks.disk import check_disk
from edge_rgbt.health.checks.gstreamer import check_gstreamer, pipeline_elements

CSI = "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM), width=1280 ! nvvidconv ! appsink"


def _by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def _only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


# board and power


def _installed(root: Path, *versions: str) -> Path:
    """A dpkg database in which the four camera packages have these versions."""
    if shutil.which("dpkg-query") is None:
        pytest.skip("needs dpkg-query (Debian or Ubuntu)")
    packages = "\n".join(
        f"Package: {name}\nStatus: install ok installed\nMaintainer: x <x@y>\nArchitecture: arm64\n"
        f"Version: {version}\nDescription: x\n"
        for name, version in zip(CAMERA_PACKAGES, versions, strict=False)
    )
    write_tree(root, {"var/lib/dpkg/status": packages})
    return root


def test_an_orin_tells_model_and_release(tmp_path):
    board = _by_subject(check_board(Site(root=orin_nx(tmp_path))))["board"]
    assert board.verdict is Verdict.GOOD
    assert "Orin NX" in board.found
    assert "L4T 36.4.4 (JetPack 6.2.1)" in board.found


def test_an_untested_release_is_noted(tmp_path):
    write_tree(tmp_path, {"etc/nv_tegra_release": "# R38 (release), REVISION: 2.0, GCID: 1"})
    board = _by_subject(check_board(Site(root=tmp_path)))["board"]
    assert (board.verdict, "38.2.0" in board.found) == (Verdict.NOTE, True)


def test_a_pc_is_no_jetson_and_that_is_not_wrong(tmp_path):
    finding = _only(check_board(Site(root=desktop_pc(tmp_path))))
    assert (finding.verdict, "no Jetson" in finding.found) == (Verdict.NOTE, True)


@pytest.mark.parametrize(
    ("versions", "verdict", "part"),
    [
        (["36.4.4-20250616085344"] * 4, Verdict.GOOD, "camera 36.4.4"),
        (["36.4.4-20250616085344+ark1"] * 4, Verdict.GOOD, "+ark1"),
        (["36.4.7-20250918154033"] * 4, Verdict.WRONG, "restarts fail"),
        (["36.5.0-20260115194252"] * 4, Verdict.WRONG, "restarts fail"),
        (["36.4.4-1", "36.4.4-1", "36.5.0-1", "36.4.4-1"], Verdict.WRONG, "restarts fail"),
        (["36.4.4-1", "36.4.4-1", "36.4.3-1", "36.4.4-1"], Verdict.WRONG, "different releases"),
        (["36.4.4-1"] * 3, Verdict.WRONG, "without nvidia-l4t-multimedia-utils"),
        ([], Verdict.WRONG, "none of NVIDIA's"),
    ],
)
def test_versions_of_the_camera_packages(tmp_path, versions, verdict, part):
    root = _installed(orin_nx(tmp_path), *versions)
    finding = _by_subject(check_board(Site(root=root, configured=True, pipelines=(CSI,))))["CSI camera"]
    assert (finding.verdict, part in finding.found) == (verdict, True)
    assert ("36.4.4" in finding.advice or "install" in finding.advice) == (verdict is Verdict.WRONG)


def test_regressed_packages_are_only_noted_without_a_csi_camera(tmp_path):
    root = _installed(orin_nx(tmp_path), *["36.5.0-1"] * 4)
    assert _by_subject(check_board(Site(root=root)))["CSI camera"].verdict is Verdict.NOTE


def test_a_low_gpu_cap_is_noted_with_its_mode(tmp_path):
    findings = _by_subject(check_power(Site(root=orin_nx(tmp_path))))
    assert findings["power mode"].found == "25W"
    assert findings["GPU clock"].verdict is Verdict.NOTE
    assert "capped at 408 MHz of 918 MHz" in findings["GPU clock"].found


def test_clocks_that_follow_the_load_are_noted_and_locked_ones_are_good(tmp_path):
    follow = _by_subject(check_power(Site(root=orin_nx(tmp_path / "orin"))))["clocks"]
    assert (follow.verdict, "jetson_clocks" in follow.advice) == (Verdict.NOTE, True)
    assert _by_subject(check_power(Site(root=desktop_pc(tmp_path / "pc"))))["clocks"].verdict is Verdict.GOOD


def test_a_board_that_throttles_is_wrong(tmp_path):
    write_tree(orin_nx(tmp_path), {"sys/class/thermal/cooling_device2/cur_state": 1})
    finding = _by_subject(check_power(Site(root=tmp_path)))["throttling"]
    assert (finding.verdict, finding.found) == (Verdict.WRONG, "at work now: cpu-throttle-alert")


def test_over_current_events_and_the_hottest_sensor_are_told(tmp_path):
    findings = _by_subject(check_power(Site(root=orin_nx(tmp_path))))
    assert findings["over-current"].found == "events since boot: oc2 15, oc3 37"
    assert findings["temperature"].found == "tj is the hottest with 55.0 C, throttles at 99 C"


# clock


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("arch_sys_counter", Verdict.GOOD),
        ("tsc", Verdict.GOOD),
        ("hpet", Verdict.WRONG),
        (None, Verdict.NOTE),
    ],
)
def test_the_clock_source_must_be_a_counter(tmp_path, source, verdict):
    if source is not None:
        write_tree(tmp_path, {"sys/devices/system/clocksource/clocksource0/current_clocksource": source})
    assert _by_subject(check_clock(Site(root=tmp_path)))["clock source"].verdict is verdict


def test_this_machines_clocks_can_be_told(tmp_path):
    write_tree(tmp_path, {"sys/class/ptp/ptp0/clock_name": "eqos"})
    findings = _by_subject(check_clock(Site(root=tmp_path)))
    assert findings["monotonic clock"].verdict is Verdict.GOOD
    assert findings["wall clock"].verdict in (Verdict.GOOD, Verdict.NOTE)
    assert findings["PTP"].found.startswith("ptp0 (eqos)")


# disk


def test_a_disk_with_room_is_tried_and_left_as_it_was(tmp_path):
    findings = _by_subject(check_disk(Site(record_folder=tmp_path / "flights", disk_free_mb=1)))
    assert findings["disk"].verdict is Verdict.GOOD
    assert "MB/s" in findings["disk speed"].found
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_wrong(tmp_path):
    finding = _only(check_disk(Site(record_folder=tmp_path, disk_free_mb=1e12)))
    assert (finding.verdict, "delete" in finding.advice) == (Verdict.WRONG, True)


def test_a_folder_that_nobody_can_write_is_wrong():
    finding = _only(check_disk(Site(record_folder=Path("/proc"), disk_free_mb=0)))
    assert finding.verdict is Verdict.WRONG


def test_recording_to_memory_is_noted(tmp_path):
    write_tree(tmp_path, {"proc/self/mounts": f"/dev/sda / ext4 rw 0 0\ntmpfs {tmp_path} tmpfs rw 0 0"})
    findings = list(check_disk(Site(record_folder=tmp_path, root=tmp_path, disk_free_mb=1)))
    assert any("is on tmpfs" in f.found and f.verdict is Verdict.NOTE for f in findings)


def test_without_recording_no_disk_is_needed():
    assert _only(check_disk(Site(configured=True))).verdict is Verdict.NOTE


# GStreamer


def test_elements_of_pipelines_are_told_from_caps_and_properties():
    pipelines = (
        CSI,
        'rtspsrc location="rtsp://h/a!b" latency=0 ! d. d. ! video/x-raw, width = 4 ! a-b name=d',
    )
    assert pipeline_elements(pipelines) == ["nvarguscamerasrc", "nvvidconv", "appsink", "rtspsrc", "a-b"]


def test_a_missing_element_of_the_configuration_is_wrong_and_named_with_its_package():
    if shutil.which("gst-inspect-1.0") is None:
        pytest.skip("needs gst-inspect-1.0 (Debian package gstreamer1.0-tools)")
    findings = check_gstreamer(Site(configured=True, pipelines=("videotestsrc ! nonesuch ! nvvidconv",)))
    finding = _by_subject(findings)["GStreamer"]
    assert finding.verdict is Verdict.WRONG
    assert "nonesuch" in finding.found
    assert "nvidia-l4t-gstreamer" in finding.advice


def test_elements_that_are_there_are_good():
    if shutil.which("gst-inspect-1.0") is None:
        pytest.skip("needs gst-inspect-1.0 (Debian package gstreamer1.0-tools)")
    site = Site(configured=True, pipelines=("videotestsrc ! fakesink",))
    findings = [f for f in check_gstreamer(site) if "PyGObject" not in f.found]
    assert [(f.verdict, "videotestsrc" in f.found) for f in findings] == [(Verdict.GOOD, True)]


def test_gstreamer_is_not_asked_for_where_no_camera_uses_it():
    assert _only(check_gstreamer(Site(configured=True))).verdict is Verdict.NOTE
