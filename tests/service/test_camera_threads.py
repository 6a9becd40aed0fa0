"""Camera threads outlive what cameras and their drivers do."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.errors import CameraError, SequenceError
from edge_rgbt.service import cameras as threads
from edge_rgbt.service.cameras import CameraThreads
from edge_rgbt.service.inbox import Inbox
from edge_rgbt.service.settings import Cameras
from edge_rgbt.types import Frame, Modality

SETTINGS = CameraSettings(
    "v4l2", device="/dev/null", pixel_format="GRAY8", width_px=32, height_px=24, rate_hz=100
)


class Odd(Camera):
    """Delivers at 200 Hz; before every tenth frame it does what it is told, `times` times."""

    def __init__(self, modality: Modality, odd: Exception | None = None, times: int = 10**9) -> None:
        self.modality, self.name, self._odd, self._times, self._count = modality, "odd", odd, times, 0

    def read(self) -> Frame | None:
        time.sleep(0.005)
        self._count += 1
        if self._odd is not None and self._count % 10 == 0 and self._times:
            self._times -= 1
            raise self._odd
        shape = (24, 32, 3) if self.modality is Modality.RGB else (24, 32)
        return Frame(np.zeros(shape, np.uint8), self.modality, time.monotonic_ns(), self._count)


class Impossible(Odd):
    def open(self) -> None:
        raise SequenceError("nowhere: no such folder")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(threads, "_AFTER_CRASH_S", 0.01)


def running(rgb: Camera, tir: Camera) -> tuple[CameraThreads, Inbox]:
    by_modality, inbox = {Modality.RGB: rgb, Modality.TIR: tir}, Inbox()

    def make(settings: CameraSettings, modality: Modality, playback: Playback) -> Camera:
        return by_modality[modality]

    both = CameraThreads(Cameras(SETTINGS, SETTINGS), inbox, make)
    both.start()
    return both, inbox


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_driver_that_raises_what_it_should_not_is_counted_and_asked_again(caplog):
    both, _ = running(Odd(Modality.RGB, RuntimeError("oops")), Odd(Modality.TIR))
    wait_until(lambda: both.counters(Modality.RGB)["crashed"] >= 3)
    wait_until(lambda: both.counters(Modality.RGB)["frames"] >= 20)
    both.close()
    assert both.counters(Modality.TIR)["crashed"] == 0
    said = [record for record in caplog.records if "its driver failed (RuntimeError)" in record.getMessage()]
    assert len(said) == 1
    assert said[0].exc_info is not None


def test_a_camera_that_breaks_off_is_counted_and_opened_again():
    both, _ = running(Odd(Modality.RGB), Odd(Modality.TIR, CameraError("broke off"), times=1))
    wait_until(lambda: both.counters(Modality.TIR)["opened"] == 2)
    wait_until(lambda: both.counters(Modality.TIR)["frames"] >= 12)
    both.close()
    assert both.counters(Modality.TIR)["failed"] == 1


def test_a_camera_that_can_never_deliver_is_told_apart_from_one_that_may_come():
    both, inbox = running(Odd(Modality.RGB), Impossible(Modality.TIR))

    def ended() -> bool:
        try:
            both.require_possible()
        except SequenceError as error:
            return str(error) == "nowhere: no such folder"
        return False

    wait_until(ended)
    assert not inbox.ended
    both.close()
    other, _ = running(Odd(Modality.RGB), Odd(Modality.TIR, CameraError("not yet")))
    wait_until(lambda: other.counters(Modality.TIR)["failed"] >= 1)
    other.require_possible()
    other.close()
