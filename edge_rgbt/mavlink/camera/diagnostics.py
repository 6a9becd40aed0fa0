"""What the companion computer tells about itself and the tracker, once a second when it is enabled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect

_U8, _I8, _I16, _U32 = 2**8 - 1, 2**7 - 1, 2**15 - 1, 2**32 - 1


@dataclass(frozen=True, slots=True)
class ComputerStatus:
    """The machine. cores_percent, gpu_percent: load, 0..100; memory and disk in MiB, temperatures in C."""

    uptime_ms: int
    cores_percent: tuple[float, ...] = ()
    gpu_percent: float | None = None
    board_c: float | None = None
    cores_c: tuple[float, ...] = ()
    memory_used_mib: float | None = None
    memory_total_mib: float | None = None
    disk_used_mib: float | None = None
    disk_total_mib: float | None = None


@dataclass(frozen=True, slots=True)
class TrackNumbers:
    """latency_ms: from capture to publishing, None while nobody knows. state: tracking_status of 275."""

    fps: float
    latency_ms: float | None
    confidence: float
    state: int


def computer_status(status: ComputerStatus) -> Any:
    """ONBOARD_COMPUTER_STATUS (390); what is not known is the type's largest number."""
    cores = [_clamped(one, 0, 100) for one in status.cores_percent]
    mean = _clamped(sum(status.cores_percent) / len(cores), 0, 100) if cores else _U8
    gpu = _U8 if status.gpu_percent is None else _clamped(status.gpu_percent, 0, 100)
    board = _I8 if status.board_c is None else _clamped(status.board_c, -128, _I8 - 1)
    temperatures = [_clamped(one, -128, _I8 - 1) for one in status.cores_c]
    return dialect.MAVLink_onboard_computer_status_message(
        0,  # time_usec: wall clock, which is not needed here and not always right
        min(status.uptime_ms, _U32),
        0,  # type
        _filled(cores, 8, _U8),
        _filled([mean], 10, _U8),
        _filled([gpu], 4, _U8),
        _filled([gpu], 10, _U8),
        board,
        _filled(temperatures, 8, _I8),
        _filled([], 4, _I16),
        _mib(status.memory_used_mib),
        _mib(status.memory_total_mib),
        _filled([], 4, _U32),
        _filled([_mib(status.disk_used_mib)], 4, _U32),
        _filled([_mib(status.disk_total_mib)], 4, _U32),
        # Of network links nothing is told.
        _filled([], 6, _U32),
        _filled([], 6, _U32),
        _filled([], 6, _U32),
        _filled([], 6, _U32),
        _filled([], 6, _U32),
    )


def track_numbers(numbers: TrackNumbers, time_boot_ms: int) -> list[Any]:
    """NAMED_VALUE_FLOAT (251): trk_fps, trk_lat (ms), trk_conf, trk_state."""
    latency_ms = float("nan") if numbers.latency_ms is None else numbers.latency_ms
    values = {
        "trk_fps": numbers.fps,
        "trk_lat": latency_ms,
        "trk_conf": numbers.confidence,
        "trk_state": float(numbers.state),
    }
    return [
        dialect.MAVLink_named_value_float_message(time_boot_ms, name.encode(), value)
        for name, value in values.items()
    ]


def _clamped(value: float, low: int, high: int) -> int:
    return min(max(round(value), low), high)


def _filled(values: list[int], length: int, missing: int) -> list[int]:
    return (values + [missing] * length)[:length]


def _mib(value: float | None) -> int:
    return _U32 if value is None else _clamped(value, 0, _U32 - 1)
