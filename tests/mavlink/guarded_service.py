"""A service with a guarded gimbal, run as a process of its own by the tests: it turns the gimbal for ever.

    python guarded_service.py URL [KEY_FILE]

Prints the guard's process id, then a line when the guard has been told its words.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edge_rgbt.mavlink.exchange import Outgoing, Priority, Received, Speaker
from edge_rgbt.mavlink.settings import EndpointSettings, MavlinkSettings, SigningSettings
from edge_rgbt.mavlink.station import Station
from edge_rgbt.mavlink.steering.guard import GuardProcess
from edge_rgbt.mavlink.steering.messages import gimbal_rates, release_gimbal
from edge_rgbt.steering.gimbal_law import STILL, Rates

SYSTEM, MANAGER = 7, 1


class Turner:
    """Turns the gimbal without asking anybody, and keeps the guard informed."""

    def __init__(self, guard: GuardProcess) -> None:
        self._guard, self._heard, self._next_ns = guard, None, 0

    def receive(self, received: Received) -> list[Outgoing]:
        self._heard = received.endpoint
        return []

    def due(self, now_ns: int) -> list[Outgoing]:
        if self._heard is None:
            return []
        words = gimbal_rates(SYSTEM, MANAGER, STILL, True), release_gimbal(SYSTEM, MANAGER)
        told_before = self._guard._told
        self._guard.beat(now_ns, self._heard, words)
        if told_before is None and self._guard._told is not None:
            print("guarded", flush=True)
        if now_ns < self._next_ns:
            return []
        self._next_ns = now_ns + 50_000_000
        turning = gimbal_rates(SYSTEM, MANAGER, Rates(0.1, 0.2), True)
        return [Outgoing(turning, Priority.SETPOINT, Speaker.COMPANION, self._heard, True)]


def main() -> None:
    url, key = sys.argv[1], sys.argv[2:]
    signing = SigningSettings(mode="sign", key_file=key[0]) if key else SigningSettings()
    settings = MavlinkSettings(endpoint=(EndpointSettings(url),), signing=signing)
    with GuardProcess() as guard, Station(settings, base=Path(), on_outlets=guard.outlets) as station:
        print(guard.pid, flush=True)
        station.add(Turner(guard))
        time.sleep(60)


if __name__ == "__main__":
    main()
