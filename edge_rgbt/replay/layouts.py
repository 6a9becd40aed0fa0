"""Recordings as they lie on disk: five published benchmarks, plain folders of pairs, pairs of video files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_rgbt.cameras.images import IMAGE_SUFFIXES
from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.metrics.boxes import read_truth
from edge_rgbt.metrics.rules import Truth
from edge_rgbt.metrics.truth import BOX_LAYOUTS, TruthFiles, box_layout, split_folders, truth_files
from edge_rgbt.recording.names import SUFFIX, first_files
from edge_rgbt.replay.sources import DEFAULT_FPS, ImagePairs, PairSource, VideoPair
from edge_rgbt.types import Box

VIDEO_SUFFIXES = frozenset((".mp4", ".mkv", ".avi", ".mov", ".m4v", ".webm", ".ts"))


@dataclass(frozen=True)
class ImageLayout:
    """Names of the two picture folders inside a sequence; the first that exists counts."""

    rgb: tuple[str, ...]
    tir: tuple[str, ...]


IMAGE_LAYOUTS: dict[str, ImageLayout] = {
    "gtot": ImageLayout(("v",), ("i",)),
    "rgbt210": ImageLayout(("visible",), ("infrared",)),
    "rgbt234": ImageLayout(("visible",), ("infrared",)),
    "lasher": ImageLayout(("visible",), ("infrared",)),
    "vtuav": ImageLayout(("rgb",), ("ir", "ir_gray")),
}
_ANY_LAYOUT = ImageLayout(("visible", "rgb", "v"), ("infrared", "tir", "ir", "ir_gray", "thermal", "i"))
_MODALITY_WORD = re.compile(
    r"^(?P<name>.*?)[-_. ]?(?:(?P<rgb>visible|vis|rgb)|(?P<tir>infrared|thermal|tir|ir))$", re.IGNORECASE
)
_PLAIN_BOXES = {
    "visible": ("visible.txt", "rgb.txt", "groundtruth.txt", "init.txt"),
    "infrared": ("infrared.txt", "tir.txt", "ir.txt"),
}


@dataclass(frozen=True)
class Sequence:
    """One recording, ready to be tracked.

    dataset: the benchmark it belongs to, None for other recordings. rgb, tir: picture files paired by
    position, or one video file each. truth: annotated boxes (`truth.frames()` says of which frames).
    init: first box, xywh in RGB pixels; None where nothing on disk tells.
    """

    name: str
    dataset: str | None
    rgb: tuple[Path, ...]
    tir: tuple[Path, ...]
    truth: Truth | None
    init: Box | None
    video: bool = False

    def open(self, fps: float | None = None) -> PairSource:
        """Raises SequenceError naming sequence and file if a video cannot be opened."""
        if self.video:
            try:
                return VideoPair(self.rgb[0], self.tir[0], fps)
            except SequenceError as error:
                raise SequenceError(f"{self.name}: {error}") from error
        return ImagePairs(self.rgb, self.tir, fps or DEFAULT_FPS)


@dataclass(frozen=True)
class Recording:
    """Where one sequence lies; nothing is opened before `load`. flight: `place` is a flight's first file."""

    name: str
    place: Path
    dataset: str | None = None
    rgb_video: Path | None = None
    tir_video: Path | None = None
    flight: bool = False

    def load(self) -> Sequence:
        """Lists the pictures and reads the boxes. Raises SequenceError naming sequence and file."""
        try:
            if self.rgb_video is not None and self.tir_video is not None:
                return self._sequence((self.rgb_video,), (self.tir_video,), video=True)
            layout = IMAGE_LAYOUTS[self.dataset] if self.dataset else _ANY_LAYOUT
            rgb = _pictures(self.place, layout.rgb, "visible")
            tir = _pictures(self.place, layout.tir, "thermal")
            if len(rgb) != len(tir):
                raise SequenceError(
                    f"{self.place}: {len(rgb)} visible but {len(tir)} thermal images; they must pair up"
                )
            return self._sequence(rgb, tir, video=False)
        except SequenceError as error:
            raise SequenceError(f"{self.name}: {error}") from error

    def picture_count(self) -> int:
        """About how many pairs it holds, quickly; 0 for videos and for folders that `load` will refuse."""
        layout = IMAGE_LAYOUTS[self.dataset] if self.dataset else _ANY_LAYOUT
        folder = next((self.place / name for name in layout.rgb if (self.place / name).is_dir()), None)
        return 0 if folder is None or self.rgb_video or self.flight else len(os.listdir(folder))

    def _sequence(self, rgb: tuple[Path, ...], tir: tuple[Path, ...], video: bool) -> Sequence:
        files = self._truth_files()
        truth = files.read() if files else None
        init = None
        if files and truth:
            init = _first_box(truth, files.visible)
            # One line for many frames is a start, not an annotation.
            truth = None if len(truth.visible) == 1 and truth.period == 1 and len(rgb) != 1 else truth
        return Sequence(self.name, self.dataset, rgb, tir, truth, init, video)

    def _truth_files(self) -> TruthFiles | None:
        if self.dataset:
            found = truth_files(self.place, box_layout(self.dataset))
            return found and TruthFiles(self.name, found.visible, found.infrared, found.layout)
        plain = BOX_LAYOUTS["rgbt234"]
        own = self.place / f"{self.name}.txt"
        if own.is_file():
            return TruthFiles(self.name, own, None, plain)
        visible = _first_file(self.place, _PLAIN_BOXES["visible"])
        infrared = _first_file(self.place, _PLAIN_BOXES["infrared"])
        return visible and TruthFiles(self.name, visible, infrared, plain)


