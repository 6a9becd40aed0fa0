"""What the camera component asks of whoever owns the tracker. Nothing here may block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_rgbt.types import Box

Requester = tuple[int, int]  # system and component of who asked


@dataclass(frozen=True, slots=True)
class Picture:
    """The newest picture that a track could start on: its size in pixels, and its capture time, monotonic."""

    width: int
    height: int
    captured_ns: int


@dataclass(frozen=True, slots=True)
class StartRequest:
    """An accepted selection. box: in pixels of the RGB picture, inside it.

    shown_ns: when the picture was captured that the operator had before him, on the monotonic clock; None for
    the newest one. Who keeps a few pictures starts on the one nearest to it and tracks forward to now.
    """

    track_id: int
    box: Box
    requester: Requester
    shown_ns: int | None = None


class TrackControl(Protocol):
    """The tracker's side. Called from the station's thread with the component's lock held: note what is asked
    and return; the frame loop takes it up with its next pair. Never call the component back from here."""

    def picture(self) -> Picture | None:
        """None while no model is loaded or no camera has given a picture."""
        ...

    def start(self, request: StartRequest) -> None:
        """Takes the place of whatever is tracked, and of an earlier request not yet taken up."""
        ...

    def stop(self, requester: Requester) -> None:
        """Ends the track and any request not yet taken up; nothing starts by itself afterwards."""
        ...


class NothingToControl:
    """For a track that plays by itself, such as a replay: nothing can be started, and stopping hides it."""

    def picture(self) -> Picture | None:
        return None

    def start(self, request: StartRequest) -> None:
        raise AssertionError("a selection was taken without a picture")

    def stop(self, requester: Requester) -> None:
        return None
