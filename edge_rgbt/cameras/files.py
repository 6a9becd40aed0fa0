"""A folder of image files as a camera."""

from __future__ import annotations

from pathlib import Path

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.images import IMAGE_SUFFIXES, read_rgb, read_thermal
from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.types import Frame, Modality

TIME_FILE = "timestamps.txt"


class FolderCamera(Camera):
    """Delivers a folder's pictures in the order of their names.

    Their times are those of the time file: `timestamps`, or the folder's `timestamps.txt` if there is one;
    see `read_times`. Without one they are 1 / `fps` apart, starting at `start_ns`.
    """

    def __init__(
        self,
        folder: Path | str,
        modality: Modality,
        fps: float = 30.0,
        start_ns: int = 0,
        timestamps: Path | str | None = None,
    ) -> None:
        if not fps > 0:
            raise UsageError(f"{folder}: {fps} pictures per second are impossible; give a rate above 0")
        self.modality = modality
        self.name = str(folder)
        self._folder = Path(folder)
        self._fps = fps
        self._start_ns = start_ns
        self._time_file = None if timestamps is None else Path(timestamps)
        self._times_ns: list[int] | None = None
        self._files: list[Path] = []
        self._next = 0

    def open(self) -> None:
        """Lists the folder. Raises SequenceError if it is missing, holds no picture, or has unfit times."""
        if not self._folder.is_dir():
            raise SequenceError(f"{self._folder}: no such folder of {self.modality.value} pictures")
        self._files = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        self._next = 0
        if not self._files:
            raise SequenceError(f"{self._folder}: holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))})")
        beside = self._folder / TIME_FILE
        time_file = self._time_file or (beside if beside.is_file() else None)
        self._times_ns = None if time_file is None else read_times(time_file, self._files)

    def read(self) -> Frame | None:
        """The next picture; raises SequenceError naming the file if it is damaged, and goes on after it."""
        if self._next >= len(self._files):
            return None
        index, self._next = self._next, self._next + 1
        file = self._files[index]
        image = read_rgb(file) if self.modality is Modality.RGB else read_thermal(file)
        if self._times_ns is not None:
            return Frame(image, self.modality, self._times_ns[index], index, str(file))
        stamp_ns = self._start_ns + round(index * 1e9 / self._fps)
        return Frame(
            image, self.modality, stamp_ns, index, str(file), time_uncertainty_ns=round(0.5e9 / self._fps)
        )

    def close(self) -> None:
        self._files = []


def read_times(time_file: Path, pictures: list[Path]) -> list[int]:
    """Capture times of the pictures, nanoseconds.

    One line for each picture: its file name and its time, or in the order of the names its time alone. Blank
    lines and lines that start with # are left out. Raises SequenceError naming the line that is wrong.
    """
    try:
        lines = time_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SequenceError(f"{time_file}: cannot be read ({error})") from error
    named: dict[str, int] = {}
    plain: list[int] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2 or not words[-1].lstrip("-").isdigit():
            raise SequenceError(
                f"{time_file}:{number}: {line.strip()[:60]!r} is not `[NAME] NANOSECONDS` with a whole number"
            )
        if len(words) == 2:
            named[words[0]] = int(words[1])
        else:
            plain.append(int(words[0]))
    times = [named[p.name] for p in pictures if p.name in named] if named else plain
    if len(times) != len(pictures):
        raise SequenceError(f"{time_file}: has times for {len(times)} of {len(pictures)} pictures")
    late = next((i for i in range(1, len(times)) if times[i] <= times[i - 1]), None)
    if late is not None:
        raise SequenceError(f"{time_file}: the time of {pictures[late].name} is not after the one before it")
    return times