@dataclass(frozen=True)
class Collection:
    """What a SOURCE turned out to hold. guessed: the dataset was told by the folder, not by the caller."""

    recordings: tuple[Recording, ...]
    dataset: str | None
    split: str
    guessed: bool


def find_recordings(source: str, dataset: str | None = None, split: str | None = None) -> Collection:
    """Finds every sequence that SOURCE means.

    source: a benchmark's root or split, one sequence, `rgb.mp4,tir.mp4`, a folder with such a pair or with
    several, or a folder of sequence folders. Raises UsageError when nothing is there.
    """
    if dataset is not None:
        box_layout(dataset)
    if not source:  # an unset variable in a script would otherwise mean the working directory
        raise UsageError("SOURCE is empty; give a dataset, a sequence folder or RGB,THERMAL videos")
    pair = _video_pair_argument(source)
    if pair:
        recording = Recording(_shared_name(pair[0]), pair[0].parent, None, *pair)
        return Collection((recording,), None, "", False)
    root = Path(source)
    if root.suffix == SUFFIX and root.is_file():
        return Collection((_flight(root),), None, "", False)
    if not root.is_dir():
        raise UsageError(
            f"{source}: no such folder; give a dataset, a sequence folder, RGB,THERMAL videos or a flight"
        )
    chosen = dataset or _recognise(root)
    if _is_sequence(root, chosen) and not _video_pairs(root):
        recordings = [Recording(root.resolve().name, root, chosen)]
        return Collection(tuple(recordings), chosen, "", dataset is None)
    splits = BOX_LAYOUTS[chosen].splits if chosen else ()
    split_name, folders = split_folders(root, splits, split)
    recordings = [recording for folder in folders for recording in _recordings_in(folder, chosen)]
    if not recordings:
        kind = f"{chosen} sequence" if dataset else "sequence, pair of videos or pair of image folders"
        raise UsageError(f"{source}: holds no {kind}")
    _refuse_duplicates(recordings)
    return Collection(tuple(recordings), chosen, split_name, dataset is None)


def _recordings_in(folder: Path, dataset: str | None) -> Iterator[Recording]:
    """Sequences in a folder of sequences; without a known dataset, also one level further down."""
    if dataset is None:
        yield from map(_flight, first_files(folder))
        yield from _video_pairs(folder)
    for child in _folders(folder):
        known = dataset or _recognise(child)
        if _is_sequence(child, known):
            yield Recording(child.name, child, known)
        elif dataset is None:
            if known and _is_sequence_root(child, known):
                yield from _recordings_in(child, known)
            else:
                yield from map(_flight, first_files(child))
                yield from _video_pairs(child)


def _is_sequence_root(folder: Path, dataset: str) -> bool:
    return any(_is_sequence(child, dataset) for child in _folders(folder))


def _is_sequence(folder: Path, dataset: str | None) -> bool:
    """True if any picture folder or box file of the layout is there, so that a missing one can be named."""
    layout = IMAGE_LAYOUTS[dataset] if dataset else _ANY_LAYOUT
    if any((folder / name).is_dir() for name in layout.rgb + layout.tir):
        return True
    return dataset is not None and truth_files(folder, BOX_LAYOUTS[dataset]) is not None


def _recognise(folder: Path) -> str | None:
    """The benchmark that a root or sequence folder belongs to, None if it looks like none."""
    for name in ("lasher", "vtuav"):
        if any((folder / below).is_dir() for _, below in BOX_LAYOUTS[name].splits if below != "train"):
            return name
    if _is_sequence(folder, None):
        return _recognise_sequence(folder)
    first = next((child for child in _folders(folder) if _is_sequence(child, None)), None)
    return _recognise_sequence(first) if first else None


