"""From pairs to graph inputs, per family: raw crops, or fused images with a template that is renewed.

The tracker asks for the feeds of the next search crop and tells afterwards what became of the frame.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from edge_rgbt.adapter.base import Adapter
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.imageops import CropGeometry, crop_geometry, crop_square, crop_thermal, dim_surroundings
from edge_rgbt.manifest import Manifest
from edge_rgbt.types import Box, FramePair, StageTiming

Feeds = dict[str, np.ndarray]
Timings = tuple[StageTiming, ...]

# Families whose graph takes raw template and search crops of both modalities.
CROP_FAMILIES = ("ckd", "transcmd")
FUSED_FAMILY = "tpf"


@dataclass(frozen=True, slots=True)
class Crops:
    """The same square of both pictures, uint8 `[1, S, S, 3]`."""

    rgb: np.ndarray
    tir: np.ndarray

    @classmethod
    def cut(cls, pair: FramePair, geometry: CropGeometry) -> Crops:
        return cls(crop_square(pair.rgb.image, geometry)[None], crop_thermal(pair.tir.image, geometry)[None])


class Inputs(ABC):
    """What a family's graph is fed. One target at a time; `start` begins with the next one."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._kept: Feeds = {}

    @abstractmethod
    def start(self, pair: FramePair, box: Box) -> Timings:
        """Takes the template around the given box."""

    @abstractmethod
    def search(self, pair: FramePair, geometry: CropGeometry) -> tuple[Feeds, Timings]:
        """All graph inputs for one search crop."""

    def settle(self, pair: FramePair, box: Box, confidence: float) -> Timings:
        """Hears what was found in the pair: the box, and the score of its cell before the window."""
        return ()

    def close(self) -> None:
        """Ends what the inputs opened; they cannot be used afterwards."""

    def _template(self, pair: FramePair, box: Box) -> Crops:
        m = self.manifest
        geometry = crop_geometry(box, m.template_factor, m.template_size)
        crops = Crops.cut(pair, geometry)
        extent = box.w / geometry.side, box.h / geometry.side
        dimming = m.tracker.template_dimming
        return Crops(*(dim_surroundings(crop[0], *extent, dimming)[None] for crop in (crops.rgb, crops.tir)))


class RawCrops(Inputs):
    """Four uint8 crops; normalisation lives in the graph."""

    def start(self, pair: FramePair, box: Box) -> Timings:
        began = time.perf_counter_ns()
        crops = self._template(pair, box)
        self._kept = {"template_rgb": crops.rgb, "template_tir": crops.tir}
        return _timing("crop", began)

    def search(self, pair: FramePair, geometry: CropGeometry) -> tuple[Feeds, Timings]:
        began = time.perf_counter_ns()
        crops = Crops.cut(pair, geometry)
        return {**self._kept, "search_rgb": crops.rgb, "search_tir": crops.tir}, _timing("crop", began)


class FusedImages(Inputs):
    """Fused images; the dynamic template follows tpf.md section 8, fused only when it is renewed.

    A frame whose confidence is above the threshold becomes the newest reliable one; every `interval_frames`
    that becomes the dynamic template, if it is newer than the one in use. Without `dynamic_template` in the
    manifest the template serves as both for good.
    """

    def __init__(self, manifest: Manifest, adapter: Adapter) -> None:
        super().__init__(manifest)
        self.adapter = adapter
        self._dtype = next(spec.dtype for spec in manifest.inputs if spec.name == "search")
        self._frame = 0  # frames since the start
        self._reliable: Crops | None = None  # only while it is newer than the dynamic template in use

    def start(self, pair: FramePair, box: Box) -> Timings:
        began = time.perf_counter_ns()
        crops = self._template(pair, box)
        cropped = time.perf_counter_ns()
        template = self._fused(crops)
        self._kept = {"template": template, "dynamic": template}
        self._frame = 0
        self._reliable = None
        return (StageTiming("crop", cropped - began), *_timing("fuse", cropped))

    def search(self, pair: FramePair, geometry: CropGeometry) -> tuple[Feeds, Timings]:
        began = time.perf_counter_ns()
        crops = Crops.cut(pair, geometry)
        cropped = time.perf_counter_ns()
        feeds = {**self._kept, "search": self._fused(crops)}
        return feeds, (StageTiming("crop", cropped - began), *_timing("fuse", cropped))

    def settle(self, pair: FramePair, box: Box, confidence: float) -> Timings:
        self._frame += 1
        dynamic = self.manifest.dynamic_template
        if dynamic is None:
            return ()
        began = time.perf_counter_ns()
        if confidence > dynamic.score_threshold:
            self._reliable = self._template(pair, box)
        cropped = time.perf_counter_ns()
        if self._reliable is not None and self._frame % dynamic.interval_frames == 0:
            self._kept["dynamic"] = self._fused(self._reliable)
            self._reliable = None
        return (StageTiming("crop", cropped - began), *_timing("fuse", cropped))

    def close(self) -> None:
        self.adapter.close()

    def _fused(self, crops: Crops) -> np.ndarray:
        return self.adapter.fuse(crops.rgb, crops.tir).astype(self._dtype, copy=False)


def make_inputs(manifest: Manifest, adapter: Adapter | None = None) -> Inputs:
    """The inputs of the manifest's family. Raises EdgeRgbtError if it has none, or lacks its adapter."""
    if manifest.family in CROP_FAMILIES:
        return RawCrops(manifest)
    if manifest.family == FUSED_FAMILY and adapter is not None:
        return FusedImages(manifest, adapter)
    reason = "needs an adapter" if manifest.family == FUSED_FAMILY else "has no runtime in this version"
    raise EdgeRgbtError(f"bundle {manifest.name} is of family '{manifest.family}', which {reason}")


def _timing(stage: str, began_ns: int) -> Timings:
    return (StageTiming(stage, time.perf_counter_ns() - began_ns),)
