"""The samples that integrators start from are valid as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_rgbt.service.settings import read_plan

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "config"
SAMPLES = sorted(FOLDER.glob("*.toml"))


def test_the_promised_samples_are_there():
    promised = {"simulator.toml", "orin-csi-boson.toml", "rtsp-payload.toml"}
    assert promised <= {path.name for path in SAMPLES}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_valid(path):
    plan = read_plan(path)
    assert plan.text == path.read_text()
