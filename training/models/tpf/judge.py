"""The frozen single-stream tracker that judges experts by how well it finds the target (tpf.md section 6)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from training.checkpoints import Checkpoint, CheckpointError, key_faults, read_checkpoint, require_family
from training.models.head import CenterHead, HeadOutput
from training.models.initialisation import branch_and_head
from training.models.tpf.stored import network_from
from training.models.tpf.tracker import run_blocks
from training.models.vit import Vit, VitConfig


class Judge(nn.Module):
    """A one-stream tracker of single pictures; keys as in OSTrack.

    templates: how many templates it was trained with; with two, the one there is stands for both.
    """

    def __init__(self, vit: VitConfig, head_channels: int = 256, templates: int = 1) -> None:
        super().__init__()
        self.templates = templates
        self.backbone = Vit(vit)
        self.box_head = CenterHead(vit.embed_dim, head_channels)

    def forward(self, template: Tensor, search: Tensor) -> HeadOutput:
        """Normalised pictures, float `[B, 3, H, W]` each."""
        vit = self.backbone.config
        tokens = self.backbone.embed(template, search)
        z, x = tokens.split((vit.template_tokens, vit.search_tokens), dim=1)
        tokens = run_blocks(self.backbone, torch.cat([z] * self.templates + [x], dim=1))
        places = tokens[:, -vit.search_tokens :].transpose(1, 2)
        return self.box_head(places.reshape(-1, vit.embed_dim, vit.search_side, vit.search_side))


def load_judge(path: Path | str, template_size: int, search_size: int) -> Judge:
    """From a published OSTrack or DropTrack (ViT-B/16), or a TPF tracker of ours; in evaluation mode.

    Raises CheckpointError, one line, for another family or layout, or where the pool's crops do not fit.
    """
    source = read_checkpoint(path)
    require_family(source, "tpf")
    if source.extras.get("family") == "tpf":
        network = network_from(source)
        own = network.config.vit
        if (own.template_size, own.search_size) != (template_size, search_size):
            raise CheckpointError(
                f"{path} judges crops of {own.template_size} and {own.search_size} px, "
                f"the pool has {template_size} and {search_size}"
            )
        judge = Judge(own, network.config.head_channels, templates=2)
        judge.backbone, judge.box_head = network.backbone, network.box_head
    else:
        vit = VitConfig(template_size=template_size, search_size=search_size, unused_tables=False)
        judge = Judge(vit)
        judge.load_state_dict(published_state(source, vit, judge, require_head=True))
    return judge.requires_grad_(False).eval()


def published_state(
    source: Checkpoint, vit: VitConfig, target: nn.Module, require_head: bool = False
) -> dict[str, Tensor]:
    """Weights of a published network under the keys of `target`, which has a `backbone` and a `box_head`.

    What the source does not have to have (the head after pre-training) is left out unless `require_head`.
    Raises CheckpointError, one line, for another layout or size.
    """
    try:
        branch, head = branch_and_head(replace(vit, unused_tables=False), source.state)
    except ValueError as error:
        raise CheckpointError(f"{source.path} cannot start this network: {error}") from None
    given = {f"backbone.{key}": value for key, value in branch.items()}
    given |= {f"box_head.{key}": value for key, value in head.items()}
    parts = ("backbone.", "box_head.") if head or require_head else ("backbone.",)
    wanted = {k: tuple(v.shape) for k, v in target.state_dict().items() if k.startswith(parts)}
    faults = key_faults(wanted, given)
    if faults:
        raise CheckpointError(f"{source.path} does not fit this network: {faults}")
    return given
