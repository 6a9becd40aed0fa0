"""Both cameras at once: do their times meet, and is the calibration made for their pictures."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.health.checks.finding import CameraToCheck, Finding, Site, good, note, wrong
from edge_rgbt.types import Frame, FramePair, Modality, Usable

WATCHED_S = 2.0
ENOUGH = 0.8  # of the slower camera's frames that must find a partner
_NEAREST_NS, _FARTHEST_NS = -100_000_000, 5_000_000_000  # from capture to arrival
_TIMING = (
    "measure them with `python -m calibration timing`, or correct pairing.tir_offset_ms and tolerance_ms"
)


@dataclass
class _Watch:
    """What one camera delivered; written by the thread that reads it."""

    frames: list[tuple[int, Frame]] = field(default_factory=list)  # with the time of arrival
    stop: threading.Event = field(default_factory=threading.Event)


def check_pairing(site: Site) -> Iterator[Finding]:
    """Watches both cameras for a while. Needs both; one that gives nothing has its own finding already."""
    cameras = {camera.modality: camera for camera in site.cameras if camera.modality is not None}
    if site.pairing is None or len(cameras) < len(Modality):
        return
    watches = _watched(cameras, site.camera_s)
    began_ns = max((watch.frames[0][0] for watch in watches.values() if watch.frames), default=0)
    for watch in watches.values():  # the time in which one of them was not there yet says nothing
        watch.frames = [entry for entry in watch.frames if entry[0] >= began_ns]
    first = {modality: watch.frames[0][1] for modality, watch in watches.items() if watch.frames}
    if len(first) < len(Modality):
        yield note("pairing", "not tried: it needs both cameras", "see what is said about them")
        return
    yield from _calibration(site, first)
    sync = site.pairing()
    arrivals = sorted((entry for watch in watches.values() for entry in watch.frames), key=lambda e: e[0])
    offsets = {Modality.RGB: 0, Modality.TIR: sync.tir_offset_ns}
    foreign = list(_foreign_clocks(cameras, watches, offsets))
    yield from foreign
    if not foreign:
        pairs = [pair for arrived_ns, frame in arrivals for pair in sync.push(frame, None, arrived_ns)]
        fewest = min(len(watch.frames) for watch in watches.values())
        yield _met(pairs, fewest, sync.tolerance_ns)


def _watched(cameras: dict[Modality, CameraToCheck], patience_s: float) -> dict[Modality, _Watch]:
    watches = {modality: _Watch() for modality in cameras}
    threads = [
        threading.Thread(target=_read, args=(cameras[m], watch), name=f"pairing-{m.value}", daemon=True)
        for m, watch in watches.items()
    ]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + patience_s
    while not all(watch.frames for watch in watches.values()) and time.monotonic() < until_s:
        time.sleep(0.02)
    time.sleep(WATCHED_S)
    for watch in watches.values():
        watch.stop.set()
    for thread in threads:
        thread.join(1.0)
    return watches


def _read(camera: CameraToCheck, watch: _Watch) -> None:
    try:
        with camera.make() as opened:
            while not watch.stop.is_set() and (frame := opened.read()) is not None:
                watch.frames.append((time.monotonic_ns(), frame))
    except (EdgeRgbtError, OSError):
        return  # said by the check of this camera


def _calibration(site: Site, first: dict[Modality, Frame]) -> Iterator[Finding]:
    sizes = [(first[m].width, first[m].height) for m in (Modality.RGB, Modality.TIR)]
    if site.rig is None:
        if site.needs_calibration:
            advice = "measure one with `python -m calibration register`"
            yield note(
                "calibration", "none: both views count as equal, which two real cameras' are not", advice
            )
        return
    try:
        site.rig.for_sizes(*sizes)
    except UsageError as error:
        yield wrong("calibration", str(error))
    else:
        yield good("calibration", f"of {site.rig.made}, for these pictures")


def _foreign_clocks(
    cameras: dict[Modality, CameraToCheck], watches: dict[Modality, _Watch], offsets: dict[Modality, int]
) -> Iterator[Finding]:
    """Cameras whose times cannot be of this computer's clock."""
    for modality, watch in watches.items():
        lags = [arrived - frame.timestamp_ns - offsets[modality] for arrived, frame in watch.frames]
        lag_ns = statistics.median(lags)
        if not _NEAREST_NS <= lag_ns <= _FARTHEST_NS:
            found = f"times lie {-lag_ns / 1e9:+.3f} s from this computer's clock when frames arrive"
            yield wrong(f"clock of {cameras[modality].name}", found, _TIMING)


def _met(pairs: list[FramePair], fewest: int, tolerance_ns: int) -> Finding:
    both = [pair for pair in pairs if pair.usable is Usable.BOTH]
    text = f"{len(both)} pairs of {fewest} frames of the slower camera within {tolerance_ns / 1e6:g} ms"
    if both:
        text += f", skew {statistics.median(pair.skew_ns for pair in both) / 1e6:+.1f} ms"
    return good("pairing", text) if len(both) >= ENOUGH * (fewest - 2) else wrong("pairing", text, _TIMING)
