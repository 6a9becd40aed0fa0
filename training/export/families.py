"""The table of families: how a checkpoint of each becomes a network that can leave PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.export.exportable import Exportable, ExportOptions

# family -> module with a function `load`; a module is imported only when its family is asked for
FAMILIES = {
    "ckd": "training.export.ckd",
    "tpf": "training.export.tpf",
    "transcmd": "training.export.transcmd",
}


def load_exportable(family: str, checkpoint: Path, options: ExportOptions) -> Exportable:
    """Reads a checkpoint of a family in the table. Raises CheckpointError or UsageError, one line."""
    load: Callable[[Path, ExportOptions], Exportable] = importlib.import_module(FAMILIES[family]).load
    return load(checkpoint, options)
