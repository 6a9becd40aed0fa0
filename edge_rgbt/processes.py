"""Processes of our own beside the first one: it handles the signals for them, and none outlives it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess


@contextmanager
def children_spared(*signals: signal.Signals) -> Iterator[None]:
    """Processes started in this block never see these signals, not even while Python starts in them.

    One that comes meanwhile reaches this process at the end of the block.
    """
    resource_tracker.ensure_running()  # its start, which comes with the first child, would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # children inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Called in a child process: ends it, whatever it does, once its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), name="end-with-parent", daemon=True).start()


def _exit_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
