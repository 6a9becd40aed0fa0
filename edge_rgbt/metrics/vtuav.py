"""VTUAV: PR at 20 px and SR on the annotated frames (every 10th), better modality in each frame."""

from __future__ import annotations

from edge_rgbt.metrics.rgbt234 import Rgbt234Rules


class VtuavRules(Rgbt234Rules):
    name = "vtuav"
    title = "VTUAV"
    metrics = ("PR", "SR")
