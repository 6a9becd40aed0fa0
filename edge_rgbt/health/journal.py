"""Log lines as systemd's journal wants them: a priority in front, no time of our own. See sd-daemon(3)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
JOURNAL = "%(name)s: %(message)s"
# syslog's numbers: critical, error, warning, informational, debug
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


class JournalFormatter(logging.Formatter):
    """`<4>` before each line of a warning and so on: the journal splits at line ends."""

    def __init__(self) -> None:
        super().__init__(JOURNAL)

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def configure_logging(
    level: int = logging.INFO, environment: Mapping[str, str] | None = None, stream: TextIO | None = None
) -> None:
    """Sends every log line to standard error (or `stream`), for the journal if that is what reads it."""
    out = sys.stderr if stream is None else stream
    given = os.environ if environment is None else environment
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        JournalFormatter() if reads_journal(out, given) else logging.Formatter(PLAIN, "%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def reads_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """True if the stream is the very one that JOURNAL_STREAM names by device and inode.

    The variable alone proves nothing: children inherit it, whatever their output was redirected to.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
