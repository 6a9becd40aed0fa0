"""A folder of image files as a camera."""

from __future__ import annotations

from pathlib import Path

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.images import IMAGE_SUFFIXES, read_rgb, read_thermal
from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.types import Frame, Modality


class FolderCamera(Camera):
    """Delivers a folder's pictures in the order of their names, 1 / `fps` apart, starting at `start_ns`."""

    def __init__(self, folder: Path | str, modality: Modality, fps: float = 30.0, start_ns: int = 0) -> None:
        if not fps > 0:
            raise UsageError(f"{folder}: {fps} pictures per second are impossible; give a rate above 0")
        self.modality = modality
        self.name = str(folder)
        self._folder = Path(folder)
        self._fps = fps
        self._start_ns = start_ns
        self._files: list[Path] = []
        self._next = 0

    def open(self) -> None:
        """Lists the folder. Raises SequenceError if it is missing or holds no picture."""
        if not self._folder.is_dir():
            raise SequenceError(f"{self._folder}: no such folder of {self.modality.value} pictures")
        self._files = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        self._next = 0
        if not self._files:
            raise SequenceError(f"{self._folder}: holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))})")

    def read(self) -> Frame | None:
        """The next picture; raises SequenceError naming the file if it is damaged, and goes on after it."""
        if self._next >= len(self._files):
            return None
        index, self._next = self._next, self._next + 1
        file = self._files[index]
        image = read_rgb(file) if self.modality is Modality.RGB else read_thermal(file)
        stamp_ns = self._start_ns + round(index * 1e9 / self._fps)
        return Frame(
            image, self.modality, stamp_ns, index, str(file), time_uncertainty_ns=round(0.5e9 / self._fps)
        )

    def close(self) -> None:
        self._files = []
