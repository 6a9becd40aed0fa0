"""Tracking datasets as training sources: folders in the published layouts, read by the readers of replay."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from edge_rgbt.cameras.images import read_rgb, read_thermal
from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.metrics.truth import BOX_LAYOUTS, box_layout
from edge_rgbt.replay.layouts import IMAGE_LAYOUTS, Sequence, find_recordings
from edge_rgbt.types import Box
from training.data.samples import AlignedImages, CropSizes, Moment, UncutSample
from training.data.sampling import MIN_FRAMES, MIN_VISIBLE, choose_frames, is_usable
from training.data.settings import SourceSettings
from training.data.skipped_frames import SkippedFrames

log = logging.getLogger(__name__)
TRAINING_SPLIT = "train"


class Track(Protocol):
    """One target through one sequence; rows are the moments that have a box."""

    name: str
    visible: np.ndarray  # bool [rows]

    def moment(self, row: int) -> Moment:
        """Frames and box of a visible row. Raises SequenceError naming what cannot be read."""
        ...


class FolderTrack:
    """A sequence of picture files.

    boxes: float32 `[rows, 4]`, as the published code keeps them. pictures: int `[rows]`, the position of
    each row's pair in the sorted folders. File names are kept as bytes arrays: a million `Path` objects
    would fill the memory of every loader process.
    """

    def __init__(self, sequence: Sequence, boxes: np.ndarray, pictures: np.ndarray) -> None:
        self.name = sequence.name
        self.boxes = boxes.astype(np.float32)
        self.visible = (self.boxes[:, 2] > 0) & (self.boxes[:, 3] > 0)
        self._folders = sequence.rgb[0].parent, sequence.tir[0].parent
        self._names = tuple(
            np.array([os.fsencode(files[i].name) for i in pictures]) for files in (sequence.rgb, sequence.tir)
        )

    def files(self, row: int) -> tuple[Path, Path]:
        """The row's visible and thermal picture."""
        rgb, tir = (
            folder / os.fsdecode(bytes(names[row]))
            for folder, names in zip(self._folders, self._names, strict=True)
        )
        return rgb, tir

    def moment(self, row: int) -> Moment:
        rgb_file, tir_file = self.files(row)
        rgb, tir = read_rgb(rgb_file), read_thermal(tir_file)
        if tir.dtype != np.uint8:
            raise SequenceError(f"{tir_file}: is {tir.dtype}; training wants 8-bit thermal images")
        if rgb.shape[:2] != tir.shape:
            sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (rgb, tir)]
            raise SequenceError(f"{tir_file}: is {sizes[1]} but the visible image is {sizes[0]}")
        return Moment(AlignedImages(rgb, tir), Box(*map(float, self.boxes[row])))


class TrackedSequences:
    """Draws template, search and (if asked) dynamic frame of one sequence, causally, sequences alike.

    A frame that cannot be read is logged once, counted in `skipped`, and the sample drawn anew.
    """

    def __init__(self, tracks: SequenceOf[Track], sizes: CropSizes, dynamic: bool = False) -> None:
        self.tracks = [track for track in tracks if is_usable(track.visible)]
        if not self.tracks:
            raise UsageError(
                f"none of {len(tracks)} sequences has {MIN_FRAMES} annotated frames with the target visible "
                f"in {MIN_VISIBLE}; give longer sequences, or interpolate = true where boxes are sparse"
            )
        self.sizes = sizes
        self.dynamic = dynamic
        self.skipped = SkippedFrames([len(track.visible) for track in self.tracks])

    def draw(self, rng: np.random.Generator) -> UncutSample:
        """Whole frames and boxes. Raises RejectedSample where a frame cannot be read."""
        number = int(rng.integers(len(self.tracks)))
        frames = choose_frames(self.tracks[number].visible, rng, self.dynamic)
        template = self._moment(number, frames.template)
        search = self._moment(number, frames.search)
        dynamic = None if frames.dynamic is None else self._moment(number, frames.dynamic)
        return UncutSample(template, search, self.sizes, dynamic)

    def _moment(self, number: int, row: int) -> Moment:
        track = self.tracks[number]
        return self.skipped.read(number, row, track.name, lambda: track.moment(row))


