"""A switch on the pilot's radio: up engages, down ends, whoever engaged."""

from __future__ import annotations

from enum import Enum

from edge_rgbt.steering.settings import SwitchSettings

_SLACK_US = 50
_LOWEST_US, _HIGHEST_US = 800, 2200  # a radio that is off says something else


class Flip(Enum):
    """What the switch has just done."""

    UP = "up"
    DOWN = "down"


class PilotSwitch:
    """It has to be seen down before up counts, so that a switch left up engages nothing at start."""

    def __init__(self, settings: SwitchSettings) -> None:
        self._settings = settings
        self._down: bool | None = None

    def forget(self) -> None:
        """Where it was says nothing any more."""
        self._down = None

    def look(self, channels: tuple[int, ...]) -> Flip | None:
        """channels: microseconds as RC_CHANNELS has them."""
        s = self._settings
        if s.channel is None or len(channels) < s.channel:
            return None
        value = channels[s.channel - 1]
        if not _LOWEST_US <= value <= _HIGHEST_US:
            return None
        if value <= s.on_above_us - _SLACK_US:
            moved, self._down = self._down is not True, True
            return Flip.DOWN if moved else None
        if value > s.on_above_us and self._down:
            self._down = False
            return Flip.UP
        return None
