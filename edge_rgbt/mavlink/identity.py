"""Who we are on the MAVLink network: system and component numbers, fixed or learned from the autopilot."""

from __future__ import annotations

from dataclasses import dataclass

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.exchange import Speaker

CAMERA_COMPONENT = 100
AUTOPILOT_COMPONENT = 1
ONBOARD_COMPUTER_COMPONENT = 191
GROUND_STATION_SYSTEM = 255
GROUND_STATION_COMPONENT = 190
AUTOPILOT_INVALID = 8
BEACON_SYSTEM = 200
RELEARN_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class Identity:
    """The source numbers of a message. Those of a ground station are refused: an autopilot would take our
    heartbeat for a live ground station and never raise its data-link failsafe (R-ID-3)."""

    system: int
    component: int

    def __post_init__(self) -> None:
        if not 1 <= self.system <= 250:
            raise UsageError(
                f"MAVLink system id {self.system}: use the vehicle's, 1 to 250 (255 is the ground's)"
            )
        if not 1 <= self.component <= 250 or self.component == GROUND_STATION_COMPONENT:
            raise UsageError(f"MAVLink component id {self.component}: use 100 to 105 for a camera")


def camera_identity(system: int, component: int, allow_odd_component: bool = False) -> Identity:
    """The camera's numbers; QGroundControl and ArduPilot see only components 100 to 105 (R-ID-5)."""
    if not allow_odd_component and not 100 <= component <= 105:
        raise UsageError(f"MAVLink camera component id {component}: ground stations look for 100 to 105 only")
    return Identity(system, component)


class SystemIdLearner:
    """Takes the system id of the first autopilot heard (R-ID-1), keeps it while that one lives (R-ID-2)."""

    def __init__(self) -> None:
        self.system: int | None = None
        self._last_heard_s = 0.0

    def heard(self, system: int, component: int, autopilot: int, now_s: float) -> None:
        """Takes in one received heartbeat; `now_s` is any monotonic time in seconds."""
        is_vehicle = (
            component == AUTOPILOT_COMPONENT and autopilot != AUTOPILOT_INVALID and 1 <= system <= 250
        )
        if not is_vehicle:
            return
        silent = self.system is None or now_s - self._last_heard_s > RELEARN_AFTER_S
        if system != self.system and not silent:
            return
        self.system, self._last_heard_s = system, now_s


class Identities:
    """All that we speak as. The camera and the companion belong to the vehicle and are silent until it is
    known; the beacon must not, because ArduPilot follows nothing of its own system."""

    def __init__(
        self,
        system: int | None = None,
        camera_component: int = CAMERA_COMPONENT,
        beacon_system: int = BEACON_SYSTEM,
        allow_odd_component: bool = False,
    ) -> None:
        """system: the vehicle's, None to learn it. Raises UsageError."""
        camera_identity(system or 1, camera_component, allow_odd_component)
        self._beacon = Identity(beacon_system, ONBOARD_COMPUTER_COMPONENT)
        if system == beacon_system:
            raise UsageError(f"MAVLink beacon system id {beacon_system} is the vehicle's; give it another")
        self._component = camera_component
        self.system = system

    @property
    def provisional(self) -> Identity:
        """Who opens the path while the vehicle is not known (R-ID-1)."""
        return Identity(1, ONBOARD_COMPUTER_COMPONENT)

    def of(self, speaker: Speaker) -> Identity | None:
        """None while it may not speak."""
        if self.system is None:
            return None
        if speaker is Speaker.BEACON:
            return None if self.system == self._beacon.system else self._beacon
        component = self._component if speaker is Speaker.CAMERA else ONBOARD_COMPUTER_COMPONENT
        return Identity(self.system, component)

    def includes(self, system: int, component: int) -> bool:
        """True if we speak with these numbers ourselves."""
        ours = (self.of(speaker) for speaker in Speaker)
        return Identity(system, component) in ours if _is_possible(system, component) else False


def _is_possible(system: int, component: int) -> bool:
    return 1 <= system <= 250 and 1 <= component <= 250 and component != GROUND_STATION_COMPONENT
