"""Makes a health record once a second, beside the frame loop and never in its way."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from edge_rgbt.errors import UsageError
from edge_rgbt.health.alarms import Alarms, AlarmSettings
from edge_rgbt.health.machine import MachineReader
from edge_rgbt.health.memory import return_free_memory
from edge_rgbt.health.readings import MachineReadings
from edge_rgbt.health.record import HealthRecord, ServiceNumbers

LOG = logging.getLogger(__name__)
_TRIM_EVERY = 30  # records
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """period_s: between records. log_every_s: between lines of summary in the log, 0 for none.

    disk_folder: where the recordings go. root: "/" or a fake tree in tests.
    """

    period_s: float = 1.0
    log_every_s: float = 60.0
    disk_folder: Path = Path("/")
    root: Path = Path("/")
    alarms: AlarmSettings = field(default_factory=AlarmSettings)

    def __post_init__(self) -> None:
        if not 0 < self.period_s <= 60:
            raise UsageError(f"health: period_s is {self.period_s:g}, expected more than 0, at most 60")
        if self.log_every_s < 0:
            raise UsageError(f"health: log_every_s is {self.log_every_s:g}, expected 0 or more")


class HealthMonitor:
    """Two threads: one looks at the machine, one makes the records from that and from the service's numbers,
    and now and then gives free memory back.

    A kernel file that hangs stops only the first: records go on with the last look and its growing age.
    source: called once per record in the record thread; it must not wait for the frame loop.
    on_record: called with each record in the same thread.
    An exception of either is logged once per kind and counted in `failures`; health goes on.
    """

    def __init__(
        self,
        settings: HealthSettings,
        source: Callable[[], ServiceNumbers],
        on_record: Callable[[HealthRecord], None] | None = None,
    ) -> None:
        self._settings, self._source, self._on_record = settings, source, on_record
        self._reader = MachineReader(settings.root, settings.disk_folder)
        self._alarms = Alarms(settings.alarms)
        self._machine: _Look | None = None
        self._began_ns = self._next_line_ns = 0
        self._closing = threading.Event()
        self._told: set[str] = set()
        self._threads = [
            threading.Thread(target=self._look_on, name="health-sensors", daemon=True),
            threading.Thread(target=self._record_on, name="health", daemon=True),
        ]
        self.latest: HealthRecord | None = None
        self.failures = 0

    def start(self) -> None:
        """Begins; the first record comes one period later. Called once."""
        self._began_ns = time.monotonic_ns()
        for thread in self._threads:
            thread.start()

    def close(self, timeout_s: float = 1.0) -> None:
        """Ends both threads; one that hangs in the kernel is left behind after `timeout_s`."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)

    def __enter__(self) -> HealthMonitor:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _look_on(self) -> None:
        while not self._closing.is_set():
            began_ns = time.monotonic_ns()
            readings = self._reader.read()
            ended_ns = time.monotonic_ns()
            self._machine = _Look(readings, ended_ns, ended_ns - began_ns)
            self._closing.wait(self._settings.period_s)

    def _record_on(self) -> None:
        number, period_ns = 0, round(self._settings.period_s * 1e9)
        due_ns = self._began_ns + period_ns
        while not self._closing.wait(max(due_ns - time.monotonic_ns(), 0) / 1e9):
            self._record(number)
            number += 1
            if number % _TRIM_EVERY == 0:
                return_free_memory()
            # A machine that slept or was overloaded owes no records for that time.
            due_ns = max(due_ns + period_ns, time.monotonic_ns())

    def _record(self, number: int) -> None:
        look = self._machine
        now_ns = time.monotonic_ns()
        service = self._call("source", self._source)
        record = HealthRecord(
            number=number,
            time_ns=now_ns,
            service=service,
            machine=look.readings if look else None,
            machine_age_ms=round((now_ns - (look.at_ns if look else self._began_ns)) / 1e6, 1),
            machine_cost_ms=round(look.took_ns / 1e6, 3) if look else None,
            alarms=(),
            cost_ms=0.0,
        )
        alarms = self._alarms.update(record)
        cost_ms = round((time.monotonic_ns() - now_ns) / 1e6, 3)
        record = dataclasses.replace(record, alarms=alarms, cost_ms=cost_ms)
        self.latest = record
        if self._settings.log_every_s and now_ns >= self._next_line_ns:
            self._next_line_ns = now_ns + round(self._settings.log_every_s * 1e9)
            LOG.info("%s", record.summary())
        if self._on_record is not None:
            on_record = self._on_record
            self._call("consumer", lambda: on_record(record))

    def _call(self, what: str, work: Callable[[], _Result]) -> _Result | None:
        """Health outlives a fault of those it reports on: the next record may be the one that explains it."""
        try:
            return work()
        except Exception as error:
            self.failures += 1
            if (kind := f"{what} {type(error).__name__}") not in self._told:
                self._told.add(kind)
                LOG.exception(
                    "the %s of health records failed; health goes on and counts such failures", what
                )
            return None


@dataclass(frozen=True, slots=True)
class _Look:
    readings: MachineReadings
    at_ns: int
    took_ns: int
