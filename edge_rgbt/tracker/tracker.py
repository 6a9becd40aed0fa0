"""The tracking state machine: idle, started on a box, updated pair by pair, stopped."""

from __future__ import annotations

import time

import numpy as np

from edge_rgbt.engine.base import Engine
from edge_rgbt.errors import EdgeRgbtError, EngineError, UsageError
from edge_rgbt.imageops import (
    CropGeometry,
    clip_box,
    crop_geometry,
    crop_square,
    crop_thermal,
    decode_peak,
    hann_window,
    picture_box,
)
from edge_rgbt.manifest import Manifest
from edge_rgbt.tracker.presence import Presence
from edge_rgbt.types import Box, FramePair, StageTiming, TrackState, TrackStatus

# Families whose graph takes raw template and search crops of both modalities.
CROP_FAMILIES = ("ckd",)
# A first box this many times as wide or high as the picture is a mistake (wrong units, wrong order).
LARGEST_START = 4.0


class Tracker:
    """Single-object tracker over aligned pairs; owns the template, the last box and the status.

    The box is always finite and inside the picture; the loop never stops predicting when the target is LOST.
    """

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        if manifest.family not in CROP_FAMILIES:
            raise EdgeRgbtError(
                f"bundle {manifest.name} is of family '{manifest.family}', this version tracks with "
                f"{', '.join(CROP_FAMILIES)}; choose another bundle"
            )
        self.manifest = manifest
        self.engine = engine
        self.score_map: np.ndarray | None = None
        settings = manifest.tracker
        self._window = hann_window(manifest.map_size)
        self._presence = Presence(manifest.lost_threshold, settings.lost_frames, settings.found_frames)
        self._box: Box | None = None
        self._template: dict[str, np.ndarray] = {}

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
        began = time.perf_counter_ns()
        m = self.manifest
        self._template = _crops("template", pair, crop_geometry(box, m.template_factor, m.template_size))
        self._box = box
        self._presence.reset()
        self.score_map = None
        cropped = StageTiming("crop", time.perf_counter_ns() - began)
        return TrackState(box, 1.0, TrackStatus.TRACKING, pair.timestamp_ns, pair.skew_ns, (cropped,))

    def update(self, pair: FramePair) -> TrackState:
        """Finds the target in the next pair.

        Raises EngineError if the engine fails or answers with NaN or infinity; the last box stays.
        """
        _require_aligned(pair)
        if self._box is None:
            raise RuntimeError("the tracker has no target; call start first")
        m = self.manifest
        t0 = time.perf_counter_ns()
        geometry = crop_geometry(self._box, m.search_factor, m.search_size)
        feeds = {**self._template, **_crops("search", pair, geometry)}
        t1 = time.perf_counter_ns()
        maps = self.engine.run(feeds)
        t2 = time.perf_counter_ns()
        box, score = self._decode(maps, geometry, self._box, pair)
        status = self._presence.update(score)
        self._box = box
        t3 = time.perf_counter_ns()
        timings = (
            StageTiming("crop", t1 - t0),
            StageTiming("infer", t2 - t1),
            StageTiming("decode", t3 - t2),
        )
        return TrackState(box, score, status, pair.timestamp_ns, pair.skew_ns, timings)

    def stop(self) -> None:
        """Forgets the target; `start` takes up another one."""
        self._box = None
        self._template = {}
        self.score_map = None

    def _decode(
        self, maps: dict[str, np.ndarray], geometry: CropGeometry, last: Box, pair: FramePair
    ) -> tuple[Box, float]:
        """The new box, clipped to the picture, and the peak of the score before the window."""
        score, size, offset = maps["score"][0, 0], maps["size"][0], maps["offset"][0]
        for name, values in (("score", score), ("size", size), ("offset", offset)):
            if not np.isfinite(values).all():
                info = self.engine.info
                raise EngineError(
                    f"engine {info.engine} ({info.precision}, {info.device}) returned numbers that are not "
                    f"finite in '{name}' for the pair at {pair.timestamp_ns} ns; check the bundle"
                )
        settings = self.manifest.tracker
        peak = decode_peak(score, size, offset, self._window, settings.window_weight)
        x, y, w, h = picture_box(peak, geometry)
        if settings.size_smoothing:
            cx, cy, s = x + 0.5 * w, y + 0.5 * h, settings.size_smoothing
            w, h = (1.0 - s) * w + s * last.w, (1.0 - s) * h + s * last.h
            x, y = cx - 0.5 * w, cy - 0.5 * h
        self.score_map = score.copy()  # an engine may reuse its output memory
        clipped = clip_box((x, y, w, h), pair.rgb.width, pair.rgb.height, settings.clip_margin_px)
        return clipped, min(max(peak.score, 0.0), 1.0)


def _crops(prefix: str, pair: FramePair, geometry: CropGeometry) -> dict[str, np.ndarray]:
    """Both modalities' crops as graph inputs, uint8 `[1, S, S, 3]`."""
    return {
        f"{prefix}_rgb": crop_square(pair.rgb.image, geometry)[None],
        f"{prefix}_tir": crop_thermal(pair.tir.image, geometry)[None],
    }


def _require_aligned(pair: FramePair) -> None:
    if not pair.aligned:
        raise ValueError("the tracker takes aligned pairs; pass them through register first")


def _text(box: Box) -> str:
    return ",".join(f"{value:g}" for value in box.as_tuple())
