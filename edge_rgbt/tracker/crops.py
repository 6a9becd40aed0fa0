"""The squares that the network is shown, and what stands in for those of a camera that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.imageops import CropGeometry, crop_geometry, crop_square, crop_thermal, dim_surroundings
from edge_rgbt.manifest import Manifest
from edge_rgbt.types import Box, FramePair, Modality, Usable

Crop = np.ndarray  # uint8 [1, S, S, 3]
_MID_GREY = 128


@dataclass(frozen=True, slots=True)
class Crops:
    """The same square of both pictures, uint8 `[1, S, S, 3]`."""

    rgb: Crop
    tir: Crop

    @classmethod
    def cut(cls, pair: FramePair, geometry: CropGeometry) -> Crops:
        return cls(cut_one(pair, geometry, Modality.RGB), cut_one(pair, geometry, Modality.TIR))

    def of(self, modality: Modality) -> Crop:
        return self.rgb if modality is Modality.RGB else self.tir

    def replaced(self, modality: Modality, crop: Crop) -> Crops:
        """The same with another crop of one modality."""
        return Crops(crop, self.tir) if modality is Modality.RGB else Crops(self.rgb, crop)


def cut_one(pair: FramePair, geometry: CropGeometry, modality: Modality) -> Crop:
    """One modality's square."""
    if modality is Modality.RGB:
        return crop_square(pair.rgb.image, geometry)[None]
    return crop_thermal(pair.tir.image, geometry)[None]


@dataclass(frozen=True, slots=True)
class _Known:
    """What there is to make a stand-in from: the seen modality's crop, the missing one's past."""

    seen: Crop
    template: Crop
    last: Crop | None  # of the missing modality


@dataclass(frozen=True, slots=True)
class _StandIn:
    """How to make the search crop of a missing modality; template: also its template, from the seen one's."""

    search: Callable[[_Known], Crop]
    template: Callable[[Crop], Crop] | None = None


def _black(known: _Known) -> Crop:
    return np.zeros_like(known.seen)


def _grey(known: _Known) -> Crop:
    return np.full_like(known.seen, _MID_GREY)


def _template_mean(known: _Known) -> Crop:
    return np.full_like(known.seen, np.rint(known.template.mean(axis=(0, 1, 2))).astype(np.uint8))


def _hold(known: _Known) -> Crop:
    return _grey(known) if known.last is None else known.last


def _brightness(crop: Crop) -> Crop:
    return cv2.cvtColor(cv2.cvtColor(crop[0], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)[None]


STAND_INS = {
    "black": _StandIn(_black),
    "grey": _StandIn(_grey),
    "template-mean": _StandIn(_template_mean),
    "hold": _StandIn(_hold),
    "other": _StandIn(lambda known: _brightness(known.seen), _brightness),
}


class Cutter:
    """Cuts templates and search crops; knows the target's template and the last sound crops.

    stand_in: a key of `STAND_INS`, for modalities that are missing.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._stand_in = STAND_INS[manifest.tracker.stand_in]
        self._templates: dict[Usable, Crops] = {}
        self._last: dict[Modality, Crop] = {}

    def start(self, pair: FramePair, box: Box, usable: Usable) -> None:
        """Takes the template around the given box; a missing modality's is made up until `complete`."""
        self._last.clear()
        self.lacking = next((m for m in Modality if not usable.has(m)), None)
        template = self.template(pair, box)
        if self.lacking is not None:
            seen = template.of(_other(self.lacking))
            template = template.replaced(self.lacking, self._made_up(seen))
        self._keep(template)

    def complete(self, pair: FramePair, box: Box) -> None:
        """Takes the template that was lacking, around a box that is trusted."""
        assert self.lacking is not None
        template = self._templates[Usable.BOTH]
        self._keep(template.replaced(self.lacking, self.template(pair, box).of(self.lacking)))
        self.lacking = None

    def shown_template(self, usable: Usable) -> Crops:
        """The template to go with search crops of these modalities."""
        return self._templates[usable]

    def template(self, pair: FramePair, box: Box) -> Crops:
        """What lies around a box now, as a template is cut."""
        m = self._manifest
        geometry = crop_geometry(box, m.template_factor, m.template_size)
        crops = Crops.cut(pair, geometry)
        extent = box.w / geometry.side, box.h / geometry.side
        dimming = m.tracker.template_dimming
        return Crops(*(dim_surroundings(crop[0], *extent, dimming)[None] for crop in (crops.rgb, crops.tir)))

    def search(self, pair: FramePair, geometry: CropGeometry, usable: Usable) -> Crops:
        """The search crops, one of them made up where a modality is missing (never both)."""
        if usable is Usable.BOTH:
            crops = Crops.cut(pair, geometry)
            self._last = {modality: crops.of(modality) for modality in Modality}
            return crops
        there = Modality(usable.value)
        missing, seen = _other(there), cut_one(pair, geometry, there)
        template = self._templates[Usable.BOTH].of(missing)
        crop = self._stand_in.search(_Known(seen, template, self._last.get(missing)))
        self._last[there] = seen
        return Crops(seen, crop) if there is Modality.RGB else Crops(crop, seen)

    def _made_up(self, seen: Crop) -> Crop:
        return _brightness(seen) if self._stand_in.template else np.full_like(seen, _MID_GREY)

    def _keep(self, template: Crops) -> None:
        change = self._stand_in.template
        self._templates = {Usable.BOTH: template}
        for there in Modality:
            missing = _other(there)
            shown = template if change is None else template.replaced(missing, change(template.of(there)))
            self._templates[Usable.of(there is Modality.RGB, there is Modality.TIR)] = shown


def _other(modality: Modality) -> Modality:
    return Modality.TIR if modality is Modality.RGB else Modality.RGB
