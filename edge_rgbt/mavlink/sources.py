"""Who may start tracking (R-SEC-5)."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Sequence

LOG = logging.getLogger(__name__)
_TOLD_EVERY_S = 5.0


class SourcePolicy:
    """Allows by the pair (system, component), 0 for any, and by the network that a message came from.

    An empty list allows everybody. A serial line has no network: its wire is its own limit.
    """

    def __init__(self, sources: Sequence[tuple[int, int]] = (), networks: Sequence[str] = ()) -> None:
        self._sources = tuple(sources)
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self.refused = 0
        self._told_s = float("-inf")

    def allows(self, sender: tuple[int, int], address: str, endpoint: str) -> bool:
        """True if this (system, component) at this address, empty on serial lines, may start tracking.

        A refusal is counted, and logged every 5 s at most.
        """
        if self._is_known(*sender) and self._is_near(address):
            return True
        self.refused += 1
        now_s = time.monotonic()
        if now_s - self._told_s > _TOLD_EVERY_S:
            self._told_s = now_s
            LOG.warning(
                "%s: %d/%d %s may not start tracking; see mavlink.allow_sources and allow_networks",
                endpoint, *sender, address,
            )  # fmt: skip
        return False

    def _is_known(self, system: int, component: int) -> bool:
        return not self._sources or any(
            wanted in (0, system) and part in (0, component) for wanted, part in self._sources
        )

    def _is_near(self, address: str) -> bool:
        if not self._networks or not address:
            return True
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped  # a client of IPv4 on a socket that takes both
        return any(ip.version == network.version and ip in network for network in self._networks)
