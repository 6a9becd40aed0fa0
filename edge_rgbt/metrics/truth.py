"""Where each benchmark keeps its annotated boxes, and reading them; needs no images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.metrics.boxes import read_truth
from edge_rgbt.metrics.rules import Truth


@dataclass(frozen=True)
class BoxLayout:
    """Box files of one benchmark.

    visible, infrared: names inside a sequence folder, the first that exists counts.
    splits: split name -> folder below the root; the first is what published scores are about.
    single_file: one `<sequence>.txt` per sequence is known too (the form result toolkits carry).
    """

    dataset: str
    visible: tuple[str, ...]
    infrared: tuple[str, ...]
    corners: bool = False
    period: int = 1
    splits: tuple[tuple[str, str], ...] = ()
    single_file: bool = False


BOX_LAYOUTS: dict[str, BoxLayout] = {
    layout.dataset: layout
    for layout in (
        BoxLayout("gtot", ("groundTruth_v.txt",), ("groundTruth_i.txt",), corners=True),
        BoxLayout("rgbt210", ("init.txt",), (), single_file=True),
        # Never init.txt here: it differs from visible.txt in 17 sequences.
        BoxLayout("rgbt234", ("visible.txt",), ("infrared.txt",)),
        BoxLayout(
            "lasher",
            ("visible.txt", "init.txt"),
            (),
            splits=(("test", "testingset"), ("train", "trainingset")),
            single_file=True,
        ),
        BoxLayout(
            "vtuav",
            ("rgb.txt",),
            ("ir.txt",),
            period=10,
            splits=(
                ("test_ST", "test_ST/test_ST"),
                ("test_ST", "test_ST"),
                ("test_LT", "test_LT"),
                ("train", "train"),
            ),
        ),
    )
}


@dataclass(frozen=True)
class TruthFiles:
    """Box files of one sequence; nothing is read yet."""

    name: str
    visible: Path
    infrared: Path | None
    layout: BoxLayout

    def read(self) -> Truth:
        """Raises SequenceError naming file and line when a box file is missing or faulty."""
        visible = read_truth(self.visible, self.layout.corners)
        infrared = None
        if self.infrared is not None:
            infrared = read_truth(self.infrared, self.layout.corners)
            if len(infrared) != len(visible):
                raise SequenceError(
                    f"{self.infrared}: {len(infrared)} boxes, but {self.visible.name} has {len(visible)}"
                )
        return Truth(self.name, visible, infrared, self.layout.period)


def box_layout(dataset: str) -> BoxLayout:
    """The box files of a benchmark by its name. Raises UsageError listing the names."""
    try:
        return BOX_LAYOUTS[dataset]
    except KeyError:
        raise UsageError(f"unknown dataset '{dataset}'; known: {', '.join(BOX_LAYOUTS)}") from None


def truth_files(folder: Path, layout: BoxLayout) -> TruthFiles | None:
    """Box files in a sequence folder; None where the visible one is absent.

    A missing infrared file is left for `read` to complain about, since the rules of that benchmark need both.
    """
    visible = next((folder / name for name in layout.visible if (folder / name).is_file()), None)
    if visible is None:
        return None
    infrared = folder / layout.infrared[0] if layout.infrared else None
    return TruthFiles(folder.name, visible, infrared, layout)


def split_folders(
    root: Path, splits: tuple[tuple[str, str], ...], split: str | None
) -> tuple[str, list[Path]]:
    """Folders that hold a benchmark's sequences, and the name of the split they are.

    split: None takes the first one there is; `all` takes every one. A root without split folders is one
    unnamed split (`""`). Raises UsageError when the asked one is absent.
    """
    found = [(name, root / folder) for name, folder in splits if (root / folder).is_dir()]
    own = [(name, root) for name, folder in splits if root.resolve().name == Path(folder).name]
    found = found or own[:1]
    if split is None:
        wanted = found[0][0] if found else ""
    elif split == "all":
        wanted = "all"
    else:
        wanted = split
        if split not in (name for name, _ in found):
            names = ", ".join(dict.fromkeys(name for name, _ in splits)) or "none"
            raise UsageError(f"{root}: holds no split '{split}' (this dataset's splits: {names})")
    folders = []
    for name, folder in found:
        if (wanted in ("all", name)) and not any(folder in other.parents for other in folders):
            folders.append(folder)
    return wanted, folders or [root]


def find_truths(root: Path, dataset: str, split: str | None = None) -> tuple[str, list[TruthFiles]]:
    """All sequences with box files below `root`, sorted by name, and their split's name.

    root: the benchmark's root, one split of it, one sequence, or a folder with `gt/` or `<dataset>/gt/`.
    Raises UsageError when there is none.
    """
    layout = box_layout(dataset)
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; --data wants the folder with the {dataset} sequences")
    for base in (root, root / "gt", root / dataset / "gt", root / dataset):
        if not base.is_dir():
            continue
        name, folders = split_folders(base, layout.splits, split if base == root else None)
        found = sorted((t for folder in folders for t in _truths_in(folder, layout)), key=lambda t: t.name)
        if found:
            return name, found
    raise UsageError(f"{root}: holds no box files of {dataset} ({' or '.join(layout.visible)} per sequence)")


def _truths_in(base: Path, layout: BoxLayout) -> Iterator[TruthFiles]:
    own = truth_files(base, layout)
    if own is not None:
        yield TruthFiles(base.resolve().name, own.visible, own.infrared, layout)
        return
    for path in sorted(base.iterdir()):
        if path.is_dir():
            files = truth_files(path, layout)
            if files is not None:
                yield files
        elif layout.single_file and path.suffix == ".txt":
            yield TruthFiles(path.stem, path, None, layout)