def read_tracks(where: str, settings: SourceSettings, layout: str, split: str) -> list[FolderTrack]:
    """Every sequence of one split, its pictures listed and its boxes read, none decoded but the first.

    where: the recipe's table, to begin a fault with. split: empty means the training split, or everything
    where the root has no splits. Raises UsageError for a root of another layout and for broken sequences.
    """
    root = Path(settings.path)
    try:
        found = find_recordings(settings.path, layout, chosen_split(root, layout, split))
    except UsageError as error:
        raise UsageError(f"{where}: {error}{_hint(root, layout)}") from error
    unknown = sorted(set(settings.exclude) - {recording.name for recording in found.recordings})
    if unknown:
        raise UsageError(f"{where}: exclude names {unknown[0]}, but {root} holds no such sequence")
    tracks: list[FolderTrack] = []
    faults: list[str] = []
    wanted = [r for r in found.recordings if r.name not in settings.exclude]
    for recording in tqdm(wanted, desc=f"check {layout}", unit="seq", leave=False, mininterval=1):
        try:
            tracks.append(_track(recording.load(), settings.interpolate))
        except SequenceError as error:
            faults.append(str(error))
    if tracks and not faults:
        try:
            tracks[0].moment(int(tracks[0].visible.argmax()))
        except (SequenceError, ValueError) as error:
            faults.append(f"{tracks[0].name}: {error}")
    _judge(where, faults, len(wanted), settings.skip_broken and len(faults) < len(wanted))
    return tracks


def _judge(where: str, faults: list[str], sequences: int, go_on: bool) -> None:
    if not faults:
        return
    count = f"{len(faults)} of {sequences} sequences cannot be used"
    if not go_on:
        raise UsageError(
            f"{where}: {count}, first {faults[0]}; mend or exclude them, or set skip_broken = true"
        )
    for fault in faults:
        log.warning("%s: sequence left out: %s", where, fault)


def _track(sequence: Sequence, interpolate: bool) -> FolderTrack:
    """Raises SequenceError where boxes and pictures do not fit together."""
    place = sequence.rgb[0].parent.parent
    if sequence.truth is None:
        names = " or ".join(BOX_LAYOUTS[sequence.dataset or ""].visible)
        raise SequenceError(f"{sequence.name}: {place}: has no boxes of its frames ({names})")
    boxes, frames, period = sequence.truth.visible, sequence.truth.frames(), sequence.truth.period
    pictures = len(sequence.rgb)
    if frames[-1] >= pictures or (period == 1 and len(boxes) != pictures):
        raise SequenceError(f"{sequence.name}: {place}: {len(boxes)} boxes do not fit {pictures} pictures")
    if interpolate and period > 1:
        boxes, frames = interpolated_boxes(boxes, frames)
    return FolderTrack(sequence, boxes, frames)


def interpolated_boxes(boxes: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `[every frame from the first to the last annotated, 4]` and those frames.

    Linear between two neighbouring annotations that both show the target; zero, thus invisible, elsewhere.
    """
    every = np.arange(frames[0], frames[-1] + 1)
    after = np.minimum(np.searchsorted(frames, every, side="right"), len(frames) - 1)
    before = np.maximum(after - 1, 0)
    share = (every - frames[before]) / np.maximum(frames[after] - frames[before], 1)
    filled = boxes[before] + share[:, None] * (boxes[after] - boxes[before])
    shown = np.minimum(boxes[:, 2], boxes[:, 3]) > 0
    filled[~(shown[before] & shown[after])] = 0.0
    filled[frames - frames[0]] = boxes  # an annotation holds whatever its neighbours say
    return filled, every


def chosen_split(root: Path, layout: str, split: str) -> str | None:
    """The split that is meant: an empty one is the training split; None where the root has no splits."""
    if split:
        return split
    splits = box_layout(layout).splits
    known = any((root / below).is_dir() or root.resolve().name == Path(below).name for _, below in splits)
    return TRAINING_SPLIT if known else None


def _hint(root: Path, layout: str) -> str:
    """What another reader would make of the folder, or what was looked for."""
    if not root.is_dir():
        return ""
    for folder in (root, root / TRAINING_SPLIT):  # a root with nothing but `train` could be anything's
        try:
            guess = find_recordings(str(folder)).dataset
        except UsageError:
            continue
        if guess and guess != layout:
            return f"; it looks like {guess}"
    folders = IMAGE_LAYOUTS[layout]
    return f"; expected {root}/<sequence>/{folders.rgb[0]} and {folders.tir[0]}"
