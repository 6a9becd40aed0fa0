"""Errors that a user can mend. The command line prints their text as one line and exits with their status."""

from __future__ import annotations


class EdgeRgbtError(Exception):
    """Something failed while working (exit status 1). The text says what, where and what to do."""

    exit_status = 1


class UsageError(EdgeRgbtError):
    """The call itself was wrong: a bad option, a missing path, an impossible value (exit status 2)."""

    exit_status = 2


class BundleError(UsageError):
    """A model bundle is missing, damaged or not for this version."""


class SequenceError(EdgeRgbtError):
    """One sequence or recording cannot be read; the others still can."""


class EngineError(EdgeRgbtError):
    """An inference engine cannot be opened or failed to run."""


class CameraError(EdgeRgbtError):
    """A camera cannot be opened, delivers something else than promised, or failed; open it again later."""


class CameraStalledError(CameraError):
    """A camera is open and delivers nothing; close it and open it again."""
