"""What every camera offers: real ones, files and the simulator alike."""

from __future__ import annotations

from abc import ABC, abstractmethod

from edge_rgbt.types import Frame, Modality


class Camera(ABC):
    """One stream of frames of one modality, in order of capture.

    `open` before the first `read`; `close` at the end (a context manager does both).
    """

    modality: Modality
    name: str

    def open(self) -> None:
        """Acquires the device or file. Raises EdgeRgbtError naming it when that fails."""

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, blocking until there is one; None once the stream has ended."""

    def close(self) -> None:
        """Releases the device. May be called twice."""

    def __enter__(self) -> Camera:
        self.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
