"""TransCMD students as they are stored: sizes and mode beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.checkpoints import Checkpoint, CheckpointError, filled, read_checkpoint, stored_config
from training.models.transcmd.student import TransCmdConfig, TransCmdStudent

FAMILY = "transcmd"
TRAINING_ONLY = ("projectors.", "mask_decoder.")


def load_student(path: Path | str) -> tuple[TransCmdStudent, Checkpoint]:
    """The test-time network from a checkpoint of ours, for evaluation. Raises CheckpointError, one line."""
    checkpoint = read_checkpoint(path)
    family, stored = checkpoint.extras.get("family"), checkpoint.extras.get("config")
    if family != FAMILY or not isinstance(stored, Mapping):
        raise CheckpointError(
            f"{path} is a checkpoint of family {family!r}, not of a {FAMILY} student; "
            f"give the file that training {FAMILY} wrote"
        )
    recipe = checkpoint.extras.get("recipe")
    if isinstance(recipe, Mapping) and recipe.get("stage") == "cmae":
        raise CheckpointError(
            f"{path} is of the masked pretraining, whose head has learned nothing; "
            "give the run of stage distil"
        )
    config = stored_config(checkpoint, TransCmdConfig.from_dict)
    return filled(TransCmdStudent, config, checkpoint, ignore=TRAINING_ONLY), checkpoint
