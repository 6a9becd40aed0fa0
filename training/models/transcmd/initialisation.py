"""Start values from published weights: the teacher from OSTrack, the student from a small ViT."""

from __future__ import annotations

from training.checkpoints import Checkpoint, CheckpointError, load_strictly
from training.models.initialisation import branch_and_head
from training.models.transcmd.student import TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher

CLASSIFIER = ("head.", "head_dist.", "fc_norm.")  # what image classification adds to a ViT


def start_teacher(teacher: TransCmdTeacher, source: Checkpoint) -> None:
    """Both encoders and, from a tracker, the head; fusion and gate keep their own values.

    Raises CheckpointError, one line, if the source does not fit; then nothing was copied.
    """
    _start(teacher, source, ("rgb_encoder", "tir_encoder"))


def start_student(student: TransCmdStudent, source: Checkpoint) -> None:
    """The shared encoder and, from a tracker of the same width, the head. Errors as `start_teacher`."""
    _start(student, source, ("encoder",))


def _start(network: TransCmdTeacher | TransCmdStudent, source: Checkpoint, encoders: tuple[str, ...]) -> None:
    given = {key: value for key, value in source.state.items() if not key.startswith(CLASSIFIER)}
    try:
        branch, head = branch_and_head(network.config.vit, given)
    except ValueError as error:
        raise CheckpointError(f"{source.path}: {error}") from None
    mapped = {f"{name}.{key}": value for name in encoders for key, value in branch.items()}
    mapped |= {f"box_head.{key}": value for key, value in head.items()}
    own = network.state_dict()
    filled = (*encoders, "box_head") if head else encoders
    absent = [key for key in own if key.startswith(tuple(f"{n}." for n in filled)) and key not in mapped]
    if absent:
        raise CheckpointError(f"{source.path} lacks {len(absent)} keys, first {absent[0]}")
    load_strictly(network, {**own, **mapped}, str(source.path))
