"""CKD for the export: checkpoints of ours or in the published layout."""

from __future__ import annotations

from pathlib import Path

from training.checkpoints import load_tracker
from training.export.costs import measure_cost
from training.export.deployable import DeployableRawCrops
from training.export.exportable import Exportable, ExportOptions, Sizes, counted


def load(checkpoint: Path, options: ExportOptions) -> Exportable:
    """The students and their head, with the elimination asked for."""
    tracker, source = load_tracker(checkpoint, options.elimination)
    config, vit = tracker.config, tracker.config.vit
    cost = measure_cost(tracker)
    return Exportable(
        family="ckd",
        name=f"ckd-{vit.embed_dim}x{vit.depth}-{config.elimination.mode}",
        tracker=tracker,
        network=DeployableRawCrops(tracker, options.half),
        source=source,
        sizes=Sizes.of(config),
        params=cost.parameters,
        macs=counted(cost),
    )
