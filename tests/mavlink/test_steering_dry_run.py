"""`edge-rgbt run --no-control` (9.7): whatever the configuration says, nothing is sent."""

from __future__ import annotations

from pathlib import Path

from edge_rgbt.commands.run import without_control
from edge_rgbt.service.settings import read_plan

SAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "config" / "simulator.toml"


def test_no_control_makes_any_configuration_a_dry_run():
    plan = read_plan(SAMPLE)
    assert not plan.settings.control.dry_run
    assert without_control(plan).settings.control.dry_run
    assert without_control(plan).settings.control.level == plan.settings.control.level
