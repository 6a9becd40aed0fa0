"""What the camera is, has and shows: messages 259 to 262 and 269 to 271."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.camera.profile import (
    HOST,
    NAME_BYTES,
    URI_BYTES,
    CameraProfile,
    StreamProfile,
    firmware_version,
)
from edge_rgbt.mavlink.dialect import common as dialect

NAN = float("nan")
UNKNOWN_E7 = 2**31 - 1  # INT32_MAX: CAMERA_FOV_STATUS has it for positions that are not known
NO_GROUND_E7 = -(2**31)  # INT32_MIN: the ray misses the ground
_STORAGE_NAME = "flight recording"
_STORAGE_TYPE_OTHER = 254
_ENCODINGS = {"h264": 1, "h265": 2}
_Numbers = tuple[int, float, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class StreamState:
    """What an encoder really does. bitrate_bit_s: measured, 0 if it is not."""

    running: bool
    bitrate_bit_s: int = 0
    rate_hz: float | None = None


@dataclass(frozen=True, slots=True)
class StorageState:
    """Where flights are recorded, in MiB of its file system, and for how long this one has been."""

    total_mib: float
    available_mib: float
    recording: bool = False
    recording_ms: int = 0


@dataclass(frozen=True, slots=True)
class CameraView:
    """Where the camera is and looks, as far as it is known; angles of view come from the main stream.

    Degrees of WGS84 and metres above mean sea level. quaternion: camera to north-east-down, w first.
    ground: latitude, longitude, altitude of what the middle of the picture shows. sky: it shows none.
    """

    position: tuple[float, float, float] | None = None
    quaternion: tuple[float, float, float, float] | None = None
    ground: tuple[float, float, float] | None = None
    sky: bool = False


def information(profile: CameraProfile, size_px: tuple[int, int], time_boot_ms: int) -> Any:
    """CAMERA_INFORMATION (259). size_px: of the main stream's picture."""
    sensor = profile.sensor_size_mm or (NAN, NAN)
    return dialect.MAVLink_camera_information_message(
        time_boot_ms,
        _name_bytes(profile.vendor),
        _name_bytes(profile.model),
        firmware_version(),
        NAN if profile.focal_length_mm is None else profile.focal_length_mm,
        *sensor,
        *size_px,
        0,  # lens
        capabilities(profile),
        0,  # no camera definition file: ground stations show their own controls at once
        b"",
        profile.gimbal_device_id,
        0,
    )


def capabilities(profile: CameraProfile) -> int:
    """CAMERA_CAP_FLAGS, the same for the life of the process (R-CI-1, R-CI-2)."""
    flags = dialect.CAMERA_CAP_FLAGS_HAS_TRACKING_POINT | dialect.CAMERA_CAP_FLAGS_HAS_TRACKING_RECTANGLE
    if profile.streams:
        flags |= dialect.CAMERA_CAP_FLAGS_HAS_VIDEO_STREAM
    if profile.geolocates:
        flags |= dialect.CAMERA_CAP_FLAGS_HAS_TRACKING_GEO_STATUS
    return flags


def settings(time_boot_ms: int) -> Any:
    """CAMERA_SETTINGS (260): video mode, no zoom, no focus."""
    return dialect.MAVLink_camera_settings_message(time_boot_ms, dialect.CAMERA_MODE_VIDEO, NAN, NAN, 0)


def capture_status(storage: StorageState | None, time_boot_ms: int) -> Any:
    """CAMERA_CAPTURE_STATUS (262)."""
    recording = storage is not None and storage.recording
    return dialect.MAVLink_camera_capture_status_message(
        time_boot_ms,
        0,  # takes no stills
        int(recording),
        0.0,
        storage.recording_ms % 2**32 if storage is not None and recording else 0,
        0.0 if storage is None else storage.available_mib,
        0,
        0,
    )


