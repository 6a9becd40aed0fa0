"""Does a bundle answer like the network it was made from? Asked crop by crop through the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from edge_rgbt.bundle import Bundle, raw_pixel_inputs
from edge_rgbt.engine import Engine, open_engine
from edge_rgbt.engine.base import TensorSpec
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.imageops import Peak, decode_peak, hann_window
from training.export.exportable import TrackerNetwork


class ParityError(EdgeRgbtError):
    """The exported graph does not compute what the network computes."""


@dataclass(frozen=True)
class Tolerance:
    """maps: largest difference of score, size and offset. box_px: of the decoded box in search pixels.

    crops: how many are tried. share: how many of them must agree; in FP16 two tokens of nearly equal rank may
    change places at a cut, after which the maps of that crop rightly differ.
    """

    maps: float
    box_px: float
    crops: int
    share: float


TOLERANCES = {
    "fp32": Tolerance(maps=1e-4, box_px=0.05, crops=2, share=1.0),
    "fp16": Tolerance(maps=1e-2, box_px=0.5, crops=8, share=0.75),
}


@dataclass(frozen=True)
class Difference:
    """One crop: largest difference of the maps, of the box in search pixels, and if the cell is the same."""

    maps: float
    box_px: float
    same_cell: bool

    def within(self, tolerance: Tolerance) -> bool:
        return self.same_cell and self.maps <= tolerance.maps and self.box_px <= tolerance.box_px


def smooth_inputs(inputs: Sequence[TensorSpec], count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Soft random blobs with a little grain as crops `[count, S, S, 3]` for each graph input.

    uint8 in 0..255, floats in 0..1; thermal has equal channels.
    """
    generator = np.random.default_rng(seed)
    crops = {}
    for spec in inputs:
        side = spec.shape[1]
        channels = 1 if spec.name.endswith("tir") else 3
        pictures = []
        for _ in range(count):
            blobs = generator.uniform(0, 255, (9, 9, channels)).astype(np.float32)
            soft = cv2.resize(blobs, (side, side), interpolation=cv2.INTER_CUBIC).reshape(
                side, side, channels
            )
            grained = soft + generator.normal(0, 4, soft.shape)
            pictures.append(np.broadcast_to(grained, (side, side, 3)))
        pixels = np.clip(pictures, 0, 255)
        pixels = pixels if spec.dtype == "uint8" else pixels / 255
        crops[spec.name] = np.ascontiguousarray(pixels.astype(spec.dtype))
    return crops


def smooth_crops(template_size: int, search_size: int, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The same for the raw crops of both modalities."""
    return smooth_inputs(raw_pixel_inputs(template_size, search_size), count, seed)


def compare(tracker: TrackerNetwork, bundle: Bundle, crops: Mapping[str, np.ndarray]) -> list[Difference]:
    """Runs network and bundle on each crop, one at a time as in flight."""
    engine = open_engine(bundle, "onnx")
    try:
        return compare_engine(tracker, engine, crops)
    finally:
        engine.close()


def compare_engine(
    tracker: TrackerNetwork, engine: Engine, crops: Mapping[str, np.ndarray]
) -> list[Difference]:
    """The same with an engine that is already open."""
    names = [spec.name for spec in tracker.input_specs()]
    search_size = max(spec.shape[1] for spec in tracker.input_specs())
    differences = []
    for i in range(len(crops[names[0]])):
        one = {name: np.ascontiguousarray(crops[name][i : i + 1]) for name in names}
        found = engine.run(one)
        with torch.no_grad():
            output = tracker.from_pixels(*(torch.from_numpy(one[name]) for name in names))
        wanted = {name: value.numpy() for name, value in output._asdict().items()}
        differences.append(_difference(wanted, found, search_size))
    return differences


def require_parity(differences: list[Difference], tolerance: Tolerance) -> None:
    """Raises ParityError, one line, if too few crops agree."""
    agreeing = sum(difference.within(tolerance) for difference in differences)
    if agreeing < tolerance.share * len(differences):
        worst = max(differences, key=lambda difference: difference.maps)
        raise ParityError(
            f"the exported graph disagrees with the network on {len(differences) - agreeing} of "
            f"{len(differences)} crops (worst: maps {worst.maps:.2g}, allowed {tolerance.maps:g}; box "
            f"{worst.box_px:.2g} px, allowed {tolerance.box_px:g}); no bundle was written"
        )


def _difference(
    wanted: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], search_size: int
) -> Difference:
    window = hann_window(wanted["score"].shape[-1])
    maps = max(float(np.abs(wanted[name] - found[name]).max()) for name in wanted)
    a, b = (decode_peak(m["score"][0, 0], m["size"][0], m["offset"][0], window) for m in (wanted, found))
    return Difference(maps, search_size * _box_distance(a, b), (a.row, a.col) == (b.row, b.col))


def _box_distance(a: Peak, b: Peak) -> float:
    """Largest difference of centre or size, as a fraction of the crop."""
    return max(abs(a.cx - b.cx), abs(a.cy - b.cy), abs(a.w - b.w), abs(a.h - b.h))
