"""TPF from a checkpoint of ours."""

from __future__ import annotations

from pathlib import Path

from training.checkpoints import Checkpoint, filled, read_checkpoint, require_family, stored_config
from training.models.tpf.auxiliary import TRAINING_ONLY
from training.models.tpf.tracker import TpfConfig, TpfNetwork


def load_network(path: Path | str) -> tuple[TpfNetwork, Checkpoint]:
    """Adapter and tracker in evaluation mode; auxiliary branches of the second stage stay behind.

    Raises CheckpointError, one line.
    """
    source = read_checkpoint(path)
    return network_from(source), source


def network_from(source: Checkpoint) -> TpfNetwork:
    """The same from a checkpoint that was read already."""
    require_family(source, "tpf")
    return filled(TpfNetwork, stored_config(source, TpfConfig.from_dict), source, ignore=TRAINING_ONLY)
