"""A compact student under a frozen teacher: what the recipes `transcmd` and `distill` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from torch import Tensor, nn

from training.checkpoints import (
    TRAINING_PREFIXES,
    Checkpoint,
    CheckpointError,
    load_strictly,
    read_checkpoint,
    require_family,
)
from training.data.loader import Batch, to_batch
from training.engine.processes import Team
from training.engine.settings import EngineSettings
from training.engine.stepping import Arrays, Stepper
from training.engine.validation import Seen
from training.losses.task import task_loss
from training.losses.transcmd import DistillationWeights, distillation_losses
from training.models.ckd import CkdTracker, CkdTrainingModel
from training.models.distillation import (
    DistillableStudent,
    DistilledStudent,
    Projectors,
    StudentSpec,
    masked_samples,
    require_fit,
)
from training.models.head import decode_boxes
from training.models.initialisation import initial_state
from training.models.teachers import Teacher, load_teacher
from training.models.transcmd.initialisation import CLASSIFIER, start_student
from training.models.transcmd.masked import MaskDecoder, MaskRates, draw_mask
from training.models.transcmd.stored import TRAINING_ONLY
from training.models.transcmd.student import TransCmdStudent
from training.recipes.batches import network_input
from training.recipes.ckd_start import PUBLISHED_NETWORK

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Lesson:
    """What a student learns beside its task.

    boxes_at: the cell whose box learns, the score's peak or the target's.
    masked_weight: of the masked loss, on every second sample. masks: where it masks.
    """

    weights: DistillationWeights = field(default_factory=DistillationWeights)
    boxes_at: Literal["peak", "target"] = "peak"
    masked_weight: float = 0.0
    masks: MaskRates = field(default_factory=MaskRates)


def open_teacher(path: str, student: StudentSpec, team: Team, engine: EngineSettings) -> Teacher:
    """A frozen teacher on this process's device.

    Raises CheckpointError or UsageError, one line, if it cannot be read or cannot teach this student.
    """
    teacher = load_teacher(path)
    require_fit(student, teacher.spec, path)
    if engine.compile:
        teacher.compile()
    return teacher.to(team.device)


def taught_model(
    student: DistillableStudent,
    teacher: Teacher | None,
    weights: DistillationWeights,
    mask_decoder: MaskDecoder | None = None,
) -> DistilledStudent:
    """The student with projectors for what is distilled; they have no gradient where a part is off."""
    spec = teacher.spec if teacher is not None else None
    projectors = Projectors(student.spec, spec, features=weights.features > 0, paths=weights.paths > 0)
    return DistilledStudent(student, projectors, mask_decoder)


def cut_sizes(student: StudentSpec, teacher: Teacher | None) -> tuple[int, int]:
    """Sides at which template and search crops are cut: those of the network that sees more.

    The other one gets them scaled.
    """
    ours = student.geometry
    theirs = teacher.spec.geometry if teacher is not None else ours
    return max(ours.template_size, theirs.template_size), max(ours.search_size, theirs.search_size)


def taught_losses(
    stepper: Stepper, teacher: Teacher | None, lesson: Lesson, part: Arrays, centres: float
) -> dict[str, Tensor]:
    """Task, distillation and masked losses of one part of a batch; `total` and its parts.

    part: needs `heatmap`, and `mask_noise` for the masked loss. teacher: None for the task alone.
    """
    batch, heatmap, model = to_batch(part), part["heatmap"], stepper.model
    assert isinstance(model, DistilledStudent)
    templates, searches = network_input(batch)
    mask = None
    if lesson.masked_weight:
        vit = model.student.network.config.vit
        halved = masked_samples(searches, vit.search_size)
        mask = draw_mask(halved, vit.patch_size, part["mask_noise"][::2], lesson.masks)
    with stepper.autocast():
        seen = stepper.forward(templates, searches, mask)
        view = teacher(templates, searches) if teacher is not None else None
    boxes = decode_boxes(seen.output, heatmap if lesson.boxes_at == "target" else None)
    task = task_loss(seen.output.score, boxes, batch.target, heatmap, centres)
    parts = dict(vars(task))
    if view is not None:
        parts |= distillation_losses(seen, view, model.projectors, batch.target, heatmap, lesson.weights)
        parts["total"] = parts["total"] + parts["distillation"]
    if seen.masked is not None:
        parts["masked"] = seen.masked
        parts["total"] = parts["total"] + lesson.masked_weight * seen.masked
    return parts


def look(student: DistillableStudent, batch: Batch) -> Seen:
    """A batch through a student; features are those of the last block."""
    seen = student(*network_input(batch))
    return Seen(decode_boxes(seen.output), seen.rgb[-1].mean(dim=1), seen.tir[-1].mean(dim=1))


def fill(
    network: N,
    path: str,
    family: str,
    from_published: Callable[[N, Checkpoint], None],
    ignore: Sequence[str] = (),
) -> None:
    """Start values from a file: a run of this family, strictly, or a published network.

    Raises CheckpointError, one line, where the file is of another family, layout or size.
    """
    checkpoint = read_checkpoint(path)
    if "family" not in checkpoint.extras:
        from_published(network, checkpoint)
        return
    require_family(checkpoint, family)
    load_strictly(network, checkpoint.state, path, ignore)


def fill_transcmd(student: TransCmdStudent, path: str) -> None:
    """A TransCMD student of ours, a tracker, or a ViT of its width."""
    fill(student, path, "transcmd", start_student, TRAINING_ONLY)


def fill_ckd(tracker: CkdTracker, path: str) -> None:
    """A CKD tracker of ours or as published, another tracker, or a ViT of its width."""
    fill(tracker, path, "ckd", _published_ckd, TRAINING_PREFIXES)


def _published_ckd(tracker: CkdTracker, checkpoint: Checkpoint) -> None:
    state = {key: value for key, value in checkpoint.state.items() if not key.startswith(CLASSIFIER)}
    if not any(key.startswith(PUBLISHED_NETWORK) for key in state):
        load_strictly(tracker, state, str(checkpoint.path), TRAINING_PREFIXES)
        return
    whole = CkdTrainingModel(tracker.config)
    try:
        whole.load_state_dict(initial_state(whole, state))
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path} cannot start this network: {error}") from None
    tracker.load_state_dict(whole.tracker_state())
