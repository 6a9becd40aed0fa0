"""The tables of the configuration that say how we speak MAVLink: [mavlink], its endpoints, its signing."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.endpoint import DEFAULT_URL, Endpoint, parse_endpoint
from edge_rgbt.mavlink.identity import BEACON_SYSTEM, CAMERA_COMPONENT, Identities

Role = Literal["autopilot", "gcs", "any"]
SigningMode = Literal["off", "sign", "require"]
SLOW_BAUD = 115_200
SLOW_BYTES_PER_S, FAST_BYTES_PER_S = 1500, 20_000
_LEAST_BYTES_PER_S = 100


@dataclass(frozen=True)
class EndpointSettings:
    """A table [[mavlink.endpoint]].

    role: who is at the other end; the vehicle is learned from the autopilot's, if one is named. signing: left
    out, as in [mavlink.signing]. max_bytes_per_s: what the streams are held to; left out, 1500 on serial
    lines up to 115200 baud and 20000 elsewhere.
    """

    url: str
    role: Role = "any"
    signing: SigningMode | None = None
    max_bytes_per_s: int | None = None

    def __post_init__(self) -> None:
        parse_endpoint(self.url)
        if self.max_bytes_per_s is not None and self.max_bytes_per_s < _LEAST_BYTES_PER_S:
            raise ValueError(
                f"max_bytes_per_s is {self.max_bytes_per_s}, expected {_LEAST_BYTES_PER_S} or more"
            )

    @property
    def parsed(self) -> Endpoint:
        return parse_endpoint(self.url)

    @property
    def bytes_per_s(self) -> int:
        if self.max_bytes_per_s is not None:
            return self.max_bytes_per_s
        slow = self.parsed.scheme == "serial" and self.parsed.baud <= SLOW_BAUD
        return SLOW_BYTES_PER_S if slow else FAST_BYTES_PER_S


@dataclass(frozen=True)
class SigningSettings:
    """The table [mavlink.signing]; paths start at the configuration's folder.

    mode: sign: everything that goes out, and what comes in signed must be signed rightly; require: nothing
    else is heard. key_file: 32 bytes, or passphrase_file: a text; mode 0600. state_file: timestamps that
    outlast a restart; left out, beside the key. provisioning: a key may be set over a serial line.
    """

    mode: SigningMode = "off"
    key_file: str = ""
    passphrase_file: str = ""
    state_file: str = ""
    provisioning: bool = False

    def __post_init__(self) -> None:
        if self.key_file and self.passphrase_file:
            raise ValueError("key_file and passphrase_file are two ways to give one key; give one")
        if self.mode != "off" and not self.has_key:
            raise ValueError(f"mode is '{self.mode}', which needs key_file or passphrase_file")
        if self.provisioning and not self.key_file:
            raise ValueError("provisioning needs key_file, where the key is to be kept")

    @property
    def has_key(self) -> bool:
        return bool(self.key_file or self.passphrase_file)

    def state_path(self, base: Path) -> Path:
        return base / (self.state_file or (self.key_file or self.passphrase_file) + ".state")


@dataclass(frozen=True)
class MavlinkSettings:
    """The table [mavlink].

    url: endpoints in short form. sysid: the vehicle's, "auto" to learn it from the autopilot's heartbeat.
    companion: speak as its onboard computer too. beacon_sysid: of the followed target. forward: pass messages
    between endpoints. allow_sources, allow_networks: who may start tracking, as [system, component] pairs
    where 0 stands for any, and as IP prefixes; empty for everybody.
    """

    url: tuple[str, ...] = ()
    endpoint: tuple[EndpointSettings, ...] = ()
    sysid: int | Literal["auto"] = "auto"
    camera_compid: int = CAMERA_COMPONENT
    allow_odd_compid: bool = False
    companion: bool = False
    beacon_sysid: int = BEACON_SYSTEM
    coasting: bool = True
    report_point: bool = False
    image_status_hz: float = 5.0
    geo_status_hz: float = 2.0
    forward: bool = False
    allow_sources: tuple[tuple[int, int], ...] = ()
    allow_networks: tuple[str, ...] = ()
    signing: SigningSettings = field(default_factory=SigningSettings)

    def __post_init__(self) -> None:
        for index, url in enumerate(self.url):
            try:
                parse_endpoint(url)
            except UsageError as error:
                raise ValueError(f"url[{index}]: {error}") from None
        self._refuse_duplicates()
        for name in ("sysid", "beacon_sysid"):
            number = getattr(self, name)
            if number != "auto" and not 1 <= number <= 250:
                raise ValueError(f"{name} is {number}, expected 1 to 250; 255 is the ground's")
        self.identities()
        if self.sysid == "auto" and all(endpoint.role == "gcs" for endpoint in self.endpoints):
            raise ValueError('sysid is "auto", but no endpoint leads to an autopilot; give the vehicle\'s')
        for name in ("image_status_hz", "geo_status_hz"):
            if not 0 <= getattr(self, name) <= 50:
                raise ValueError(f"{name} is {getattr(self, name):g}, expected 0 to 50")
        for index, pair in enumerate(self.allow_sources):
            if not all(0 <= number <= 255 for number in pair):
                raise ValueError(
                    f"allow_sources[{index}] is {list(pair)}, expected two numbers from 0 to 255"
                )
        for index, network in enumerate(self.allow_networks):
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"allow_networks[{index}]: {error}; write 192.168.1.0/24") from None
        for index, one in enumerate(self.endpoint):
            if one.signing not in (None, "off") and not self.signing.has_key:
                raise ValueError(f"endpoint[{index}].signing is '{one.signing}', but signing has no key_file")

    @property
    def endpoints(self) -> tuple[EndpointSettings, ...]:
        """Both forms together; the default where neither names one."""
        short = tuple(EndpointSettings(url) for url in self.url)
        return short + self.endpoint or (EndpointSettings(DEFAULT_URL),)

    @property
    def vehicle_system(self) -> int | None:
        """None if it is to be learned."""
        return None if self.sysid == "auto" else self.sysid

    def identities(self) -> Identities:
        """Raises UsageError for numbers that may not be."""
        return Identities(self.vehicle_system, self.camera_compid, self.beacon_sysid, self.allow_odd_compid)

    def signing_mode(self, endpoint: EndpointSettings) -> SigningMode:
        return self.signing.mode if endpoint.signing is None else endpoint.signing

    def _refuse_duplicates(self) -> None:
        places = [f"url[{i}]" for i in range(len(self.url))]
        places += [f"endpoint[{i}].url" for i in range(len(self.endpoint))]
        taken: dict[tuple[object, ...], str] = {}
        for place, endpoint in zip(places, self.endpoints, strict=False):
            one = endpoint.parsed
            # A line can be open once, whatever its rate.
            key = (one.scheme, one.device) if one.scheme == "serial" else (one.scheme, one.host, one.port)
            if key in taken:
                raise ValueError(f"{place} is '{endpoint.url}', the same endpoint as {taken[key]}")
            taken[key] = place
