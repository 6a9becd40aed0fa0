"""Simulated flights as aligned pairs with the truth, for benchmarks that drive a tracker themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_rgbt.register import Registration
from edge_rgbt.sim import make_scenario
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.types import Box, Frame, FramePair, Modality


@dataclass(frozen=True)
class Moment:
    """One pair, the target's box in the RGB picture (None: outside or gone), how much of it shows."""

    pair: FramePair
    truth: Box | None
    visibility: float


def render(
    seed: int, seconds: float, rate_hz: float, absent_s: tuple[float, float] = (0.0, 0.0)
) -> Iterator[Moment]:
    """The flight of a seed; the drone follows the truth. absent_s: from when to when the target is taken out
    of the world, while everything else goes on."""
    scenario = make_scenario(seed, seconds=seconds + 1.0)
    target = frozenset({scenario.world.target_id})
    thermal, registration = ThermalRange(), None
    for number in range(int(seconds * rate_hz)):
        t_ns = round(number * 1e9 / rate_hz)
        gone = absent_s[0] <= t_ns / 1e9 < absent_s[1]
        hide = target if gone else frozenset()
        rgb = Frame(scenario.render_rgb(t_ns, hide), Modality.RGB, t_ns, number, "sim")
        tir = thermal.apply(Frame(scenario.render_tir(t_ns, hide), Modality.TIR, t_ns, number, "sim"))
        registration = registration or Registration(scenario.nominal_registration(), (rgb.width, rgb.height))
        truth = scenario.truth(t_ns, Modality.RGB)
        pair = registration.apply(FramePair(rgb, tir))
        yield Moment(pair, None if gone else truth.box, 0.0 if gone else truth.visibility)
