"""Opens each configured camera for a moment and watches what it delivers."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.health.checks.finding import CameraToCheck, Finding, Site, good, note, wrong
from edge_rgbt.types import Frame

FRAMES = 12
_RATE_TOLERANCE = 0.2


def check_cameras(site: Site) -> Iterator[Finding]:
    """A finding per camera; without any, what devices could be one."""
    for camera in site.cameras:
        yield _examine(camera, site.camera_s)
    if not site.cameras:
        devices = [f"/dev/{name}" for name in site.tree.names("/dev", r"video\d+")]
        found = f"video devices: {', '.join(devices)}" if devices else "no video device here"
        yield note("cameras", f"none configured; {found}", "give --config FILE to try its cameras")


@dataclass
class _Watch:
    """What a camera did so far; written by the thread that reads it."""

    frames: list[Frame] = field(default_factory=list)
    problem: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    enough: threading.Event = field(default_factory=threading.Event)


def _examine(camera: CameraToCheck, patience_s: float) -> Finding:
    subject = f"camera {camera.name}"
    watch = _Watch()
    # A driver that hangs must not hang the doctor: the thread is left behind then.
    thread = threading.Thread(target=_read, args=(camera, watch), name=subject, daemon=True)
    began_s = time.monotonic()
    thread.start()
    watch.ended.wait(patience_s)
    watch.enough.set()
    waited_s = time.monotonic() - began_s
    if watch.problem:
        return wrong(subject, watch.problem)
    if not watch.frames:
        advice = "check cable, power and the other users of the device"
        return wrong(subject, f"no frame in {waited_s:.1f} s", advice)
    thread.join(patience_s)
    return _judge(subject, camera, list(watch.frames))


def _read(camera: CameraToCheck, watch: _Watch) -> None:
    try:
        with camera.make() as opened:
            while len(watch.frames) < FRAMES and not watch.enough.is_set():
                frame = opened.read()
                if frame is None:
                    break
                watch.frames.append(frame)
    except (EdgeRgbtError, OSError) as error:
        watch.problem = str(error)
    finally:
        watch.ended.set()


def _judge(subject: str, camera: CameraToCheck, frames: list[Frame]) -> Finding:
    first = frames[0]
    kind = f"{first.width}x{first.height} {first.pixel_format.value}"
    source = f"times from {first.time_source.value}, ±{first.time_uncertainty_ns / 1e6:.1f} ms"
    if len(frames) < 3:
        return good(subject, f"{kind}, {source}")
    # Frames that nobody fetched in time leave gaps in the sequence and are no fault of the camera.
    periods_ns = [
        (b.timestamp_ns - a.timestamp_ns) / max(b.sequence - a.sequence, 1)
        for a, b in itertools.pairwise(frames)
    ]
    median_ns = statistics.median(periods_ns)
    if median_ns <= 0:
        return wrong(subject, f"{kind}, {source}: its times stand still or run backwards", "see its clock")
    rate_hz = 1e9 / median_ns
    text = f"{kind}, {rate_hz:.1f} Hz, {source}"
    if camera.rate_hz and abs(rate_hz / camera.rate_hz - 1) > _RATE_TOLERANCE:
        advice = "correct rate_hz, or look why (exposure time, USB bandwidth)"
        return wrong(subject, f"{text}, but the configuration says {camera.rate_hz:g} Hz", advice)
    return good(subject, text)
