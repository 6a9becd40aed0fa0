"""Endpoint URLs of a MAVLink connection: where to send and how."""

from __future__ import annotations

from dataclasses import dataclass

from edge_rgbt.errors import UsageError

DEFAULT_URL = "udpout:127.0.0.1:14550"  # where QGroundControl listens
DEFAULT_BAUD = 921600
SOCKET_SCHEMES = ("udpin", "udpout", "tcp", "tcpin")
_GRAMMAR = (
    "udpout:HOST:PORT, udpin:HOST:PORT, tcp:HOST:PORT, tcpin:HOST:PORT or serial:DEVICE[:BAUD[,rtscts]]"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One parsed URL. Sockets have `host` and `port`; serial lines have `device`, `baud` and `rtscts`."""

    scheme: str
    host: str = ""
    port: int = 0
    device: str = ""
    baud: int = DEFAULT_BAUD
    rtscts: bool = False

    def __str__(self) -> str:
        if self.scheme == "serial":
            return f"serial:{self.device}:{self.baud}" + (",rtscts" if self.rtscts else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}:{host}:{self.port}"


def parse_endpoint(url: str) -> Endpoint:
    """Reads one endpoint URL; IPv6 addresses stand in brackets. Raises UsageError with one line."""
    scheme, colon, rest = url.strip().partition(":")
    if colon and scheme == "serial":
        return _parse_serial(url, rest)
    if colon and scheme in SOCKET_SCHEMES:
        return _parse_socket(url, scheme, rest)
    raise UsageError(f"MAVLink endpoint '{url}': expected {_GRAMMAR}")


def _parse_socket(url: str, scheme: str, rest: str) -> Endpoint:
    example = f"{scheme}:127.0.0.1:14550"
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or not tail.startswith(":"):
            raise UsageError(f"MAVLink endpoint '{url}': write IPv6 as {scheme}:[::1]:14550")
        port_text = tail[1:]
    else:
        host, colon, port_text = rest.rpartition(":")
        if not colon or not host:
            # A bare port would bind to every address of the machine without saying so.
            raise UsageError(f"MAVLink endpoint '{url}': host or port is missing, write {example}")
        if ":" in host:
            raise UsageError(
                f"MAVLink endpoint '{url}': put an IPv6 address in brackets, {scheme}:[::1]:14550"
            )
    host = host.strip()
    if not host or any(character.isspace() or character in "/@" for character in host):
        raise UsageError(f"MAVLink endpoint '{url}': '{host}' is not a host, write {example}")
    return Endpoint(scheme, host=host, port=_number(url, "port", port_text, 1, 65535))


def _parse_serial(url: str, rest: str) -> Endpoint:
    example = "serial:/dev/ttyTHS1:921600"
    device, options = rest, ""
    # Names such as /dev/serial/by-path/pci-0000:00:14.0-usb-0:3:1.0-port0 hold colons and end in no rate.
    head, colon, tail = rest.rpartition(":")
    if colon and not set("/-") & set(tail):
        device, options = head, tail
    if not device:
        raise UsageError(f"MAVLink endpoint '{url}': the device is missing, write {example}")
    if device == rest:
        return Endpoint("serial", device=device)
    baud_text, comma, flow = options.partition(",")
    if comma and flow != "rtscts":
        raise UsageError(
            f"MAVLink endpoint '{url}': '{flow}' is not an option; only rtscts is, {example},rtscts"
        )
    baud = _number(url, "baud rate", baud_text, 1200, 4_000_000)
    return Endpoint("serial", device=device, baud=baud, rtscts=bool(comma))


def _number(url: str, what: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise UsageError(
            f"MAVLink endpoint '{url}': {what} '{text}' is not a whole number from {low} to {high}"
        )
    return int(text)
