"""What was sent, or would have been in a dry run, and why: all of it recorded, some of it logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LOG = logging.getLogger(__name__)
_TOLD_EVERY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """One control message. kind: its name. message: its fields. inputs: what it was computed from.

    sent: False in a dry run.
    """

    at_ns: int
    kind: str
    sent: bool
    message: dict[str, Any]
    inputs: dict[str, Any]


class Journal:
    """Hands every record on and logs the first of each kind in a second."""

    def __init__(self, record: Callable[[ControlRecord], None] | None, dry_run: bool) -> None:
        self._record, self.dry_run = record, dry_run
        self._told_ns: dict[str, int] = {}

    def note(self, message: Any, inputs: dict[str, Any], now_ns: int) -> None:
        fields = message.to_dict()
        kind = fields.pop("mavpackettype")
        if self._record is not None:
            self._record(ControlRecord(now_ns, kind, not self.dry_run, fields, inputs))
        if now_ns - self._told_ns.get(kind, -_TOLD_EVERY_NS) >= _TOLD_EVERY_NS:
            self._told_ns[kind] = now_ns
            LOG.info("%s %s %s, from %s", "dry run:" if self.dry_run else "control:", kind, fields, inputs)