def _recognise_sequence(folder: Path) -> str | None:
    present = {name for name in _ANY_LAYOUT.rgb + _ANY_LAYOUT.tir if (folder / name).is_dir()}
    fitting = [
        name
        for name, layout in IMAGE_LAYOUTS.items()
        if present <= set(layout.rgb + layout.tir) and _boxes_fit(folder, name)
    ]
    if len(fitting) <= 1:
        return fitting[0] if fitting else None
    for part in reversed(folder.resolve().parts):  # RGBT210, RGBT234 and LasHeR share their folder names
        named = [name for name in fitting if name in part.lower()]
        if named:
            return named[0]
    if "testingset" in folder.parts or "trainingset" in folder.parts:
        return "lasher"
    if any(folder.glob("*.tag")):
        return "rgbt234"
    if not (folder / "visible.txt").is_file():
        return "rgbt210"
    infrared = folder / "infrared.txt"
    same = infrared.is_file() and infrared.read_bytes() == (folder / "visible.txt").read_bytes()
    return "lasher" if same or not infrared.is_file() else "rgbt234"


def _boxes_fit(folder: Path, dataset: str) -> bool:
    """True if the box files are there and, where only every n-th frame has a box, short enough for that."""
    layout = BOX_LAYOUTS[dataset]
    files = truth_files(folder, layout)
    if files is None or layout.period == 1:
        return files is not None
    lines = sum(1 for line in files.visible.read_bytes().split(b"\n") if line.strip())
    pictures = next((folder / n for n in IMAGE_LAYOUTS[dataset].rgb if (folder / n).is_dir()), None)
    return pictures is None or lines <= len(list(pictures.iterdir())) // layout.period + 1


def _pictures(place: Path, names: Iterable[str], modality: str) -> tuple[Path, ...]:
    folder = next((place / name for name in names if (place / name).is_dir()), None)
    if folder is None:
        raise SequenceError(f"{place}: has no {modality} folder ({' or '.join(names)})")
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not found:
        raise SequenceError(f"{folder}: holds no image")
    return tuple(sorted(found, key=_file_order))


def _file_order(path: Path) -> list[tuple[int, int, str]]:
    """Sorts names as people count: frame 10 after frame 9, with or without leading zeros."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def _first_box(truth: Truth, path: Path) -> Box:
    x, y, w, h = (float(v) for v in truth.visible[0])
    try:
        return Box(x, y, w, h)
    except ValueError as error:
        raise SequenceError(f"{path}:1: {error}; give a start with --init x,y,w,h") from error


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _first_file(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _video_pair_argument(source: str) -> tuple[Path, Path] | None:
    """`a.mp4,b.mp4` as two paths, whichever comma of the text is the one between them."""
    if Path(source).exists():
        return None
    cuts = [i for i, letter in enumerate(source) if letter == ","]
    for cut in cuts:
        pair = Path(source[:cut]), Path(source[cut + 1 :])
        if all(path.is_file() for path in pair):
            return pair
    if len(cuts) == 1:
        missing = next(p for p in (source[: cuts[0]], source[cuts[0] + 1 :]) if not Path(p).is_file())
        raise UsageError(f"{missing or source}: no such video file")
    return None


def _flight(path: Path) -> Recording:
    return Recording(path.name.removesuffix(SUFFIX), path, flight=True)


def _video_pairs(folder: Path) -> list[Recording]:
    """Pairs of video files in a folder, told by rgb, visible, tir, thermal, infrared in their names."""
    halves: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _MODALITY_WORD.match(path.stem) if path.suffix.lower() in VIDEO_SUFFIXES else None
        if match and path.is_file():
            kind = "rgb" if match["rgb"] else "tir"
            halves.setdefault(match["name"], {})[kind] = path
    return [
        Recording(name or folder.resolve().name, folder, None, half["rgb"], half["tir"])
        for name, half in halves.items()
        if len(half) == 2
    ]


def _shared_name(rgb: Path) -> str:
    match = _MODALITY_WORD.match(rgb.stem)
    return (match["name"] if match else rgb.stem) or rgb.resolve().parent.name


def _refuse_duplicates(recordings: list[Recording]) -> None:
    """Results are files named after sequences, so no two may share a name."""
    seen: dict[str, Path] = {}
    for recording in recordings:
        name = recording.name
        if name in seen:
            raise UsageError(
                f"two sequences are named {name}: {seen[name]} and {recording.place}; run them one by one"
            )
        seen[name] = recording.place
    for name in seen:
        if name == "report" or (name.endswith("_time") and name.removesuffix("_time") in seen):
            raise UsageError(f"{seen[name]}: its result files would overwrite others; rename the sequence")


def read_box_argument(text: str) -> Box:
    """`x,y,w,h` of --init. Raises UsageError saying what is wrong."""
    try:
        numbers = [float(part) for part in text.split(",")]
        if len(numbers) != 4:
            raise ValueError(f"{len(numbers)} numbers instead of 4")
        return Box(*numbers)
    except ValueError as error:
        raise UsageError(f"--init {text}: {error}; wanted x,y,w,h in pixels of the visible image") from error


__all__ = ["Collection", "Recording", "Sequence", "find_recordings", "read_box_argument", "read_truth"]
