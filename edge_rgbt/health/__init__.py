"""Health of service and machine, alarms, systemd's watchdog and the journal; `checks/` is behind `doctor`."""

from edge_rgbt.health.alarms import Alarms, AlarmSettings
from edge_rgbt.health.journal import configure_logging
from edge_rgbt.health.machine import MachineReader
from edge_rgbt.health.monitor import HealthMonitor, HealthSettings
from edge_rgbt.health.readings import MachineReadings
from edge_rgbt.health.record import (
    CameraNumbers,
    HealthRecord,
    QueueNumbers,
    ServiceNumbers,
    StageNumbers,
    stages_from_summary,
)
from edge_rgbt.health.systemd import Watchdog

__all__ = [
    "AlarmSettings",
    "Alarms",
    "CameraNumbers",
    "HealthMonitor",
    "HealthRecord",
    "HealthSettings",
    "MachineReader",
    "MachineReadings",
    "QueueNumbers",
    "ServiceNumbers",
    "StageNumbers",
    "Watchdog",
    "configure_logging",
    "stages_from_summary",
]
