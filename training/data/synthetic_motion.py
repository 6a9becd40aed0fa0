"""Tracking samples from aligned image pairs: targets are pasted, moved, scaled, hidden and misaligned."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge_rgbt.types import Box
from training.data.cutouts import Cutout, find_cutouts
from training.data.samples import AlignedImages, CropSizes, RejectedSample, TrackingSample, cut_sample
from training.data.sprites import Pose, Sprite, paste, random_sprite

MAX_MISALIGNMENT_PX = 8.0
View = tuple[AlignedImages, np.ndarray]  # a picture and the 2x3 map from its pixels to those of the canvas


@dataclass(frozen=True)
class MotionSettings:
    """Ranges of what happens between template and search frame; sizes are relative to the target.

    twin_distractor, twin_occluder: share of look-alikes. distractor_reach: distance from centre to centre.
    part_target: share of pasted targets of which only a part is followed, as half-hidden things are boxed.
    """

    target_size_px: tuple[float, float] = (11.0, 56.0)
    natural_target: float = 0.25
    natural_cutout: float = 0.6  # of the natural targets; the others are busy places of any shape
    cutout: float = 0.5
    part_target: float = 0.0
    least_part: float = 0.5  # of the whole, per axis
    max_distractors: int = 3
    twin_distractor: float = 0.5
    distractor_reach: tuple[float, float] = (1.1, 2.8)
    occluder: float = 0.3
    twin_occluder: float = 0.4
    scale: float = 0.25
    stretch: float = 0.15
    turn_deg: float = 12.0
    sway: float = 0.03


class SyntheticMotion:
    """Draws samples from a bank of aligned pairs; the same generator state gives the same sample."""

    def __init__(self, bank: list[AlignedImages], sizes: CropSizes, settings: MotionSettings | None = None):
        self.bank = bank
        self.sizes = sizes
        self.settings = settings or MotionSettings()
        self.cutouts = find_cutouts(bank)
        self.cutout_aspects = np.log([thing.sprite.aspect for thing in self.cutouts])

    def draw(self, rng: np.random.Generator) -> TrackingSample:
        """One sample before degradation. Raises RejectedSample where the draw did not work out."""
        s = self.settings
        side = math.exp(rng.uniform(*np.log(s.target_size_px)))
        canvas = math.ceil(side * 9)
        misalignment = _random_shift(min(MAX_MISALIGNMENT_PX, 0.35 * side), rng)
        natural = rng.random() < s.natural_target
        thing = None
        if natural and self.cutouts and rng.random() < s.natural_cutout:
            thing = self.cutouts[rng.integers(len(self.cutouts))]
        to_template = self._view(canvas, rng) if thing is None else self._view_of(thing, canvas, side, rng)
        template, search, move = self._backgrounds(to_template, canvas, side, misalignment, rng)
        if thing is not None:
            boxes = _moved_boxes(_mapped(thing.box, to_template[1]), move)
        elif natural:
            boxes = _moved_boxes(self._busy_place(template, side, rng), move)
        else:
            boxes = self._pasted_boxes(template, search, side, misalignment, rng)
            if rng.random() < self.settings.part_target:
                boxes = _same_part(boxes, self.settings.least_part, rng)
        return cut_sample(template, boxes[0], search, boxes[1], self.sizes, rng)

    def _view(self, canvas: int, rng: np.random.Generator) -> View:
        """A random part of a random picture."""
        source = self.bank[rng.integers(len(self.bank))]
        height, width = source.tir.shape
        zoom = canvas / min(canvas * rng.uniform(0.5, 1.6), height, width)
        room = np.array([width, height]) - canvas / zoom
        corner = rng.random(2) * np.maximum(room, 0)
        return source, _zoomed(zoom, corner)

    def _view_of(self, thing: Cutout, canvas: int, side: float, rng: np.random.Generator) -> View:
        """The part of a picture around something that stands in it, seen as large as the target shall be."""
        zoom = side / math.sqrt(thing.box.w * thing.box.h)
        centre = np.array([thing.box.cx, thing.box.cy]) + rng.uniform(-0.5, 0.5, 2) * side / zoom
        return self.bank[thing.source], _zoomed(zoom, centre - canvas / zoom / 2)

    def _backgrounds(
        self, view: View, canvas: int, side: float, misalignment: np.ndarray, rng: np.random.Generator
    ) -> tuple[AlignedImages, AlignedImages, np.ndarray]:
        """The same place seen twice, and the 2x3 map from template to search pixels."""
        source, to_template = view
        move = _random_move(canvas, side, rng)
        to_search = move[:, :2] @ to_template
        to_search[:, 2] += move[:, 2]
        return (
            _warp_pair(source, to_template, canvas, misalignment),
            _warp_pair(source, to_search, canvas, misalignment),
            move,
        )

    def _busy_place(self, template: AlignedImages, side: float, rng: np.random.Generator) -> Box:
        """The most textured of a few places near the middle."""
        aspect = math.exp(rng.normal(0, 0.4))
        w, h = side * math.sqrt(aspect), side / math.sqrt(aspect)
        best, best_texture = None, -1.0
        middle = template.tir.shape[0] / 2
        for _ in range(4):
            cx, cy = middle + rng.uniform(-2, 2, 2) * side
            x, y = int(cx - w / 2), int(cy - h / 2)
            spot = template.rgb[max(y, 0) : int(y + h), max(x, 0) : int(x + w)]
            texture = float(spot.std()) if spot.size else 0.0
            if texture > best_texture:
                best, best_texture = Box(cx - w / 2, cy - h / 2, w, h), texture
        if best is None or best_texture < 12:
            raise RejectedSample("nothing to see where a natural target was looked for")
        return best

    def _any_sprite(self, rng: np.random.Generator) -> Sprite:
        """Something that stood in a picture, or something made up."""
        if self.cutouts and rng.random() < self.settings.cutout:
            return self.cutouts[rng.integers(len(self.cutouts))].sprite
        return random_sprite(self.bank, rng)

    def _twin_of(self, sprite: Sprite, rng: np.random.Generator) -> Sprite:
        """The same thing again, or another of much the same shape: what a tracker mixes up."""
        if not self.cutouts or rng.random() < 0.5:
            return sprite
        alike = np.flatnonzero(np.abs(self.cutout_aspects - math.log(sprite.aspect)) < 0.3)
        return self.cutouts[rng.choice(alike)].sprite if len(alike) else sprite

    def _pasted_boxes(
        self,
        template: AlignedImages,
        search: AlignedImages,
        side: float,
        misalignment: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[Box, Box]:
        s = self.settings
        target = self._any_sprite(rng)
        middle = template.tir.shape[0] / 2
        first = _random_pose(target, side, middle, 0.5, s, rng)
        second = _later_pose(first, side, s, rng)
        shift = (float(misalignment[0]), float(misalignment[1]))
        for frame, own in ((template, first), (search, second)):
            for distractor, pose in self._distractors(target, own, side, rng):
                paste(frame, distractor, pose, shift)
        template_box = paste(template, target, first, shift)
        search_box = paste(search, target, second, shift)
        if template_box is None or search_box is None:
            raise RejectedSample("target was pasted outside the picture")
        if rng.random() < s.occluder:
            twin = rng.random() < s.twin_occluder
            cover = self._twin_of(target, rng) if twin else self._any_sprite(rng)
            reach = rng.uniform(0.35, 0.9) * side
            angle = rng.uniform(0, 2 * math.pi)
            pose = replace(
                _random_pose(cover, side * rng.uniform(0.5, 1.2), 0, 0, s, rng),
                cx=second.cx + reach * math.cos(angle),
                cy=second.cy + reach * math.sin(angle),
            )
            paste(search, cover, pose, shift)
        return template_box, search_box

    def _distractors(
        self, target: Sprite, own: Pose, side: float, rng: np.random.Generator
    ) -> list[tuple[Sprite, Pose]]:
        """Other things around the target, some of them its twins with another brightness."""
        s = self.settings
        found = []
        for _ in range(rng.integers(0, s.max_distractors + 1)):
            twin = rng.random() < s.twin_distractor
            sprite = self._twin_of(target, rng) if twin else self._any_sprite(rng)
            size = side * (rng.uniform(0.85, 1.15) if twin else rng.uniform(0.5, 1.5))
            angle, reach = rng.uniform(0, 2 * math.pi), rng.uniform(*s.distractor_reach) * side
            pose = _random_pose(sprite, size, 0, 0, s, rng)
            pose = replace(
                pose,
                cx=own.cx + reach * math.cos(angle),
                cy=own.cy + reach * math.sin(angle),
                rgb_gain=rng.uniform(0.6, 1.4),
                tir_bias=rng.uniform(-50, 50),
            )
            found.append((sprite, pose))
        return found


def _zoomed(zoom: float, corner: np.ndarray) -> np.ndarray:
    return np.array([[zoom, 0, -corner[0] * zoom], [0, zoom, -corner[1] * zoom]])


def _mapped(box: Box, matrix: np.ndarray) -> Box:
    """A box under a map that keeps axes (zoom and shift)."""
    zoom = float(matrix[0, 0])
    x, y = box.x * zoom + matrix[0, 2], box.y * zoom + matrix[1, 2]
    return Box(float(x), float(y), box.w * zoom, box.h * zoom)


def _moved_boxes(box: Box, move: np.ndarray) -> tuple[Box, Box]:
    """A standing thing before and after the camera moved."""
    scale = math.sqrt(abs(np.linalg.det(move[:, :2])))
    cx, cy = map(float, move[:, :2] @ np.array([box.cx, box.cy]) + move[:, 2])
    w, h = box.w * scale, box.h * scale
    return box, Box(cx - w / 2, cy - h / 2, w, h)


def _same_part(boxes: tuple[Box, Box], least: float, rng: np.random.Generator) -> tuple[Box, Box]:
    """The same part of both boxes: one end cut off along one axis, at times along both."""
    first_axis, both = rng.integers(2), rng.random() < 0.3
    spans = [(0.0, 1.0), (0.0, 1.0)]
    for axis in (0, 1) if both else (first_axis,):
        share = rng.uniform(least, 0.9)
        start = 0.0 if rng.random() < 0.5 else 1.0 - share
        spans[axis] = (start, share)
    (x, w), (y, h) = spans
    first, second = (Box(b.x + x * b.w, b.y + y * b.h, w * b.w, h * b.h) for b in boxes)
    return first, second


def _random_shift(limit: float, rng: np.random.Generator) -> np.ndarray:
    angle, length = rng.uniform(0, 2 * math.pi), rng.uniform(0, limit)
    return np.array([math.cos(angle), math.sin(angle)]) * length


def _random_move(canvas: int, side: float, rng: np.random.Generator) -> np.ndarray:
    """Camera motion between the two frames about the middle of the canvas, 2x3."""
    scale = math.exp(rng.uniform(-0.15, 0.15))
    angle = math.radians(rng.uniform(-6, 6))
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.full(2, canvas / 2)
    return np.column_stack([linear, middle - linear @ middle + rng.uniform(-0.7, 0.7, 2) * side])


def _warp_pair(source: AlignedImages, matrix: np.ndarray, canvas: int, shift: np.ndarray) -> AlignedImages:
    tir_matrix = matrix.copy()
    tir_matrix[:, 2] += shift
    how = {"dsize": (canvas, canvas), "flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
    return AlignedImages(
        cv2.warpAffine(source.rgb, matrix, **how), cv2.warpAffine(source.tir, tir_matrix, **how)
    )


def _random_pose(
    sprite: Sprite, side: float, middle: float, spread: float, s: MotionSettings, rng: np.random.Generator
) -> Pose:
    cx, cy = middle + rng.uniform(-spread, spread, 2) * side
    w, h = side * math.sqrt(sprite.aspect), side / math.sqrt(sprite.aspect)
    angle = rng.uniform(-s.turn_deg, s.turn_deg)
    return Pose(cx, cy, w, h, angle, s.sway, int(rng.integers(1 << 31)), rng.uniform(0.8, 1.2))


def _later_pose(first: Pose, side: float, s: MotionSettings, rng: np.random.Generator) -> Pose:
    """The same thing a while later: moved, grown, stretched, turned, in another posture and light."""
    scale = math.exp(rng.uniform(-s.scale, s.scale))
    stretch = math.exp(rng.uniform(-s.stretch, s.stretch))
    return replace(
        first,
        cx=first.cx + rng.uniform(-1.2, 1.2) * side,
        cy=first.cy + rng.uniform(-1.2, 1.2) * side,
        w=first.w * scale * stretch,
        h=first.h * scale / stretch,
        angle=first.angle + rng.uniform(-s.turn_deg, s.turn_deg),
        posture_seed=int(rng.integers(1 << 31)),
        rgb_gain=first.rgb_gain * rng.uniform(0.8, 1.25),
        tir_bias=rng.uniform(-25, 25),
    )
