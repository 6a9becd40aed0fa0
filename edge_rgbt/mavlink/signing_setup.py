"""Signing as it is configured: who signs with which key, what outlasts a restart, and how a key gets here."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.settings import EndpointSettings, MavlinkSettings
from edge_rgbt.mavlink.signing import STORE_EVERY_S, Signer, SigningClock, SigningKey, read_key

LOG = logging.getLogger(__name__)


class SigningSetup:
    """One key and one clock for all endpoints that sign."""

    def __init__(self, settings: MavlinkSettings, base: Path) -> None:
        """base: where relative paths start. Raises UsageError for a key that cannot be used; nothing is read
        where no endpoint signs."""
        self._settings, self._table, self._base = settings, settings.signing, base
        self._stop = threading.Event()
        self._refused = False
        self._key: SigningKey | None = None
        self._clock: SigningClock | None = None
        self._thread: threading.Thread | None = None
        if any(settings.signing_mode(endpoint) != "off" for endpoint in settings.endpoints):
            table = self._table
            path = base / (table.key_file or table.passphrase_file)
            self._key = read_key(path, passphrase=not table.key_file)
            self._clock = SigningClock(table.state_path(base))

    def signer(self, endpoint: EndpointSettings, link_id: int) -> Signer | None:
        """What signs and checks on one endpoint; None if it does not."""
        mode = self._settings.signing_mode(endpoint)
        if mode == "off" or self._key is None or self._clock is None:
            return None
        return Signer(self._key, self._clock, link_id, required=mode == "require")

    def start(self) -> None:
        """Begins to store the clock in a thread of its own: a disk may take its time."""
        if self._clock is not None:
            self._thread = threading.Thread(
                target=self._keep, args=(self._clock,), name="mavlink-signing", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stores for the last time, once nothing is signed any more."""
        self._stop.set()
        if self._thread is not None and self._clock is not None:
            self._thread.join(1.0)
            self._clock.store(final=True)

    def offered(self, endpoint: Endpoint, message: Any, system: int | None) -> None:
        """SETUP_SIGNING: taken only in provisioning mode, on a wire, and meant for us (R-SEC-4). The key is
        kept for the next start and told to nobody."""
        if not self._table.provisioning or endpoint.scheme != "serial":
            if not self._refused:
                LOG.warning("%s: a signing key was offered and ignored", endpoint)
            self._refused = True
            return
        if message is None or message.target_system not in (0, system):
            return
        path = self._base / self._table.key_file
        try:
            SigningKey(bytes(message.secret_key)).store(path)
        except (EdgeRgbtError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            LOG.error("%s: the signing key offered was not kept: %s", endpoint, reason)
        else:
            LOG.warning("%s: signing key kept in %s; it is used from the next start on", endpoint, path)

    def _keep(self, clock: SigningClock) -> None:
        while not self._stop.wait(STORE_EVERY_S):
            clock.store()