def storage_information(storage: StorageState | None, time_boot_ms: int) -> Any:
    """STORAGE_INFORMATION (261): of the flight recording, or that there is none."""
    status = dialect.STORAGE_STATUS_NOT_SUPPORTED if storage is None else dialect.STORAGE_STATUS_READY
    total = 0.0 if storage is None else storage.total_mib
    available = 0.0 if storage is None else storage.available_mib
    return dialect.MAVLink_storage_information_message(
        time_boot_ms,
        1,
        1,
        status,
        total,
        total - available,
        available,
        NAN,
        NAN,
        0 if storage is None else _STORAGE_TYPE_OTHER,
        b"" if storage is None else _STORAGE_NAME.encode(),
        0,
    )


def stream_information(profile: CameraProfile, number: int, state: StreamState | None, host: str) -> Any:
    """VIDEO_STREAM_INFORMATION (269) of stream 1, 2, ...; host: ours, as the asking peer reaches it."""
    stream = profile.numbered_streams[number - 1]
    assert stream.transport is not None  # checked when the profile was made
    address = f"[{host}]" if ":" in host else host
    return dialect.MAVLink_video_stream_information_message(
        number,
        len(profile.streams),
        stream.transport,
        *_stream_numbers(stream, state),
        stream.name.encode()[:NAME_BYTES],
        stream.uri.replace(HOST, address).encode()[:URI_BYTES],
        _ENCODINGS[stream.encoding],
        0,
    )


def stream_status(profile: CameraProfile, number: int, state: StreamState | None) -> Any:
    """VIDEO_STREAM_STATUS (270) of stream 1, 2, ..."""
    stream = profile.numbered_streams[number - 1]
    return dialect.MAVLink_video_stream_status_message(number, *_stream_numbers(stream, state), 0)


def _stream_numbers(stream: StreamProfile, state: StreamState | None) -> _Numbers:
    """flags, framerate, width, height, bitrate, rotation, hfov. Without a state nobody encodes (R-VS-3)."""
    flags = dialect.VIDEO_STREAM_STATUS_FLAGS_THERMAL if stream.thermal else 0
    rate_hz, bitrate = stream.rate_hz, stream.bitrate_kbit_s * 1000
    if state is not None:
        flags |= dialect.VIDEO_STREAM_STATUS_FLAGS_RUNNING if state.running else 0
        rate_hz = stream.rate_hz if state.rate_hz is None else state.rate_hz
        bitrate = state.bitrate_bit_s or bitrate
    hfov = 0 if stream.hfov_deg is None else round(stream.hfov_deg)
    width, height = stream.size_px
    return flags, rate_hz, width, height, min(bitrate, 2**32 - 1), stream.rotation_deg, hfov


def fov_status(profile: CameraProfile, view: CameraView | None, time_boot_ms: int) -> Any:
    """CAMERA_FOV_STATUS (271), of the main stream."""
    view = view or CameraView()
    missing = NO_GROUND_E7 if view.sky else UNKNOWN_E7
    return dialect.MAVLink_camera_fov_status_message(
        time_boot_ms,
        *_place(view.position, UNKNOWN_E7),
        *_place(view.ground, missing),
        view.quaternion or (NAN, NAN, NAN, NAN),
        *_angles_deg(profile.main),
        0,
    )


def _place(place: tuple[float, float, float] | None, missing: int) -> tuple[int, int, int]:
    if place is None:
        return missing, missing, missing
    latitude_deg, longitude_deg, altitude_m = place
    return round(latitude_deg * 1e7), round(longitude_deg * 1e7), round(altitude_m * 1000)


def _angles_deg(stream: StreamProfile | None) -> tuple[float, float]:
    """Horizontal and vertical angle of view, of square pixels."""
    if stream is None or stream.hfov_deg is None:
        return NAN, NAN
    width, height = stream.size_px
    if stream.hfov_deg >= 180:
        return stream.hfov_deg, NAN
    half = math.tan(math.radians(stream.hfov_deg) / 2) * height / width
    return stream.hfov_deg, math.degrees(2 * math.atan(half))


def _name_bytes(text: str) -> list[int]:
    """A name as pymavlink wants it: 32 numbers."""
    return list(text.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0"))
