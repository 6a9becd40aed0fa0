"""The tracking state machine: idle, started on a box, updated pair by pair, stopped."""

from __future__ import annotations

import time

import numpy as np

from edge_rgbt.adapter.base import Adapter
from edge_rgbt.engine.base import Engine
from edge_rgbt.errors import EngineError, UsageError
from edge_rgbt.imageops import (
    CropGeometry,
    clip_box,
    crop_geometry,
    decode_peak,
    hann_window,
    picture_box,
    shape_prior,
)
from edge_rgbt.manifest import Manifest
from edge_rgbt.tracker.inputs import make_inputs
from edge_rgbt.tracker.presence import Presence
from edge_rgbt.tracker.size_memory import SizeMemory
from edge_rgbt.types import Box, FramePair, StageTiming, TrackState, TrackStatus

# A first box this many times as wide or high as the picture is a mistake (wrong units, wrong order).
LARGEST_START = 4.0


class Tracker:
    """Single-object tracker over aligned pairs; owns the last box and the status; its inputs, the templates.

    adapter: what fuses crops, for the family that tracks in fused images.
    The box is always finite and inside the picture; the loop never stops predicting when the target is LOST.
    """

    def __init__(self, manifest: Manifest, engine: Engine, adapter: Adapter | None = None) -> None:
        self._inputs = make_inputs(manifest, adapter)
        self.manifest = manifest
        self.engine = engine
        self.adapter = adapter
        self.score_map: np.ndarray | None = None
        settings = manifest.tracker
        self._window = hann_window(manifest.map_size)
        self._presence = Presence(manifest.lost_threshold, settings.lost_frames, settings.found_frames)
        self._size_memory = SizeMemory(settings.size_rate_per_s, settings.size_band)
        self._box: Box | None = None

    @property
    def status(self) -> TrackStatus:
        return TrackStatus.IDLE if self._box is None else self._presence.status

    def start(self, pair: FramePair, box: Box) -> TrackState:
        """Takes what lies in `box` as the template. Raises UsageError if the box is impossible."""
        _require_aligned(pair)
        width, height = pair.rgb.width, pair.rgb.height
        if not box.touches(width, height):
            raise UsageError(
                f"start box {_text(box)} lies outside the {width}x{height} picture; give x,y,w,h in pixels"
            )
        if box.w > LARGEST_START * width or box.h > LARGEST_START * height:
            raise UsageError(f"start box {_text(box)} is far larger than the {width}x{height} picture")
        timings = self._inputs.start(pair, box)
        self._box = box
        self._presence.reset()
        self._size_memory.reset(box.w, box.h, pair.timestamp_ns)
        self.score_map = None
        return TrackState(box, 1.0, TrackStatus.TRACKING, pair.timestamp_ns, pair.skew_ns, timings)

    def update(self, pair: FramePair) -> TrackState:
        """Finds the target in the next pair.

        Raises EngineError if the engine fails or answers with NaN or infinity; the last box stays.
        """
        _require_aligned(pair)
        if self._box is None:
            raise RuntimeError("the tracker has no target; call start first")
        m = self.manifest
        geometry = crop_geometry(self._box, m.search_factor, m.search_size)
        feeds, prepared = self._inputs.search(pair, geometry)
        t0 = time.perf_counter_ns()
        maps = self.engine.run(feeds)
        t1 = time.perf_counter_ns()
        box, score, confidence = self._decode(maps, geometry, self._box, pair)
        status = self._presence.update(score)
        self._box = box
        t2 = time.perf_counter_ns()
        answered = (StageTiming("infer", t1 - t0), StageTiming("decode", t2 - t1))
        settled = self._inputs.settle(pair, box, confidence)
        timings = _summed((*prepared, *answered, *settled))
        return TrackState(box, score, status, pair.timestamp_ns, pair.skew_ns, timings)

    def stop(self) -> None:
        """Forgets the target; `start` takes up another one."""
        self._box = None
        self.score_map = None

    def close(self) -> None:
        """Releases the engine and the adapter; the tracker cannot be used afterwards."""
        self.stop()
        self._inputs.close()
        self.engine.close()

    def _decode(
        self, maps: dict[str, np.ndarray], geometry: CropGeometry, last: Box, pair: FramePair
    ) -> tuple[Box, float, float]:
        """The new box, clipped to the picture; the score before the window, at its peak and in its cell."""
        score, size, offset = maps["score"][0, 0], maps["size"][0], maps["offset"][0]
        for name, values in (("score", score), ("size", size), ("offset", offset)):
            if not np.isfinite(values).all():
                info = self.engine.info
                raise EngineError(
                    f"engine {info.engine} ({info.precision}, {info.device}) returned numbers that are not "
                    f"finite in '{name}' for the pair at {pair.timestamp_ns} ns; check the bundle"
                )
        settings = self.manifest.tracker
        prior = None
        if settings.shape_penalty:
            prior = shape_prior(size, last.w / geometry.side, last.h / geometry.side, settings.shape_penalty)
        peak = decode_peak(score, size, offset, self._window, settings.window_weight, prior)
        x, y, w, h = picture_box(peak, geometry)
        confidence = float(score[peak.row, peak.col])
        cx, cy, kept = x + 0.5 * w, y + 0.5 * h, settings.size_smoothing
        w, h = (1.0 - kept) * w + kept * last.w, (1.0 - kept) * h + kept * last.h
        if settings.size_rate_per_s:
            w, h = self._size_memory.bounded(w, h, pair.timestamp_ns)
        x, y = cx - 0.5 * w, cy - 0.5 * h
        self.score_map = score.copy()  # an engine may reuse its output memory
        clipped = clip_box((x, y, w, h), pair.rgb.width, pair.rgb.height, settings.clip_margin_px)
        return clipped, min(max(peak.score, 0.0), 1.0), confidence


def _summed(timings: tuple[StageTiming, ...]) -> tuple[StageTiming, ...]:
    """One entry per stage, in the order in which they began."""
    sums: dict[str, int] = {}
    for timing in timings:
        sums[timing.stage] = sums.get(timing.stage, 0) + timing.duration_ns
    return tuple(StageTiming(stage, duration) for stage, duration in sums.items())


def _require_aligned(pair: FramePair) -> None:
    if not pair.aligned:
        raise ValueError("the tracker takes aligned pairs; pass them through register first")


def _text(box: Box) -> str:
    return ",".join(f"{value:g}" for value in box.as_tuple())
