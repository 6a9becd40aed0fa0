"""What goes into a pack: tracking datasets, simulated flights, image pairs, each as shards of bytes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.types import Box
from training.data.image_pairs import list_image_pairs, load_pair
from training.data.packed import FLIGHTS, PAIRS, SEQUENCES
from training.data.packing import PackWriter, ShardBuilder, ShardBytes, ShardJob, encode, write_shards
from training.data.samples import AlignedImages, Moment
from training.data.settings import SourceSettings
from training.data.simulated_flights import MAX_GAP_S, FlightSettings, flight_folders
from training.data.tracking_datasets import FolderTrack, chosen_split, read_tracks


@dataclass(frozen=True)
class ViewSettings:
    """How much of a picture is kept, and how finely.

    whole: the files' own bytes, unchanged; the rest does not apply then.
    margin: side of the kept square in mean target sides; search crops reach 5.5 on average and 9.4 in one
    of twenty draws at the published jitter; beyond it the crop is black, as outside the picture.
    target_px: a larger target's surroundings are shrunk to this mean side. quality: of the JPEG.
    """

    whole: bool = False
    margin: float = 10.0
    target_px: float = 80.0
    quality: int = 92

    def __post_init__(self) -> None:
        if self.margin < 4 or self.target_px < 8 or not 1 <= self.quality <= 100:
            raise UsageError("pack: margin is at least 4, target-px at least 8, quality 1 to 100")


@dataclass(frozen=True)
class Packed:
    """What became of a packing run."""

    shards: int
    picture_bytes: int
    faults: list[str]


def kept_view(moment: Moment, view: ViewSettings) -> Moment:
    """The square around the target, inside the picture and perhaps shrunk, and the box in it."""
    box, (height, width) = moment.box, moment.images.tir.shape
    half = 0.5 * view.margin * math.sqrt(box.w * box.h)
    x1, x2 = _span(box.cx - half, box.cx + half, width)
    y1, y2 = _span(box.cy - half, box.cy + half, height)
    scale = min(1.0, view.target_px / math.sqrt(box.w * box.h))
    size = max(8, round((x2 - x1) * scale)), max(8, round((y2 - y1) * scale))
    sx, sy = size[0] / (x2 - x1), size[1] / (y2 - y1)
    rgb, tir = moment.images.rgb[y1:y2, x1:x2], moment.images.tir[y1:y2, x1:x2]
    if scale < 1:
        rgb, tir = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (rgb, tir))
    else:
        sx = sy = 1.0
    kept = Box((box.x - x1) * sx, (box.y - y1) * sy, box.w * sx, box.h * sy)
    return Moment(AlignedImages(rgb, tir), kept)


def _span(low: float, high: float, limit: int) -> tuple[int, int]:
    """Whole pixels of a range inside the picture; at least 8 even where the target has left it."""
    first = min(max(0, math.floor(low)), limit - 8)
    return first, max(first + 8, min(limit, math.ceil(high)))


@dataclass(frozen=True)
class _TrackPacker:
    track: FolderTrack
    view: ViewSettings

    def __call__(self) -> ShardBytes:
        track = self.track
        builder, faults = ShardBuilder(track.name), []
        for row in range(len(track.visible)):
            if not track.visible[row]:
                builder.add_row(row)
                continue
            try:
                if self.view.whole:
                    rgb, tir = (_file_bytes(path) for path in track.files(row))
                    box = track.boxes[row]
                else:
                    kept = kept_view(track.moment(row), self.view)
                    rgb, tir = (encode(i, self.view.quality) for i in (kept.images.rgb, kept.images.tir))
                    box = kept.box.as_tuple()
            except SequenceError as error:
                faults.append(f"{track.name}: {error}")
                builder.add_row(row)
                continue
            builder.add_row(row, builder.add_pair(rgb, tir), tuple(map(float, box)))
        return builder.build(faults)


def pack_tracks(
    out: Path, source: SourceSettings, layout: str, split: str, view: ViewSettings, workers: int
) -> Packed:
    """Packs one split of a tracking dataset. Raises UsageError for a broken one."""
    tracks = read_tracks("pack", source, layout, split)
    split = chosen_split(Path(source.path), layout, split) or ""
    settings = {"layout": layout, "split": split, "interpolate": source.interpolate, **asdict(view)}
    writer = PackWriter(out, SEQUENCES, settings)
    jobs = [ShardJob(track.name, _TrackPacker(track, view)) for track in tracks]
    return _write(writer, jobs, workers, "seq")


@dataclass(frozen=True)
class _FlightPacker:
    folder: Path
    frames: int
    reach: int
    scale: float
    quality: int
    smallest_px: float

    def __call__(self) -> ShardBytes:
        rgb, tir = (np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("rgb", "tir"))
        objects = np.load(self.folder / "objects.npy")
        objects = objects[objects[:, 4] * objects[:, 5] >= self.smallest_px**2]
        size = round(rgb.shape[2] * self.scale), round(rgb.shape[1] * self.scale)
        builder = ShardBuilder(self.folder.name)
        shown = np.unique(objects[:, 0]).astype(int)
        for frame in some_frames(shown, self.frames, self.reach, zlib.crc32(self.folder.name.encode())):
            pictures = [
                cv2.resize(np.ascontiguousarray(images[frame]), size, interpolation=cv2.INTER_AREA)
                for images in (rgb, tir)
            ]
            place = builder.add_pair(*(encode(picture, self.quality) for picture in pictures))
            for row in objects[objects[:, 0] == frame]:
                box = tuple(float(v) * self.scale for v in row[2:6])
                builder.add_row(frame, place, box, int(row[1]), float(row[6]), bool(row[7]), bool(row[8]))
        return builder.build()


def some_frames(shown: np.ndarray, count: int, reach: int, seed: int) -> list[int]:
    """`count` of the frames (0: all), at most `reach` apart so that any two make a sample; at random, so
    that all distances occur."""
    if count == 0 or len(shown) <= count:
        return shown.tolist()
    rng = np.random.default_rng(seed)
    first = shown[rng.integers(len(shown) - count + 1)]
    near = shown[(shown >= first) & (shown <= first + reach)]
    return sorted(rng.choice(near, min(count, len(near)), replace=False).tolist())


def pack_flights(out: Path, folder: Path, frames: int, scale: float, quality: int, workers: int) -> Packed:
    """Packs `frames` frames of each simulated flight (0: all that show a target) whole, shrunk by `scale`.

    A frame shows several objects, so that whole frames take fewer bytes per target than cuts would.
    """
    if frames < 0 or not 0 < scale <= 1 or not 1 <= quality <= 100:
        raise UsageError("pack flights: frames is at least 0, scale in 0..1, quality 1 to 100")
    folders, rate_hz = flight_folders(folder)
    settings = {"frames": frames, "scale": scale, "quality": quality, "rate_hz": rate_hz}
    reach, smallest_px = round(MAX_GAP_S * rate_hz), FlightSettings().smallest_px / scale
    jobs = [
        ShardJob(path.name, _FlightPacker(path, frames, reach, scale, quality, smallest_px))
        for path in folders
    ]
    return _write(PackWriter(out, FLIGHTS, settings), jobs, workers, "flight")


@dataclass(frozen=True)
class _PairPacker:
    visible: Path
    infrared: Path
    number: int
    quality: int

    def __call__(self) -> ShardBytes:
        images = load_pair(self.visible, self.infrared)
        builder = ShardBuilder(_pair_name(self.visible))
        place = builder.add_pair(encode(images.rgb, self.quality), encode(images.tir, self.quality))
        builder.add_row(self.number, place)
        return builder.build()


def pack_pairs(out: Path, folders: Sequence[Path], quality: int, workers: int) -> Packed:
    """Packs folders of aligned pairs, shrunk as they are for training, in the order they are trained in."""
    pairs = [pair for folder in folders for pair in list_image_pairs(folder)]
    names = [_pair_name(visible) for visible, _ in pairs]
    if len(set(names)) != len(names):
        raise UsageError(
            "pack pairs: two folders of the same name hold pictures of the same name; rename one"
        )
    writer = PackWriter(out, PAIRS, {"quality": quality})
    jobs = [
        ShardJob(name, _PairPacker(*pair, number, quality))
        for number, (name, pair) in enumerate(zip(names, pairs, strict=True))
    ]
    return _write(writer, jobs, workers, "pair")


def _pair_name(visible: Path) -> str:
    return f"{visible.parent.parent.name}/{visible.name}"


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SequenceError(f"{path}: cannot be read ({error.strerror or error})") from error


def _write(writer: PackWriter, jobs: Sequence[ShardJob], workers: int, unit: str) -> Packed:
    faults = write_shards(writer, jobs, workers, unit)
    return Packed(len(jobs), writer.finish(), faults)
