"""What the ground may watch: the tables `[video]` and `[[stream]]` of the service's configuration."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

Source = Literal["rgb", "thermal", "side-by-side"]


@dataclass(frozen=True)
class VideoSettings:
    """The RTSP server. listen: address and port; an address of one interface, or 0.0.0.0 for all of them.

    public_host: our address as the ground reaches it, where that cannot be seen from MAVLink's own sockets.
    max_clients: further ones are turned away. encoder: "auto" takes the hardware's where there is one.
    """

    listen: str = "127.0.0.1:8554"
    public_host: str = ""
    max_clients: int = 16
    encoder: str = "auto"

    def __post_init__(self) -> None:
        if self.address_and_port is None:
            raise ValueError(
                f"listen is {self.listen!r}, expected address and port such as 0.0.0.0:8554 or [::1]:8554"
            )
        if not 1 <= self.max_clients <= 100:
            raise ValueError(f"max_clients is {self.max_clients}, expected 1 to 100")

    @property
    def reached_at(self) -> str:
        """The host of stream URLs: the address listened on; `{host}` where that is every address of ours."""
        found = self.address_and_port
        assert found is not None
        address = ipaddress.ip_address(found[0])
        if address.is_unspecified:
            return "{host}"
        return f"[{address}]" if address.version == 6 else str(address)

    @property
    def port(self) -> int:
        found = self.address_and_port
        assert found is not None
        return found[1]

    @property
    def address_and_port(self) -> tuple[str, int] | None:
        """Taken apart; None if it is not of that form."""
        host, _, port = self.listen.rpartition(":")
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None
        return (host, int(port)) if port.isdigit() and 0 < int(port) < 65536 else None


@dataclass(frozen=True)
class StreamSettings:
    """One picture for the ground.

    size_px: width and height as encoded, both even; in the camera's proportions, or pictures look squeezed
    (boxes that operators draw stay right). hfov_deg: of the camera that is shown, told to ground stations.
    overlay: draw box and state into it. path: the last part of the URL; left out, from the name.
    """

    name: str
    source: Source = "rgb"
    size_px: tuple[int, int] = (1280, 720)
    rate_hz: float = 30.0
    bitrate_kbps: int = 4000
    hfov_deg: float | None = None
    overlay: bool = True
    path: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.encode()) <= 31:
            raise ValueError(f"name is {self.name!r}, expected 1 to 31 bytes")  # VIDEO_STREAM_INFORMATION
        width, height = self.size_px
        if width % 2 or height % 2 or not (64 <= width <= 4096 and 64 <= height <= 4096):
            raise ValueError(f"size_px is {width}x{height}, expected even numbers from 64 to 4096")
        if self.source == "side-by-side" and width % 4:
            raise ValueError(f"size_px is {width}x{height}, expected a width that is a multiple of 4")
        if not 1 <= self.rate_hz <= 120:
            raise ValueError(f"rate_hz is {self.rate_hz:g}, expected 1 to 120")
        if not 50 <= self.bitrate_kbps <= 100_000:
            raise ValueError(f"bitrate_kbps is {self.bitrate_kbps}, expected 50 to 100000")
        if self.hfov_deg is not None and not 0 < self.hfov_deg < 180:
            raise ValueError(f"hfov_deg is {self.hfov_deg:g}, expected more than 0 and less than 180")
        if self.path and not re.fullmatch(r"[A-Za-z0-9_-]+", self.path):
            raise ValueError(f"path is {self.path!r}, expected letters, digits, - and _")

    @property
    def thermal(self) -> bool:
        return self.source == "thermal"

    @property
    def mount(self) -> str:
        """Where the server offers it, with the leading slash."""
        return "/" + (self.path or re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "stream")
