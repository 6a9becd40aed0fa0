"""The disk that recordings go to: room, rights, speed, and whether anything stays after power-off."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edge_rgbt.health.checks.finding import Finding, Site, good, note, wrong
from edge_rgbt.health.machine import read_disk

PIECES, PIECE_BYTES = 8, 1 << 20
# 640x512 at 30 Hz: raw 16-bit thermal 20 MB/s, and JPEG pictures of both cameras 2 to 5 MB/s
RAW_MB_PER_S, JPEG_MB_PER_S = 25.0, 5.0
SLOW_SYNC_MS = 500.0
_ELSEWHERE = "record to a folder on a data partition that the service owns"
_VOLATILE = ("tmpfs", "ramfs", "overlay")


def check_disk(site: Site) -> Iterator[Finding]:
    """Examines the recording folder, or the current one where none is configured."""
    if site.record_folder is None and site.configured:
        yield note("disk", "the configuration records nothing")
        return
    folder = (site.record_folder or Path.cwd()).absolute()
    disk = read_disk(folder)
    if disk is None:
        yield wrong("disk", f"{folder}: cannot be asked", "mount it, or record to another folder")
        return
    there = Path(disk.folder)
    if disk.read_only or not os.access(there, os.W_OK | os.X_OK):
        why = "is mounted read-only" if disk.read_only else "may not be written by this user"
        yield wrong("disk", f"{there} {why}", _ELSEWHERE)
        return
    room = f"{there}: {disk.free_mb / 1e3:.1f} GB free of {disk.total_mb / 1e3:.1f} GB"
    if disk.free_mb < site.disk_free_mb:
        yield wrong("disk", room, f"delete old recordings: less than {site.disk_free_mb:g} MB is too little")
        return
    try:
        speed = _speed(there)
    except OSError as error:  # rights and mount options do not tell everything
        yield wrong("disk", f"{there}: cannot be written ({error.strerror or error})", _ELSEWHERE)
        return
    yield good("disk", room)
    yield from _lasting(site, there)
    yield speed


def _lasting(site: Site, folder: Path) -> Iterator[Finding]:
    kind = _file_system(site, folder)
    if kind in _VOLATILE:
        advice = "record to a partition of its own (ext4)"
        yield note("disk", f"{folder} is on {kind}: on a drone that is gone after power-off", advice)


def _file_system(site: Site, folder: Path) -> str:
    """Type of the file system below a folder, from the longest mount point above it."""
    longest, kind = "", "unknown"
    for line in (site.tree.text("/proc/self/mounts") or "").splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        above = str(folder) == point or str(folder).startswith(point.rstrip("/") + "/")
        if above and len(point) >= len(longest):
            longest, kind = point, fields[2]
    return kind


def _speed(folder: Path) -> Finding:
    """Writes 8 MiB in pieces, each forced to the disk, as the recorder does once a second."""
    piece, longest_s = os.urandom(PIECE_BYTES), 0.0
    began_s = time.monotonic()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".edge-rgbt-doctor-", buffering=0) as file:
        for _ in range(PIECES):
            piece_began_s = time.monotonic()
            file.write(piece)
            os.fsync(file.fileno())
            longest_s = max(longest_s, time.monotonic() - piece_began_s)
    rate = PIECES * PIECE_BYTES / 1e6 / (time.monotonic() - began_s)
    text = f"writes {rate:.0f} MB/s, the slowest megabyte is safe after {longest_s * 1e3:.0f} ms"
    if rate < JPEG_MB_PER_S:
        return wrong("disk speed", text, f"recording needs {JPEG_MB_PER_S:g} MB/s: take an NVMe disk")
    if rate < RAW_MB_PER_S:
        return note("disk speed", text, f"enough for JPEG; raw thermal needs {RAW_MB_PER_S:g} MB/s")
    if longest_s * 1e3 > SLOW_SYNC_MS:
        return note("disk speed", text, "a power cut may cost more than the last second")
    return good("disk speed", text)
