"""Any trained tracker as a frozen teacher: tokens of both modalities, paths through its fusion, score map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from training.checkpoints import (
    TRAINING_PREFIXES,
    Checkpoint,
    CheckpointError,
    filled,
    read_checkpoint,
    stored_config,
)
from training.models.branches import Stream, run_branches
from training.models.ckd import PIXEL_MEAN, PIXEL_STD, CkdConfig, CkdTracker, CkdTrainingModel
from training.models.distillation import PathFeature, TeacherSpec, TeacherView, fit_pictures
from training.models.head import decode_boxes
from training.models.students import NO_ELIMINATION, ckd_features, geometry_of
from training.models.tpf.stored import network_from
from training.models.tpf.tracker import TpfNetwork, normalise_unit
from training.models.transcmd.student import Pictures
from training.models.transcmd.teacher import PATHS, TransCmdTeacher, TransCmdTeacherConfig


class Teacher(nn.Module, ABC):
    """Base: stays in evaluation mode, gets no gradients, scales crops to the size its network takes."""

    def __init__(self, network: nn.Module, spec: TeacherSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Teacher:
        """Evaluation mode, whatever is asked for: its statistics are frozen with its weights."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def forward(self, templates: Pictures, searches: Pictures) -> TeacherView:
        """(RGB, thermal) normalised float `[B, 3, H, W]`."""
        geometry = self.spec.geometry
        return self.observe(
            fit_pictures(templates, geometry.template_size), fit_pictures(searches, geometry.search_size)
        )

    @abstractmethod
    def observe(self, templates: Pictures, searches: Pictures) -> TeacherView:
        """The view of crops of this teacher's own size."""


class TransCmdAsTeacher(Teacher):
    """The teacher that was made for it: three paths, one head for all."""

    network: TransCmdTeacher

    def __init__(self, network: TransCmdTeacher) -> None:
        vit = network.config.vit
        widths = dict.fromkeys(PATHS, vit.embed_dim)
        super().__init__(
            network, TeacherSpec(vit.depth, vit.embed_dim, widths, True, geometry_of(network.config))
        )

    def observe(self, templates: Pictures, searches: Pictures) -> TeacherView:
        out = self.network(templates, searches)
        paths = {name: PathFeature(out.paths[name], decode_boxes(out.outputs[name])) for name in PATHS}
        return TeacherView(out.rgb, out.tir, paths, out.outputs["fused"].score)


class CkdAsTeacher(Teacher):
    """A CKD tracker: its students' tokens, which the fused head sees through.

    Paths: of a checkpoint with CKD's own teachers all three, the single ones read by the teachers' heads; of
    a test-time network the fused one only, since no head has learned to read one branch alone.
    """

    network: CkdTracker

    def __init__(self, network: CkdTracker) -> None:
        vit = network.config.vit
        widths = {"fused": 2 * vit.embed_dim}
        if isinstance(network, CkdTrainingModel):
            widths |= {"rgb": vit.embed_dim, "tir": vit.embed_dim}
        super().__init__(
            network, TeacherSpec(vit.depth, vit.embed_dim, widths, True, geometry_of(network.config))
        )

    def observe(self, templates: Pictures, searches: Pictures) -> TeacherView:
        seen = ckd_features(self.network, templates, searches)
        fused = PathFeature(seen.fused, decode_boxes(seen.output))
        if isinstance(self.network, CkdTrainingModel):
            singles = _single_paths(self.network, templates, searches)
        else:
            halves = seen.fused.chunk(2, dim=-1)
            singles = {
                name: PathFeature(half, fused.boxes, valid=False)
                for name, half in zip(("rgb", "tir"), halves, strict=True)
            }
        return TeacherView(seen.rgb, seen.tir, {**singles, "fused": fused}, seen.output.score)


def _single_paths(
    network: CkdTrainingModel, templates: Pictures, searches: Pictures
) -> dict[str, PathFeature]:
    branches, heads = (network.teacher_rgb, network.teacher_tir), (network.box_head_v, network.box_head_i)
    paths = {}
    for name, branch, head, z, x in zip(("rgb", "tir"), branches, heads, templates, searches, strict=True):
        stream = Stream(branch, branch.embed(z, x))
        run_branches([stream], NO_ELIMINATION)
        tokens = stream.finish()
        boxes = decode_boxes(head(network.search_map(tokens)))
        paths[name] = PathFeature(tokens[:, network.config.vit.template_tokens :], boxes)
    return paths


class TpfAsTeacher(Teacher):
    """A TPF tracker: it fuses the images, so its tokens have no part of one modality, and one path.

    The dynamic template is the template, as before its first renewal.
    """

    network: TpfNetwork

    def __init__(self, network: TpfNetwork) -> None:
        vit = network.config.vit
        spec = TeacherSpec(
            vit.depth, vit.embed_dim, {"fused": vit.embed_dim}, False, geometry_of(network.config)
        )
        super().__init__(network, spec)

    def observe(self, templates: Pictures, searches: Pictures) -> TeacherView:
        vit, first = self.network.backbone, self.network.config.vit.template_tokens
        z, x = (normalise_unit(self.network.adapter(*map(_unit, crops))) for crops in (templates, searches))
        embedded = vit.embed(z, x)
        tokens = torch.cat((embedded[:, :first], embedded), dim=1)  # [B, 2 Nz + Nx, C]
        layers = []
        for block in vit.blocks:
            tokens = block(tokens)
            layers.append(tokens[:, 2 * first :])
        tokens = vit.norm(tokens)
        output = self.network.locate(tokens)
        fused = PathFeature(tokens[:, 2 * first :], decode_boxes(output))
        return TeacherView(tuple(layers), tuple(layers), {"fused": fused}, output.score)


def _unit(pictures: Tensor) -> Tensor:
    """Normalised pictures back to 0..1."""
    mean, std = (torch.tensor(v, device=pictures.device).view(3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    return (pictures * std + mean).clamp(0, 1)


def load_teacher(path: Path | str) -> Teacher:
    """A frozen teacher from a checkpoint; the file says its family, or it is CKD in the published layout.

    Raises CheckpointError, one line, if its family cannot teach or its weights do not fit its sizes.
    """
    checkpoint = read_checkpoint(path)
    family = checkpoint.extras.get("family", "ckd")
    if family not in TEACHER_FAMILIES:
        raise CheckpointError(
            f"{path} is a checkpoint of family {family!r}; teachers are {', '.join(sorted(TEACHER_FAMILIES))}"
        )
    return TEACHER_FAMILIES[family](checkpoint)


def _load_ckd(checkpoint: Checkpoint) -> Teacher:
    config = stored_config(checkpoint, CkdConfig.from_dict)
    whole = any(key.startswith(TRAINING_PREFIXES) for key in checkpoint.state)
    return CkdAsTeacher(filled(CkdTrainingModel if whole else CkdTracker, config, checkpoint))


def _load_transcmd(checkpoint: Checkpoint) -> Teacher:
    config = stored_config(checkpoint, TransCmdTeacherConfig.from_dict)
    return TransCmdAsTeacher(filled(TransCmdTeacher, config, checkpoint))


def _load_tpf(checkpoint: Checkpoint) -> Teacher:
    return TpfAsTeacher(network_from(checkpoint))


TEACHER_FAMILIES: dict[str, Callable[[Checkpoint], Teacher]] = {
    "ckd": _load_ckd,
    "tpf": _load_tpf,
    "transcmd_teacher": _load_transcmd,
}
