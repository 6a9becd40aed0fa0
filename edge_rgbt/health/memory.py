"""Gives memory that is free inside this process back to the machine."""

from __future__ import annotations

import ctypes


def return_free_memory() -> None:
    """Asks the C library to return whole free pages of all its arenas; milliseconds. Nothing but glibc can.

    Pictures come from a dozen threads' arenas. What a full queue took for a moment stays resident there once
    anything small lies behind it, so that a long flight would slowly climb to the sum of all its peaks.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
