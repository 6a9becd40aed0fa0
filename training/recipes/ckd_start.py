"""What a CKD run starts from: nothing, a finished run, or a published network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from training.checkpoints import CheckpointError, load_strictly, read_checkpoint, require_family
from training.models.ckd import CkdConfig, CkdTracker, CkdTrainingModel
from training.models.initialisation import initial_state
from training.recipes.ckd_settings import Recipe

PUBLISHED_NETWORK = ("backbone.", "blocks.", "patch_embed.")  # OSTrack, DropTrack; MAE, DropMAE
NEVER_USED = (".cls_token", ".pos_embed")  # carried for the published layout; they receive no gradient


def start_model(recipe: Recipe) -> CkdTracker:
    """The students alone, or with `distillation.start` 0 at once with teachers.

    Raises CheckpointError, one line, where `start_from` is of another family, layout or size.
    """
    config, path = recipe.model.config(), recipe.start_from
    if not path:
        students = CkdTracker(config)
        return students if recipe.distillation.start else couple(students.state_dict(), config)
    checkpoint = read_checkpoint(path)
    require_family(checkpoint, "ckd")
    state = checkpoint.state
    stored = checkpoint.extras.get("model")
    if isinstance(stored, Mapping) and set(state) <= set(stored):
        state = {**stored, **state}  # of ours: the averaged students over the whole training model
    model = CkdTrainingModel(config)
    if any(key.startswith(PUBLISHED_NETWORK) for key in state):
        try:
            model.load_state_dict(initial_state(model, state))
        except ValueError as error:
            raise CheckpointError(f"{path} cannot start this network: {error}") from None
    elif any(key.startswith("teacher_") for key in state):
        load_strictly(model, state, path)
    elif recipe.trained == "heads":
        raise CheckpointError(f"{path} holds no teachers; the second phase starts from the first one's run")
    else:
        students = CkdTracker(config)
        load_strictly(students, state, path)
        model = couple(students.state_dict(), config)
    if recipe.distillation.start == 0:
        return model
    students = CkdTracker(config)
    students.load_state_dict(model.tracker_state())
    return students


def couple(students: Mapping[str, Tensor], config: CkdConfig) -> CkdTrainingModel:
    """Both teachers start as copies of the students, as the release starts all branches from one tracker."""
    model = CkdTrainingModel(config)
    merged = dict(students)
    width = config.vit.embed_dim
    for key, value in students.items():
        branch, _, rest = key.partition(".")
        if branch == "student_branch":
            merged[f"teacher_rgb.{rest}"] = merged[f"teacher_tir.{rest}"] = value
        elif branch in ("rgb_branch", "tir_branch"):
            merged[f"teacher_{branch[:3]}.{rest}"] = value
        elif rest.startswith("conv1_") and rest.endswith("0.weight"):
            # The fused head's first layer sees both modalities; a teacher's head keeps its own half, at
            # twice the gain so that the sum over input channels stays as large as it was.
            merged[f"box_head_v.{rest}"] = 2 * value[:, :width]
            merged[f"box_head_i.{rest}"] = 2 * value[:, width:]
        else:
            merged[f"box_head_v.{rest}"] = merged[f"box_head_i.{rest}"] = value
    model.load_state_dict(merged)
    return model


def choose_trained(model: CkdTracker, trained: str) -> CkdTracker:
    """Freezes what does not learn: tables that nothing uses, and for `heads` all branches."""
    for name, parameter in model.named_parameters():
        learns = not name.endswith(NEVER_USED) and (trained == "everything" or "head" in name)
        parameter.requires_grad_(learns)
    return model.train()
