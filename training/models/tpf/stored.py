"""TPF from a checkpoint of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from training.checkpoints import Checkpoint, CheckpointError, load_strictly, read_checkpoint, require_family
from training.models.tpf.auxiliary import TRAINING_ONLY
from training.models.tpf.tracker import TpfConfig, TpfNetwork


def load_network(path: Path | str) -> tuple[TpfNetwork, Checkpoint]:
    """Adapter and tracker in evaluation mode; auxiliary branches of the second stage stay behind.

    Raises CheckpointError, one line.
    """
    source = read_checkpoint(path)
    config = stored_config(source)
    with torch.device("meta"):
        network = TpfNetwork(config)
    network.to_empty(device="cpu")
    load_strictly(network, source.state, str(path), ignore=TRAINING_ONLY)
    return network.eval(), source


def stored_config(source: Checkpoint) -> TpfConfig:
    """The sizes that the checkpoint carries. Raises CheckpointError if it is of another family."""
    require_family(source, "tpf")
    stored = source.extras.get("config")
    try:
        return TpfConfig.from_dict(stored) if isinstance(stored, Mapping) else TpfConfig()
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{source.path}: its stored configuration is not ours ({error})") from None
