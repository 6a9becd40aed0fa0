"""What one look at the machine gives: plain numbers with their units."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Temperature:
    """One sensor. throttles_at_c, shuts_down_at_c: where the kernel acts, None where it does not say."""

    celsius: float
    throttles_at_c: float | None = None
    shuts_down_at_c: float | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock domain in MHz.

    cap_mhz: what power mode and thermal limits allow now; maximum_mhz: what the silicon can.
    locked: floor and cap are equal, as `jetson_clocks` leaves them.
    """

    current_mhz: float
    cap_mhz: float | None = None
    maximum_mhz: float | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Rail:
    """One supply rail. alarm: the sensor's warning or critical current limit is exceeded now."""

    volts: float
    amperes: float
    watts: float
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """10^6 bytes; available counts what the kernel could free at once."""

    process_mb: float | None = None
    machine_total_mb: float | None = None
    machine_available_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system below one folder, 10^6 bytes; free is what this user may still write."""

    folder: str
    free_mb: float
    total_mb: float
    read_only: bool


@dataclass(frozen=True, slots=True)
class MachineReadings:
    """Everything that one look found; what the machine does not offer is None or missing.

    throttling: names of the limiters at work now. over_current_events: cumulative since boot, by counter.
    power_mode: nvpmodel's name of it.
    """

    temperatures: dict[str, Temperature] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    rails: dict[str, Rail] = field(default_factory=dict)
    throttling: tuple[str, ...] = ()
    over_current_events: dict[str, int] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    disk: Disk | None = None
    power_mode: str | None = None
