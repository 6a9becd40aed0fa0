"""Pictures, tracker, steering and vehicle in one loop, once; `benchmarks/rendered_chase.py` flies many."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rendered_chase import RenderedChase
from edge_rgbt.bundle import load_bundle
from edge_rgbt.mavlink.autopilot import ARDUCOPTER


@pytest.mark.slow
def test_the_gimbal_keeps_a_rendered_walker_near_the_middle() -> None:
    chase = RenderedChase(load_bundle(), seed=1, seconds=15.0, stack=ARDUCOPTER, rate_hz=10.0)
    account = chase.fly(15.0)
    assert len(account.centred) > 30
    assert np.mean(account.centred) > 0.95
    assert np.mean(account.right) > 0.9
