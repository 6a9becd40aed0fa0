"""The simulated vehicle as a user asks for it: a table of the configuration, or a command's options."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.autopilot.modes import FlightMode
from edge_rgbt.mavlink.autopilot.process import VehicleOrder
from edge_rgbt.mavlink.autopilot.stacks import STACKS
from edge_rgbt.settings import NotEmpty, OneOf, Within
from edge_rgbt.sim.vehicle import PERFECT, USUAL, VehicleSettings, Wind

MODES = tuple(mode.value for mode in FlightMode)
_TREMBLE_RAD = math.radians(0.03)


@dataclass(frozen=True)
class SimulatedVehicleSettings:
    """Which autopilot, on which endpoints, in which weather.

    endpoints: URLs, one link each; between them the autopilot routes. mode: of the flight at first.
    parameters: "NAME=VALUE" with the autopilot's own names. wind_m_s: from the west, with gusts of
    `gusts_m_s`. exact: telemetry without the errors of sensors.
    """

    stack: Annotated[str, OneOf(tuple(STACKS))] = "px4"
    endpoints: Annotated[tuple[str, ...], NotEmpty()] = (
        "udpout:127.0.0.1:14540",
        "udpout:127.0.0.1:14550",
    )
    system_id: Annotated[int, Within(1, 250)] = 1
    mode: Annotated[str, OneOf(MODES)] = "hold"
    parameters: tuple[str, ...] = ()
    height_m: Annotated[float, Within(0, 500)] = 30.0
    wind_m_s: Annotated[float, Within(0, 12)] = 0.0
    gusts_m_s: Annotated[float, Within(0, 5)] = 0.0
    exact: bool = False

    def __post_init__(self) -> None:
        for text in self.parameters:
            _parameter(text)

    def order(self, seed: int = 0) -> VehicleOrder:
        """What the vehicle's process is told. Raises UsageError for endpoints that cannot be."""
        return VehicleOrder(
            self.stack,
            self.endpoints,
            self.system_id,
            seed,
            FlightMode(self.mode),
            tuple(_parameter(text) for text in self.parameters),
            VehicleSettings(
                position=(0.0, 0.0, -self.height_m),
                wind=Wind(0.0, self.wind_m_s, self.gusts_m_s),
                errors=PERFECT if self.exact else USUAL,
                tremble_rad=0.0 if self.exact else _TREMBLE_RAD,
            ),
        )


def _parameter(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not equals or not name or not math.isfinite(number):
        raise UsageError(f"parameter {text!r}: write NAME=VALUE, such as FLW_TGT_DST=20")
    return name.strip().upper(), number
