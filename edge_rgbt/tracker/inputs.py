"""From pairs to graph inputs, per family: raw crops, or fused images with a template that is renewed.

The tracker asks for the feeds of the next search crop and tells afterwards what became of the frame.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import numpy as np

from edge_rgbt.adapter.base import Adapter
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.imageops import CropGeometry
from edge_rgbt.manifest import Manifest
from edge_rgbt.tracker.crops import Crops, Cutter
from edge_rgbt.types import Box, FramePair, StageTiming, Usable

Feeds = dict[str, np.ndarray]
Timings = tuple[StageTiming, ...]

# Families whose graph takes raw template and search crops of both modalities.
CROP_FAMILIES = ("ckd", "transcmd")
FUSED_FAMILY = "tpf"


class Inputs(ABC):
    """What a family's graph is fed. One target at a time; `start` begins with the next one.

    usable: the modalities that can be used; never none of them.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._cutter = Cutter(manifest)

    @abstractmethod
    def start(self, pair: FramePair, box: Box, usable: Usable = Usable.BOTH) -> Timings:
        """Takes the template around the given box."""

    @abstractmethod
    def search(
        self, pair: FramePair, geometry: CropGeometry, usable: Usable = Usable.BOTH
    ) -> tuple[Feeds, Timings]:
        """All graph inputs for one search crop."""

    def settle(self, pair: FramePair, box: Box, score: float, trusted: bool = True) -> Timings:
        """Hears what was found in the pair: the box, and the score of its cell before the window.

        trusted: the box is right as far as anybody can tell, and both modalities were seen; nothing is learnt
        from any other.
        """
        if trusted and self._cutter.lacking is not None:
            began = time.perf_counter_ns()
            self._cutter.complete(pair, box)
            return (*_timing("crop", began), *self._template_changed())
        return ()

    def close(self) -> None:
        """Ends what the inputs opened; they cannot be used afterwards."""

    def _template_changed(self) -> Timings:
        """A modality that was missing at the start was added to the template."""
        return ()


class RawCrops(Inputs):
    """Four uint8 crops; normalisation lives in the graph."""

    def start(self, pair: FramePair, box: Box, usable: Usable = Usable.BOTH) -> Timings:
        began = time.perf_counter_ns()
        self._cutter.start(pair, box, usable)
        return _timing("crop", began)

    def search(
        self, pair: FramePair, geometry: CropGeometry, usable: Usable = Usable.BOTH
    ) -> tuple[Feeds, Timings]:
        began = time.perf_counter_ns()
        crops = self._cutter.search(pair, geometry, usable)
        template = self._cutter.shown_template(usable)
        feeds = {
            "template_rgb": template.rgb,
            "template_tir": template.tir,
            "search_rgb": crops.rgb,
            "search_tir": crops.tir,
        }
        return feeds, _timing("crop", began)


class FusedImages(Inputs):
    """Fused images; the dynamic template follows tpf.md section 8, fused only when it is renewed.

    A trusted frame whose score is above the threshold becomes the newest reliable one; every
    `interval_frames` that becomes the dynamic template, if it is newer than the one in use. Without
    `dynamic_template` in the manifest the template serves as both for good.
    """

    def __init__(self, manifest: Manifest, adapter: Adapter) -> None:
        super().__init__(manifest)
        self.adapter = adapter
        self._dtype = next(spec.dtype for spec in manifest.inputs if spec.name == "search")
        self._kept: Feeds = {}
        self._frame = 0  # frames since the start
        self._reliable: Crops | None = None  # only while it is newer than the dynamic template in use

    def start(self, pair: FramePair, box: Box, usable: Usable = Usable.BOTH) -> Timings:
        began = time.perf_counter_ns()
        self._cutter.start(pair, box, usable)
        timings = _timing("crop", began)
        self._frame = 0
        self._reliable = None
        return (*timings, *self._template_changed())

    def search(
        self, pair: FramePair, geometry: CropGeometry, usable: Usable = Usable.BOTH
    ) -> tuple[Feeds, Timings]:
        began = time.perf_counter_ns()
        crops = self._cutter.search(pair, geometry, usable)
        cropped = time.perf_counter_ns()
        feeds = {**self._kept, "search": self._fused(crops)}
        return feeds, (StageTiming("crop", cropped - began), *_timing("fuse", cropped))

    def settle(self, pair: FramePair, box: Box, score: float, trusted: bool = True) -> Timings:
        completed = super().settle(pair, box, score, trusted)
        self._frame += 1
        dynamic = self.manifest.dynamic_template
        if dynamic is None:
            return completed
        began = time.perf_counter_ns()
        if trusted and score > dynamic.score_threshold:
            self._reliable = self._cutter.template(pair, box)
        cropped = time.perf_counter_ns()
        if trusted and self._reliable is not None and self._frame % dynamic.interval_frames == 0:
            self._kept["dynamic"] = self._fused(self._reliable)
            self._reliable = None
        return (*completed, StageTiming("crop", cropped - began), *_timing("fuse", cropped))

    def close(self) -> None:
        self.adapter.close()

    def _template_changed(self) -> Timings:
        began = time.perf_counter_ns()
        template = self._fused(self._cutter.shown_template(Usable.BOTH))
        self._kept = {"template": template, "dynamic": template}
        return _timing("fuse", began)

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
