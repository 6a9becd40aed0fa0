"""TransCMD students as they are stored: sizes and mode beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from training.checkpoints import Checkpoint, CheckpointError, load_strictly, read_checkpoint
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
    try:
        config = TransCmdConfig.from_dict(stored)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: its stored configuration is not ours ({error})") from None
    with torch.device("meta"):
        student = TransCmdStudent(config)
    student.to_empty(device="cpu")
    load_strictly(student, checkpoint.state, str(path), ignore=TRAINING_ONLY)
    return student.eval(), checkpoint
