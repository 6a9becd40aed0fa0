"""Everything that the camera can be asked for, and the messages that say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_rgbt.mavlink.camera import about
from edge_rgbt.mavlink.camera.control import TrackControl
from edge_rgbt.mavlink.camera.diagnostics import ComputerStatus, TrackNumbers, computer_status, track_numbers
from edge_rgbt.mavlink.camera.profile import CameraProfile
from edge_rgbt.mavlink.camera.solution import Solution
from edge_rgbt.mavlink.camera.target import TargetReport
from edge_rgbt.mavlink.dialect import common as dialect

INFORMATION = dialect.MAVLINK_MSG_ID_CAMERA_INFORMATION
SETTINGS = dialect.MAVLINK_MSG_ID_CAMERA_SETTINGS
STORAGE = dialect.MAVLINK_MSG_ID_STORAGE_INFORMATION
CAPTURE = dialect.MAVLINK_MSG_ID_CAMERA_CAPTURE_STATUS
STREAM = dialect.MAVLINK_MSG_ID_VIDEO_STREAM_INFORMATION
STREAM_STATUS = dialect.MAVLINK_MSG_ID_VIDEO_STREAM_STATUS
FOV = dialect.MAVLINK_MSG_ID_CAMERA_FOV_STATUS
TARGET = dialect.MAVLINK_MSG_ID_CAMERA_TRACKING_IMAGE_STATUS
TARGET_PLACE = dialect.MAVLINK_MSG_ID_CAMERA_TRACKING_GEO_STATUS
COMPUTER = dialect.MAVLINK_MSG_ID_ONBOARD_COMPUTER_STATUS
NUMBERS = dialect.MAVLINK_MSG_ID_NAMED_VALUE_FLOAT
HEARTBEAT = dialect.MAVLINK_MSG_ID_HEARTBEAT

OF_COMPANION = (COMPUTER, NUMBERS)
NUMBERED = (STREAM, STREAM_STATUS)  # one message for each stream
_UNKNOWN_PX = (640, 480)


class Unavailable(Exception):
    """A message of ours that cannot be built. for_now: it can be later."""

    def __init__(self, for_now: bool) -> None:
        super().__init__("cannot be said now" if for_now else "there is no such thing")
        self.for_now = for_now


class Facts:
    """What is true of the camera at the moment; the component keeps it up to date."""

    def __init__(
        self,
        profile: CameraProfile,
        control: TrackControl,
        target: TargetReport,
        solution: Solution,
        boot_ms: Callable[[int], int],
    ) -> None:
        self.profile, self.control, self.target, self.solution = profile, control, target, solution
        self._boot_ms = boot_ms
        self.streams: dict[int, about.StreamState] = {}
        self.storage: about.StorageState | None = None
        self.view: about.CameraView | None = None
        self.computer: ComputerStatus | None = None
        self.numbers: TrackNumbers | None = None
        self.published_px: tuple[int, int] | None = None
        self._builders: dict[int, Callable[[int, str, int], list[Any]]] = {
            INFORMATION: self._information,
            SETTINGS: lambda which, host, now_ns: [about.settings(self._ms(now_ns))],
            STORAGE: self._storage,
            CAPTURE: lambda which, host, now_ns: [about.capture_status(self.storage, self._ms(now_ns))],
            STREAM: self._stream_information,
            STREAM_STATUS: self._stream_status,
            FOV: lambda which, host, now_ns: [about.fov_status(profile, self.view, self._ms(now_ns))],
            TARGET: lambda which, host, now_ns: [self.target.message(now_ns)],
            TARGET_PLACE: self._target_place,
        }
        if profile.diagnostics:
            self._builders[COMPUTER] = self._computer
            self._builders[NUMBERS] = self._numbers

    def offers(self, message_id: int) -> bool:
        """True for messages that we send at all."""
        return message_id in self._builders

    def messages(self, message_id: int, which: int, host: str, now_ns: int) -> list[Any]:
        """The message that says it. which: of several, such as the stream, 0 for all. host: ours, as the peer
        reaches it. Raises Unavailable."""
        build = self._builders.get(message_id)
        if build is None:
            raise Unavailable(for_now=False)
        return build(which, host, now_ns)

    def size_px(self) -> tuple[int, int]:
        """Of the main stream's picture. Without a stream nobody clicks, so that a size which is not known yet
        misplaces nothing; MAVSDK soon stops to ask a camera that waits with its answer."""
        if self.profile.main is not None:
            return self.profile.main.size_px
        picture = self.control.picture()
        seen = self.published_px if picture is None else (picture.width, picture.height)
        return self.profile.size_px or seen or _UNKNOWN_PX

    def stream_numbers(self, which: int) -> list[int]:
        """Of one stream or all: thermal first and the main one last, which a client that keeps only the last
        then has (R-VS-1). Raises Unavailable."""
        streams = self.profile.numbered_streams
        if not 0 <= which <= len(streams) or not streams:
            raise Unavailable(for_now=False)
        if which:
            return [which]
        rest = range(2, len(streams) + 1)
        return [
            *(n for n in rest if streams[n - 1].thermal),
            *(n for n in rest if not streams[n - 1].thermal),
            1,
        ]

    def _ms(self, now_ns: int) -> int:
        return self._boot_ms(now_ns) % 2**32

    def _information(self, which: int, host: str, now_ns: int) -> list[Any]:
        return [about.information(self.profile, self.size_px(), self._ms(now_ns))]

    def _storage(self, which: int, host: str, now_ns: int) -> list[Any]:
        if which not in (0, 1):
            raise Unavailable(for_now=False)
        return [about.storage_information(self.storage, self._ms(now_ns))]

    def _stream_information(self, which: int, host: str, now_ns: int) -> list[Any]:
        numbers = self.stream_numbers(which)
        return [about.stream_information(self.profile, n, self.streams.get(n), host) for n in numbers]

    def _stream_status(self, which: int, host: str, now_ns: int) -> list[Any]:
        return [about.stream_status(self.profile, n, self.streams.get(n)) for n in self.stream_numbers(which)]

    def _target_place(self, which: int, host: str, now_ns: int) -> list[Any]:
        message = self.solution.message(self.target.phase(now_ns), now_ns)
        if message is None:
            raise Unavailable(for_now=True)
        return [message]

    def _computer(self, which: int, host: str, now_ns: int) -> list[Any]:
        if self.computer is None:
            raise Unavailable(for_now=True)
        return [computer_status(self.computer)]

    def _numbers(self, which: int, host: str, now_ns: int) -> list[Any]:
        if self.numbers is None:
            raise Unavailable(for_now=True)
        return track_numbers(self.numbers, self._ms(now_ns))
