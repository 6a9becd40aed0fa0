"""TransCMD students for the export: projectors and mask decoder of a training checkpoint stay behind."""

from __future__ import annotations

from pathlib import Path

from training.export.costs import measure_cost
from training.export.deployable import DeployableRawCrops
from training.export.exportable import Exportable, ExportOptions, Sizes, counted, refuse_elimination
from training.models.transcmd.stored import load_student


def load(checkpoint: Path, options: ExportOptions) -> Exportable:
    """The student alone, in the mode that it was trained for."""
    refuse_elimination("transcmd", options)
    student, source = load_student(checkpoint)
    config, vit = student.config, student.config.vit
    cost = measure_cost(student)
    return Exportable(
        family="transcmd",
        name=f"transcmd-{vit.embed_dim}x{vit.depth}-{config.mode}",
        tracker=student,
        network=DeployableRawCrops(student, options.half),
        source=source,
        sizes=Sizes.of(config),
        params=cost.parameters,
        macs=counted(cost),
    )
