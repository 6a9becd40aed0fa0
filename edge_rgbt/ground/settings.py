"""How the console is called."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from edge_rgbt.errors import UsageError

DEFAULT_LISTEN = "127.0.0.1:8088"


@dataclass(frozen=True)
class ConsoleSettings:
    """mavlink: endpoint URL. rgb, thermal: RTSP URLs; left out, what the camera advertises is shown.

    listen: of the page. token: what a browser must show; needed beyond this computer, made up if not given.
    """

    mavlink: str = "udpin:127.0.0.1:14550"
    rgb: str | None = None
    thermal: str | None = None
    listen: str = DEFAULT_LISTEN
    token: str | None = field(default=None, repr=False)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Raises UsageError."""
        parts = urlsplit(f"//{self.listen}")
        try:
            if parts.hostname and parts.port:
                ipaddress.ip_address(parts.hostname)
                return parts.hostname, parts.port
        except ValueError:
            pass
        raise UsageError(f"--listen {self.listen}: expected address and port such as {DEFAULT_LISTEN}")

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host_and_port[0]).is_loopback

    def secured(self) -> ConsoleSettings:
        """With a token where the page can be reached from other computers."""
        if self.token is None and not self.loopback:
            return ConsoleSettings(
                self.mavlink, self.rgb, self.thermal, self.listen, secrets.token_urlsafe(18)
            )
        if self.token is not None and len(self.token) < 12:
            raise UsageError("--token: use at least 12 characters, or leave it out to have one made up")
        return self

    def accepts(self, token: str | None) -> bool:
        return self.token is None or (token is not None and hmac.compare_digest(self.token, token))
