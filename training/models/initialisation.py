"""Start values for training from published networks: OSTrack, DropTrack, MAE, DropMAE (ckd.md section 8)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from training.models.ckd import CkdTrainingModel
from training.models.vit import VitConfig

TEMPORAL = {"pos_embed_z": "temporal_pos_embed_z", "pos_embed_x": "temporal_pos_embed_x"}
PRETRAINING_ONLY = ("decoder", "mask_token")


def resize_table(table: Tensor, side: int, mode: str) -> Tensor:
    """Position table `[1, N, C]` of a square grid to `[1, side^2, C]`; mode `bilinear` or `bicubic`."""
    old = math.isqrt(table.shape[1])
    if old == side:
        return table.clone()
    grid = table.transpose(1, 2).reshape(1, table.shape[2], old, old)
    grid = F.interpolate(grid, (side, side), mode=mode, align_corners=False)
    return grid.flatten(2).transpose(1, 2)


def initial_state(model: CkdTrainingModel, source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A complete state dict for `model`: every branch, and where there is one the head, from one network.

    source: weights of a tracker (keys `backbone.`, `box_head.`) or of ViT pre-training. What it does not
    have (heads after pre-training) keeps the model's own values. The values share memory with each other and
    with `source`: load them, do not train them. Raises ValueError naming keys that have no place, that are
    misshapen, or that the source should have had.
    """
    own = model.state_dict()
    is_tracker = any(key.startswith("backbone.") for key in source)
    branch, heads = branch_and_head(model.config.vit, source)
    mapped: dict[str, Tensor] = {}
    for name in _branch_names(model):
        mapped |= {f"{name}.{key}": value for key, value in branch.items()}
    mapped |= _map_heads(heads)
    unknown = [key for key in mapped if key not in own]
    if unknown:
        raise ValueError(f"{len(unknown)} keys have no place in the network, first {unknown[0]}")
    optional = ("cls_token", "pos_embed") if is_tracker else ("cls_token",)
    absent = [
        key
        for key in own
        if key not in mapped and not key.endswith(optional) and (is_tracker or "box_head" not in key)
    ]
    if absent:
        raise ValueError(f"the source lacks {len(absent)} keys, first {absent[0]}")
    bad = [key for key, value in mapped.items() if value.shape != own[key].shape]
    if bad:
        found, expected = list(mapped[bad[0]].shape), list(own[bad[0]].shape)
        raise ValueError(f"{len(bad)} keys are misshapen, first {bad[0]}: {found}, expected {expected}")
    return {**own, **mapped}


def branch_and_head(
    vit: VitConfig, source: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of one branch, tables fitted to its grids, and of the head if the source is a tracker.

    Raises ValueError for keys that belong to neither and for a source without position tables.
    """
    is_tracker = any(key.startswith("backbone.") for key in source)
    branch, head = _split_tracker(source) if is_tracker else (_split_pretraining(source), {})
    return _with_tables(vit, branch), head


def _branch_names(model: CkdTrainingModel) -> tuple[str, ...]:
    students = ("student_branch",) if model.config.shared_students else ("rgb_branch", "tir_branch")
    return (*students, "teacher_rgb", "teacher_tir")


def _split_tracker(source: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    branch = {k.removeprefix("backbone."): v for k, v in source.items() if k.startswith("backbone.")}
    heads = {k.removeprefix("box_head."): v for k, v in source.items() if k.startswith("box_head.")}
    strays = [key for key in source if not key.startswith(("backbone.", "box_head."))]
    if strays:
        raise ValueError(f"{len(strays)} keys of the source have no place, first {strays[0]}")
    return branch, heads


def _split_pretraining(source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in source.items() if not any(part in k for part in PRETRAINING_ONLY)}


def _with_tables(vit: VitConfig, branch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Resizes the position tables to this branch's grids and adds the temporal vectors, which then go."""
    sides = {"pos_embed_z": vit.template_side, "pos_embed_x": vit.search_side}
    out = {key: value for key, value in branch.items() if key not in TEMPORAL.values()}
    for key, side in sides.items():
        if key in branch:
            table = resize_table(branch[key], side, "bilinear")
        elif "pos_embed" in branch:
            table = resize_table(branch["pos_embed"][:, 1:], side, "bicubic")
        else:
            raise ValueError(f"the source has neither {key} nor pos_embed")
        temporal = branch.get(TEMPORAL[key])
        out[key] = table if temporal is None else table + temporal
    if not vit.unused_tables:
        for key in ("cls_token", "pos_embed"):
            out.pop(key, None)
    return out


def _map_heads(head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    mapped: dict[str, Tensor] = {}
    for key, value in head.items():
        mapped[f"box_head_v.{key}"] = value
        mapped[f"box_head_i.{key}"] = value
        first = key.startswith("conv1_") and key.endswith(".0.weight")
        # The fused head sees both modalities: its first kernels are repeated along the input, not halved.
        mapped[f"box_head.{key}"] = torch.cat((value, value), dim=1) if first else value
    return mapped
