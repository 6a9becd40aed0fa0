"""What every camera offers: real ones, files and the simulator alike."""

from __future__ import annotations

from abc import ABC, abstractmethod

from edge_rgbt.types import Frame, Modality


class Camera(ABC):
    """One stream of frames of one modality, in order of capture.

    Used from one thread: `open` before the first `read`, `close` at the end (a context manager does both).
    After a CameraError: `close`, wait a moment, `open` again; `feed.CameraFeed` does that.

    Live cameras keep no queue. `read` hands over the newest frame, less than one frame period after it came
    from the device; what nobody fetched in time is gone and shows as a gap in `Frame.sequence`.
    """

    modality: Modality
    name: str  # for messages: the configured name, or the file

    def open(self) -> None:
        """Acquires the device or file and starts the stream; again after `close`, from the beginning.

        A live camera blocks until its first frame has come and has the promised format and size, for
        `start_timeout_ms` at most. Raises CameraError (SequenceError for recordings): not there, in use, no
        permission, a mistake in the pipeline, another format or size than promised, no frame in time. It
        holds nothing then, and may be opened again.
        """

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, in the format in which the camera has it; None once a recording has ended.

        A live camera blocks for `stall_timeout_ms` at most. Raises CameraStalledError if no frame came in
        that time and CameraError if the stream broke off. Both need `close` and `open`. SequenceError names
        one damaged picture of a recording; the next call goes on after it.
        """

    def close(self) -> None:
        """Releases the device, in milliseconds as a rule; a driver may take longer. May be called twice."""

    def __enter__(self) -> Camera:
        self.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
