"""Log lines as systemd's journal wants them, written by a thread of their own. See sd-daemon(3)."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
import threading
from collections.abc import Mapping
from typing import TextIO

PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
JOURNAL = "%(name)s: %(message)s"
WAITING_LINES = 1000
_LAST_WORDS_S = 1.0
# syslog's numbers: critical, error, warning, informational, debug
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


class JournalFormatter(logging.Formatter):
    """`<4>` before each line of a warning and so on; the journal splits at line ends and adds the time."""

    def __init__(self) -> None:
        super().__init__(JOURNAL)

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class BackgroundHandler(logging.handlers.QueueHandler):
    """Hands records to another handler from a thread, so that a journal that stalls stalls no frame.

    More than WAITING_LINES that wait are dropped and counted in `dropped`. `close`, which Python calls at
    exit, waits a second for what still waits.
    """

    def __init__(self, target: logging.Handler) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(WAITING_LINES)
        super().__init__(self._lines)  # type: ignore[arg-type]
        self._target = target
        self.dropped = 0
        self._thread = threading.Thread(target=self._write_on, name="log", daemon=True)
        self._thread.start()

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=_LAST_WORDS_S)
            except queue.Full:
                pass
            else:
                self._thread.join(_LAST_WORDS_S)
        super().close()

    def _write_on(self) -> None:
        while (record := self._lines.get()) is not None:
            self._target.handle(record)


def configure_logging(
    level: int = logging.INFO, environment: Mapping[str, str] | None = None, stream: TextIO | None = None
) -> BackgroundHandler:
    """Sends every log line to standard error (or `stream`), for the journal if that is what reads it."""
    out = sys.stderr if stream is None else stream
    target = logging.StreamHandler(out)
    journal = reads_journal(out, os.environ if environment is None else environment)
    target.setFormatter(JournalFormatter() if journal else logging.Formatter(PLAIN, "%Y-%m-%dT%H:%M:%S"))
    handler = BackgroundHandler(target)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    return handler


def reads_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """True if the stream is the very one that JOURNAL_STREAM names by device and inode.

    The variable alone proves nothing: children inherit it, whatever their output was redirected to.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
