"""Alarms with hysteresis in value and in time, a log line when one begins and one when it ends."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_rgbt.errors import UsageError
from edge_rgbt.health.readings import MachineReadings
from edge_rgbt.health.record import HealthRecord, ServiceNumbers

LOG = logging.getLogger(__name__)
_NS_PER_S = 1_000_000_000
_POSITIVE = ("frame_age_p99_ms", "camera_silent_ms", "hot_c", "memory_growth_mb", "sensors_stalled_ms")


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """Limits. Every alarm ends only when its value is back by `release` of the limit, for `end_after_s`.

    stage_budgets_ms: median time allowed per stage (the service gives the stage table's).
    throttle_margin_c: below the kernel's throttling and shutdown temperatures; hot_c: for sensors without the
    former.
    memory_growth_mb: resident memory over what it was `warm_up_s` after the first record.
    """

    frame_age_p99_ms: float = 100.0
    stage_budgets_ms: dict[str, float] = field(default_factory=dict)
    camera_silent_ms: float = 1000.0
    hot_c: float = 90.0
    throttle_margin_c: float = 4.0
    disk_free_mb: float = 500.0
    memory_growth_mb: float = 50.0
    memory_available_share: float = 0.05
    sensors_stalled_ms: float = 5000.0
    warm_up_s: float = 60.0
    begin_after_s: float = 2.0
    end_after_s: float = 5.0
    release: float = 0.1

    def __post_init__(self) -> None:
        positive = {f"stage_budgets_ms.{name}": value for name, value in self.stage_budgets_ms.items()}
        positive |= {name: getattr(self, name) for name in _POSITIVE}
        faults = [
            f"{name} is {value:g}, expected more than 0" for name, value in positive.items() if value <= 0
        ]
        faults += [
            f"{name} is {getattr(self, name):g}, expected 0 or more"
            for name in ("disk_free_mb", "throttle_margin_c", "warm_up_s", "begin_after_s", "end_after_s")
            if getattr(self, name) < 0
        ]
        faults += [
            f"{name} is {getattr(self, name):g}, expected 0 to below 1"
            for name in ("memory_available_share", "release")
            if not 0 <= getattr(self, name) < 1
        ]
        if faults:
            raise UsageError("alarms: " + "; ".join(faults))


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that an alarm watches: higher is worse.

    begin: the alarm's limit; end: what the value must fall below again. text: the value for a person.
    at_once: no waiting before it begins, for what is certain the first time it is seen.
    """

    name: str
    value: float
    begin: float
    end: float
    text: str
    at_once: bool = False


class Alarms:
    """All alarms of one service. `update` belongs to one thread."""

    def __init__(self, settings: AlarmSettings | None = None) -> None:
        self._settings = settings or AlarmSettings()
        self._states: dict[str, _State] = {}
        self._machine = _MachineHistory(self._settings)

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the alarms at work, sorted."""
        return tuple(sorted(name for name, state in self._states.items() if state.active))

    def update(self, record: HealthRecord) -> tuple[str, ...]:
        """Takes in a record without its alarms, logs what begins or ends, and returns what is active.

        What the record does not hold leaves its alarm as it is: silence is not the all-clear.
        """
        for reading in self._readings(record):
            self._states.setdefault(reading.name, _State()).update(reading, record.time_ns, self._settings)
        return self.active

    def _readings(self, record: HealthRecord) -> Iterator[Reading]:
        s = self._settings
        if record.service is not None:
            yield from _service_readings(record.service, s)
        if record.machine_age_ms is not None:
            text = f"the kernel's sensor files have not answered for {record.machine_age_ms / 1e3:.1f} s"
            yield _over("sensors-stalled", record.machine_age_ms, s.sensors_stalled_ms, s, text)
        if record.machine is not None:
            yield from self._machine.readings(record.machine, record.time_ns)


class _State:
    """One alarm: quiet, or active since a time, and for how long the other has been true."""

    def __init__(self) -> None:
        self.active = False
        self._turning_since_ns: int | None = None
        self._began_ns = 0
        self._worst = -math.inf
        self._worst_text = ""

    def update(self, reading: Reading, now_ns: int, settings: AlarmSettings) -> None:
        turning = reading.value < reading.end if self.active else reading.value > reading.begin
        if self.active and reading.value > self._worst:
            self._worst, self._worst_text = reading.value, reading.text
        if not turning:
            self._turning_since_ns = None
            return
        if self._turning_since_ns is None:
            self._turning_since_ns = now_ns
        wait_s = settings.end_after_s if self.active else 0.0 if reading.at_once else settings.begin_after_s
        if now_ns - self._turning_since_ns < wait_s * _NS_PER_S:
            return
        self._turning_since_ns = None
        self.active = not self.active
        if self.active:
            self._began_ns, self._worst, self._worst_text = now_ns, reading.value, reading.text
            LOG.warning("alarm %s begins: %s", reading.name, reading.text)
        else:
            lasted_s = (now_ns - self._began_ns) / _NS_PER_S
            LOG.info("alarm %s ends after %.0f s; worst: %s", reading.name, lasted_s, self._worst_text)


def _over(
    name: str, value: float, limit: float, settings: AlarmSettings, text: str, at_once: bool = False
) -> Reading:
    return Reading(name, value, limit, limit * (1 - settings.release), text, at_once)


def _service_readings(service: ServiceNumbers, s: AlarmSettings) -> Iterator[Reading]:
    if (age_ms := service.frame_age_p99_ms) is not None:
        text = f"p99 frame age {age_ms:.1f} ms, limit {s.frame_age_p99_ms:g} ms"
        yield _over("frame-age", age_ms, s.frame_age_p99_ms, s, text)
    for name, budget_ms in s.stage_budgets_ms.items():
        if (stage := service.stages.get(name)) is not None:
            text = f"median {stage.p50_ms:.2f} ms, budget {budget_ms:g} ms"
            yield _over(f"stage-budget:{name}", stage.p50_ms, budget_ms, s, text)
    for name, camera in service.cameras.items():
        if camera.age_ms is not None:
            text = f"no frame for {camera.age_ms:.0f} ms, limit {s.camera_silent_ms:g} ms"
            yield _over(f"camera-silent:{name}", camera.age_ms, s.camera_silent_ms, s, text, at_once=True)
    for name, problem in service.problems.items():
        yield _flag(f"trouble:{name}", bool(problem), problem, at_once=True)


class _MachineHistory:
    """What has to be remembered to judge the machine: first counters, highest caps, memory after warm-up."""

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings = settings
        self._first_ns: int | None = None
        self._process_baseline_mb: float | None = None
        self._highest_cap_mhz: dict[str, float] = {}
        self._events: dict[str, int] = {}

    def readings(self, machine: MachineReadings, now_ns: int) -> Iterator[Reading]:
        if self._first_ns is None:
            self._first_ns = now_ns
        yield from self._temperatures(machine)
        yield from self._throttling(machine)
        yield from self._memory(machine, now_ns)
        yield from self._disk(machine)

    def _temperatures(self, machine: MachineReadings) -> Iterator[Reading]:
        s = self._settings
        for name, sensor in machine.temperatures.items():
            limit = s.hot_c if sensor.throttles_at_c is None else sensor.throttles_at_c - s.throttle_margin_c
            if sensor.shuts_down_at_c is not None:
                limit = min(limit, sensor.shuts_down_at_c - s.throttle_margin_c)
            text = f"{sensor.celsius:.1f} C, limit {limit:.1f} C"
            # A share of a temperature in Celsius means nothing: the margin releases it too.
            yield Reading(f"temperature:{name}", sensor.celsius, limit, limit - s.throttle_margin_c, text)

    def _throttling(self, machine: MachineReadings) -> Iterator[Reading]:
        limiters = ", ".join(machine.throttling) or "none"
        yield _flag("throttling", bool(machine.throttling), f"limiters at work: {limiters}")
        for name, clock in machine.clocks.items():
            if clock.cap_mhz is not None:
                highest = self._highest_cap_mhz[name] = max(
                    clock.cap_mhz, self._highest_cap_mhz.get(name, 0.0)
                )
                text = f"cap {clock.cap_mhz:g} MHz, it was {highest:g} MHz"
                yield _flag(f"clock-cap:{name}", clock.cap_mhz < highest, text)
        for name, rail in machine.rails.items():
            text = f"{rail.amperes:.2f} A at {rail.volts:.2f} V: the sensor's current limit is exceeded"
            yield _flag(f"rail:{name}", rail.alarm, text)
        for name, count in machine.over_current_events.items():
            new = count - self._events.get(name, count)
            self._events[name] = count
            yield _flag(
                f"over-current:{name}", new > 0, f"{new} new events, {count} since boot", at_once=True
            )

    def _memory(self, machine: MachineReadings, now_ns: int) -> Iterator[Reading]:
        s, memory = self._settings, machine.memory
        assert self._first_ns is not None
        warm = now_ns - self._first_ns >= s.warm_up_s * _NS_PER_S
        if memory.process_mb is not None and warm:
            if self._process_baseline_mb is None:
                self._process_baseline_mb = memory.process_mb
            growth_mb = memory.process_mb - self._process_baseline_mb
            text = f"resident memory {memory.process_mb:.1f} MB, {growth_mb:+.1f} MB since warm-up"
            yield _over("memory-growth", growth_mb, s.memory_growth_mb, s, text)
        if memory.machine_total_mb and memory.machine_available_mb is not None:
            limit_mb = s.memory_available_share * memory.machine_total_mb
            text = (
                f"{memory.machine_available_mb:.0f} MB of the machine's memory left, limit {limit_mb:.0f} MB"
            )
            yield _under("memory-low", memory.machine_available_mb, limit_mb, s, text)

    def _disk(self, machine: MachineReadings) -> Iterator[Reading]:
        s, disk = self._settings, machine.disk
        if disk is not None:
            text = f"{disk.free_mb:.0f} MB left at {disk.folder}, limit {s.disk_free_mb:g} MB"
            yield _under("disk-space", disk.free_mb, s.disk_free_mb, s, text)
            yield _flag("disk-read-only", disk.read_only, f"{disk.folder} is mounted read-only", at_once=True)


def _under(name: str, value: float, limit: float, settings: AlarmSettings, text: str) -> Reading:
    return Reading(name, -value, -limit, -limit * (1 + settings.release), text)


def _flag(name: str, raised: bool, text: str, at_once: bool = False) -> Reading:
    return Reading(name, float(raised), 0.5, 0.5, text, at_once)
