"""How a flight is recorded, and what became of it in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edge_rgbt.errors import UsageError
from edge_rgbt.types import Modality

Encoding = Literal["jpeg", "png", "raw"]
Compression = Literal["none", "lz4", "zstd"]


@dataclass(frozen=True)
class RecorderSettings:
    """How both streams are stored, and how much memory and disk that may take.

    rgb, tir: `raw` (large, little processor time) and `png` (smaller, much of it) are lossless, so that a
    replay gives the flight's tracks to the last bit; with `jpeg`, the smallest, it comes near. Thermal counts
    of 16 bits are never made JPEG: they are stored raw instead. compression: of whole chunks; worth its time
    with raw streams only.
    queue_mb: pictures that wait for the disk; more than that drops the oldest ones.
    flush_ms: so often everything is brought onto the disk. Power loss costs that and what the disk takes.
    segment_mb, segment_s: a file that reaches one of them is finished and the next one begun.
    min_free_mb: with less than that free on the disk, recording rests.
    Raises UsageError naming the setting that is impossible.
    """

    rgb: Encoding = "raw"
    tir: Encoding = "raw"
    jpeg_quality: int = 95
    compression: Compression = "none"
    queue_mb: float = 64.0
    flush_ms: float = 400.0
    segment_mb: float = 2000.0  # FAT32 ends at 4 GiB
    segment_s: float = 600.0
    min_free_mb: float = 500.0

    def __post_init__(self) -> None:
        for name, allowed in (("rgb", Encoding), ("tir", Encoding), ("compression", Compression)):
            value, choices = getattr(self, name), get_args(allowed)
            if value not in choices:
                raise UsageError(f"{name} is '{value}', expected {', '.join(choices)}")
        for name, low, high in (
            ("jpeg_quality", 1, 100),
            ("queue_mb", 1, 100_000),
            ("flush_ms", 10, 60_000),
            ("segment_mb", 1, 1_000_000),
            ("segment_s", 1, 86_400),
            ("min_free_mb", 0, 1_000_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value:g}, expected {low} to {high}")

    def encoding(self, modality: Modality) -> str:
        return self.rgb if modality is Modality.RGB else self.tir


@dataclass(slots=True)
class RecorderCounters:
    """What became of everything handed to a recorder so far.

    frames, messages: written. bytes: of all files. dropped_frames, dropped_messages, dropped_mavlink: pushed
    out of a full queue by newer ones; what goes over MAVLink has one of its own. lost: frames and messages
    that a refusing disk did not take, at most. refused: could not be encoded.
    disk_errors: how often the disk refused. segments: files begun. queued, queued_mb: waiting now.
    """

    frames: int = 0
    messages: int = 0
    bytes: int = 0
    dropped_frames: int = 0
    dropped_messages: int = 0
    dropped_mavlink: int = 0
    lost: int = 0
    refused: int = 0
    disk_errors: int = 0
    segments: int = 0
    queued: int = 0
    queued_mb: float = 0.0
