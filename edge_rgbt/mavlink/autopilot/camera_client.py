"""ArduPilot as the client of a MAVLink camera, CAM1_TYPE 6: finds it, asks who it is, tells the operator."""

from __future__ import annotations

from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.identity import CAMERA_COMPONENT

_SEARCH_NS = 60_000_000_000
_ASK_EVERY_NS = 1_000_000_000


class CameraClient:
    """Times: nanoseconds since boot."""

    def __init__(self) -> None:
        self.information: Any | None = None
        self._camera: tuple[int, int] | None = None
        self._next_ns = 0

    def heartbeat(self, source: tuple[int, int], kind: int, own: int, armed: bool, boot_ns: int) -> None:
        """It looks only in the first minute after its boot, or while disarmed."""
        is_camera = kind == dialect.MAV_TYPE_CAMERA and source == (own, CAMERA_COMPONENT)
        if self._camera is None and is_camera and (boot_ns < _SEARCH_NS or not armed):
            self._camera, self._next_ns = source, boot_ns

    def heard(self, source: tuple[int, int], message: Any) -> Any | None:
        """Takes in CAMERA_INFORMATION; the text for the operator, once."""
        if source != self._camera or self.information is not None:
            return None
        self.information = message
        vendor, model = (bytes(text).split(b"\0")[0] for text in (message.vendor_name, message.model_name))
        text = b"Camera: " + vendor + b" " + model
        return dialect.MAVLink_statustext_message(dialect.MAV_SEVERITY_INFO, text[:50])

    def due(self, boot_ns: int) -> Any | None:
        """The request that is sent once a second until the camera answers."""
        if self._camera is None or self.information is not None or boot_ns < self._next_ns:
            return None
        self._next_ns = boot_ns + _ASK_EVERY_NS
        return dialect.MAVLink_command_long_message(
            *self._camera, dialect.MAV_CMD_REQUEST_MESSAGE, 0,
            dialect.MAVLINK_MSG_ID_CAMERA_INFORMATION, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
