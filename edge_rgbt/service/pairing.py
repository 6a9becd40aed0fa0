"""What pairs the frames of a service's two cameras."""

from __future__ import annotations

from edge_rgbt.service.settings import ServicePlan
from edge_rgbt.sync import PairSynchroniser

TOLERANCE_MS = 20.0  # without a calibration: a little over half a frame period at 30 Hz


def make_synchroniser(plan: ServicePlan) -> PairSynchroniser:
    """What the configuration says goes before what the calibration measured."""
    pairing, timing = plan.settings.pairing, None if plan.rig is None else plan.rig.timing
    tolerance_ms = pairing.tolerance_ms or (TOLERANCE_MS if timing is None else timing.tolerance_ms)
    if pairing.tir_offset_ms is not None:
        offset_ns = round(pairing.tir_offset_ms * 1e6)
    else:
        offset_ns = 0 if timing is None else timing.tir_offset_ns
    rgb = plan.settings.cameras.rgb
    size = None if rgb.width_px is None or rgb.height_px is None else (rgb.width_px, rgb.height_px)
    return PairSynchroniser(tolerance_ms, offset_ns, None if timing is None else timing.patience_ms, size)
