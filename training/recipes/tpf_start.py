"""What a TPF run starts from: nothing, a finished run of either stage, or a published network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from training.checkpoints import CheckpointError, key_faults, read_checkpoint, require_family
from training.models.tpf.auxiliary import TRAINING_ONLY, TpfTrainingModel
from training.models.tpf.imitation import ImitationModel
from training.models.tpf.judge import published_state
from training.models.tpf.tracker import TpfNetwork
from training.recipes.tpf_settings import Recipe


def start_model(recipe: Recipe) -> TpfNetwork:
    """The network of the recipe's stage, in training mode, with what does not learn frozen.

    Raises CheckpointError, one line, where `start_from` is of another family, layout or size.
    """
    model = _make(recipe)
    if recipe.start_from:
        _fill(model, recipe.start_from)
    return choose_trained(model, recipe)


def choose_trained(model: TpfNetwork, recipe: Recipe) -> TpfNetwork:
    """Stage one trains the adapter alone; decoders that no loss asks for stay as they are."""
    for name, parameter in model.named_parameters():
        learns = recipe.stage == "tracker" or name.startswith("adapter.")
        unused = not recipe.auxiliary.reconstruction and ".decoder." in name
        parameter.requires_grad_(learns and not unused)
    return model.train()


def _make(recipe: Recipe) -> TpfNetwork:
    config, auxiliary = recipe.model.config(), recipe.auxiliary
    if recipe.stage == "fusion":
        return ImitationModel(config)
    if not recipe.has_branches:
        return TpfNetwork(config)
    return TpfTrainingModel(
        config,
        decoder_width=auxiliary.decoder_width,
        decoder_depth=auxiliary.decoder_depth,
        decoder_heads=auxiliary.decoder_heads,
    )


def _fill(model: TpfNetwork, path: str) -> None:
    """Auxiliary encoders start as copies of the tracker's unless the run before trained some already."""
    source = read_checkpoint(path)
    require_family(source, "tpf")
    own = model.state_dict()
    if source.extras.get("family") == "tpf":
        given, stored = dict(source.state), source.extras.get("model")
        if isinstance(stored, Mapping):  # the average holds no branches, the model it averages does
            given |= {key: value for key, value in stored.items() if key.startswith(TRAINING_ONLY)}
    else:
        tracker = published_state(source, model.config.vit, model)
        given = {k: v for k, v in own.items() if not k.startswith(TRAINING_ONLY)} | tracker
    if isinstance(model, TpfTrainingModel) and not any(key.startswith(TRAINING_ONLY) for key in given):
        given |= _branches(own, given)
    given = {key: value for key, value in given.items() if key in own or not key.startswith(TRAINING_ONLY)}
    faults = key_faults({key: tuple(value.shape) for key, value in own.items()}, given)
    if faults:
        raise CheckpointError(f"{path} does not fit this network: {faults}")
    model.load_state_dict(given)


def _branches(own: Mapping[str, Tensor], tracker: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Both encoders as the tracker's backbone, decoders as they are."""
    made = {key: value for key, value in own.items() if key.startswith(TRAINING_ONLY)}
    for branch in TRAINING_ONLY:
        for key, value in tracker.items():
            if key.startswith("backbone."):
                made[f"{branch}encoder.{key.removeprefix('backbone.')}"] = value
    return made
