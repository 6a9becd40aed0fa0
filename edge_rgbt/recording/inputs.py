"""What a step of the loop depends on besides its pair, as it is recorded and restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_rgbt.recording.plain import from_plain, to_plain
from edge_rgbt.register import Lens, Registration

if TYPE_CHECKING:
    from edge_rgbt.runtime.loop import TrackingLoop


@dataclass(frozen=True)
class LoopInputs:
    """Besides these, only what the tracker has learned since its last start goes into a step.

    thermal: the slow map before the step, as `ThermalRange.state`.
    """

    thermal: tuple[float, float, int] | None
    registration: Registration | None

    @classmethod
    def of(cls, loop: TrackingLoop) -> LoopInputs:
        """To be taken before `loop.step`."""
        return cls(loop.thermal.state, loop.registration)


def plain_registration(registration: Registration | None) -> dict[str, Any] | None:
    """Everything that it was made from; floats keep their last bit in JSON."""
    if registration is None:
        return None
    return {
        "matrix": registration.matrix.tolist(),
        "rgb_size": to_plain(registration.rgb_size),
        "tir_size": to_plain(registration.tir_size),
        "lenses": to_plain(registration.lenses),
    }


def restored_registration(plain: Mapping[str, Any] | None) -> Registration | None:
    """The registration that `plain_registration` was made from, equal to the last bit."""
    if plain is None:
        return None
    sizes = [None if plain[name] is None else tuple(plain[name]) for name in ("rgb_size", "tir_size")]
    assert sizes[0] is not None
    lenses = None
    if plain["lenses"] is not None:
        rgb, tir = plain["lenses"]
        lenses = (from_plain(Lens, rgb), from_plain(Lens, tir))
    return Registration(np.array(plain["matrix"], np.float64), sizes[0], sizes[1], lenses)
