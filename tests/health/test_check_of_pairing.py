"""The doctor runs both cameras at once: do their times meet, and is the calibration for their pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from edge_rgbt.cameras.base import Camera
from edge_rgbt.errors import CameraError
from edge_rgbt.health.checks import CameraToCheck, Finding, Site, Verdict
from edge_rgbt.health.checks import pairing as checked
from edge_rgbt.health.checks.pairing import check_pairing
from edge_rgbt.rig import Rig, RigCamera
from edge_rgbt.sync import PairSynchroniser
from edge_rgbt.types import Frame, Modality

PERIOD_S = 0.02


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(checked, "WATCHED_S", 0.4)


class Live(Camera):
    """A camera at 50 Hz on this computer's clock, give or take an offset."""

    def __init__(self, modality: Modality, offset_s: float = 0.0) -> None:
        self.modality, self.name, self._offset_s, self._count = (
            modality,
            f"live {modality.value}",
            offset_s,
            0,
        )

    def read(self) -> Frame | None:
        now_s = time.monotonic()
        number = int(now_s / PERIOD_S) + 1
        time.sleep(number * PERIOD_S - now_s)
        stamp_ns = round((number * PERIOD_S + self._offset_s) * 1e9)
        shape = (24, 32, 3) if self.modality is Modality.RGB else (24, 32)
        return Frame(np.zeros(shape, np.uint8), self.modality, stamp_ns, number, self.name)


class Gone(Live):
    def open(self) -> None:
        raise CameraError("it is not there")


def site(tir: Camera, offset_ms: float = 0.0, **more) -> Site:
    cameras = (
        CameraToCheck("rgb", lambda: Live(Modality.RGB), None, Modality.RGB),
        CameraToCheck("tir", lambda: tir, None, Modality.TIR),
    )
    sync = PairSynchroniser(8.0, round(offset_ms * 1e6))
    return Site(configured=True, cameras=cameras, camera_s=2.0, pairing=lambda: sync, **more)


def by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_cameras_whose_times_meet_are_good_and_tell_the_skew():
    finding = by_subject(check_pairing(site(Live(Modality.TIR, 0.003))))["pairing"]
    assert finding.verdict is Verdict.GOOD
    assert "within 8 ms, skew +3.0 ms" in finding.found


def test_cameras_whose_times_do_not_meet_are_wrong_and_say_what_to_measure():
    finding = by_subject(check_pairing(site(Live(Modality.TIR, 0.01))))["pairing"]
    assert finding.verdict is Verdict.WRONG
    assert "calibration timing" in finding.advice


def test_a_known_offset_makes_them_meet():
    finding = by_subject(check_pairing(site(Live(Modality.TIR, 0.05), offset_ms=-50.0)))["pairing"]
    assert finding.verdict is Verdict.GOOD


def test_a_clock_of_another_computer_is_wrong():
    findings = by_subject(check_pairing(site(Live(Modality.TIR, -1000.0))))
    assert findings["clock of tir"].verdict is Verdict.WRONG
    assert "-1000." in findings["clock of tir"].found
    assert "pairing" not in findings


def test_without_one_camera_nothing_is_tried():
    finding = by_subject(check_pairing(site(Gone(Modality.TIR))))["pairing"]
    assert finding.verdict is Verdict.NOTE


@pytest.mark.parametrize(("width", "verdict"), [(32, Verdict.GOOD), (64, Verdict.WRONG)])
def test_a_calibration_must_be_for_the_pictures_that_come(width, verdict):
    cameras = [RigCamera("one", width, 24), RigCamera("other", width, 24)]
    rig = Rig(schema=1, made="2026-01-01T00:00:00Z", made_by="test", rgb=cameras[0], tir=cameras[1])
    assert by_subject(check_pairing(site(Live(Modality.TIR), rig=rig)))["calibration"].verdict is verdict


def test_two_real_cameras_without_a_calibration_are_worth_a_word():
    finding = by_subject(check_pairing(site(Live(Modality.TIR), needs_calibration=True)))["calibration"]
    assert finding.verdict is Verdict.NOTE
    assert "calibration register" in finding.advice
