"""Keeping cameras delivering over stalls and failures."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest
from senders import free_port, require_elements, rtp_receiver, rtp_sender, settings

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.feed import CameraFeed
from edge_rgbt.cameras.gstreamer import GStreamerCamera
from edge_rgbt.errors import CameraError, CameraStalledError, SequenceError
from edge_rgbt.types import Frame, Modality

FRAME = "frame"


class ScriptedCamera(Camera):
    """A camera that behaves as its script says: one entry for each call of `open` or `read`."""

    modality, name = Modality.TIR, "scripted"

    def __init__(self, *script: object) -> None:
        self._script = iter(script)
        self.closed = 0
        self.count = 0

    def open(self) -> None:
        self._act()

    def read(self) -> Frame | None:
        if not self._act():
            return None
        self.count += 1
        return Frame(np.zeros((8, 8), np.uint8), Modality.TIR, self.count, self.count)

    def close(self) -> None:
        self.closed += 1

    def _act(self) -> object:
        entry = next(self._script)
        if isinstance(entry, Exception):
            raise entry
        return entry


def _run(*script: object) -> tuple[CameraFeed, list[Frame]]:
    feed = CameraFeed(ScriptedCamera(*script), threading.Event())
    return feed, list(feed.frames())


def test_a_stalled_camera_is_closed_and_opened_again():
    feed, frames = _run("open", FRAME, CameraStalledError("quiet"), "open", FRAME, FRAME, None)
    assert len(frames) == 3
    counters = feed.counters
    assert (counters.frames, counters.opened, counters.stalled, counters.failed) == (3, 2, 1, 0)
    assert feed.camera.closed == 2


def test_a_camera_that_cannot_be_opened_is_tried_until_it_can():
    feed, frames = _run(CameraError("away"), CameraError("away"), "open", FRAME, None)
    assert len(frames) == 1
    assert (feed.counters.failed, feed.counters.opened) == (2, 1)


def test_the_same_fault_is_logged_once(caplog):
    caplog.set_level(logging.INFO)
    _run(*[CameraError("away")] * 2, "open", FRAME, CameraError("away"), "open", FRAME, None)
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == ["away", "away"]
    assert sum("scripted delivers 8x8 GRAY8, times from recorded" in m for m in caplog.messages) == 2


def test_live_and_fault_tell_how_it_stands():
    feed = CameraFeed(
        ScriptedCamera("open", FRAME, CameraStalledError("quiet"), "open", FRAME, None), threading.Event()
    )
    seen = [(feed.live, feed.fault) for _ in feed.frames()]
    assert seen == [(True, ""), (True, "")]
    assert not feed.live


def test_a_damaged_picture_is_counted_and_passed_over():
    feed, frames = _run("open", FRAME, SequenceError("1.png"), FRAME, None)
    assert len(frames) == 2
    assert (feed.counters.damaged, feed.counters.opened) == (1, 1)


def test_a_recording_of_nothing_but_damage_ends_with_its_error():
    with pytest.raises(SequenceError, match="empty"):
        _run("open", *[SequenceError("empty")] * 200)


def test_stop_ends_it_while_it_waits_for_a_camera():
    stop = threading.Event()
    feed = CameraFeed(ScriptedCamera(*[CameraError("away")] * 100), stop)
    thread = threading.Thread(target=lambda: list(feed.frames()))
    thread.start()
    time.sleep(0.05)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert feed.counters.failed < 100


@pytest.mark.slow
def test_a_camera_that_comes_back_is_in_use_again_within_two_seconds():
    require_elements("rtpjpegdepay", "jpegdec", "jpegenc")
    port, stop = free_port(), threading.Event()
    feed = CameraFeed(
        GStreamerCamera(
            settings(rtp_receiver(port), start_timeout_ms=2000.0, stall_timeout_ms=300.0), Modality.TIR
        ),
        stop,
    )
    arrived: list[int] = []

    def read() -> None:
        for _ in feed.frames():
            arrived.append(time.monotonic_ns())

    thread = threading.Thread(target=read)
    thread.start()
    try:
        waits_s = []
        for away_s in (0.0, 1.0, 2.7, 3.3):  # the sender is missed in different moments of trying again
            time.sleep(away_s)
            with rtp_sender(port):
                back_ns, before = time.monotonic_ns(), len(arrived)
                while len(arrived) == before and time.monotonic_ns() < back_ns + 20_000_000_000:
                    time.sleep(0.01)
                waits_s.append((arrived[-1] - back_ns) / 1e9 if len(arrived) > before else 20.0)
                time.sleep(0.3)
    finally:
        stop.set()
        thread.join(10)
    assert max(waits_s) < 2.0
    assert feed.counters.opened == len(waits_s)
