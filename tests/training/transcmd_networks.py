"""Tiny TransCMD networks and pictures that several tests share: 4 template and 16 search tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from training.models.ckd import CkdConfig
from training.models.transcmd.student import TransCmdConfig
from training.models.transcmd.teacher import TransCmdTeacherConfig
from training.models.vit import VitConfig

Pictures = tuple[Tensor, Tensor]


def tiny_vit(width: int = 16, depth: int = 3, stem: str = "linear", search_size: int = 32) -> VitConfig:
    return VitConfig(
        embed_dim=width,
        depth=depth,
        heads=2,
        patch_size=search_size // 4,
        stem=stem,  # type: ignore[arg-type]
        template_size=search_size // 2,
        search_size=search_size,
        drop_path=0.0,
        unused_tables=False,
    )


def tiny_student(mode: str = "joint", stem: str = "linear", width: int = 16) -> TransCmdConfig:
    return TransCmdConfig(tiny_vit(width, stem=stem), head_channels=8, mode=mode)  # type: ignore[arg-type]


def tiny_teacher(width: int = 24, depth: int = 6) -> TransCmdTeacherConfig:
    return TransCmdTeacherConfig(tiny_vit(width, depth), fusion_layers=2, head_channels=8)


def tiny_ckd(width: int = 24, depth: int = 6, shared: bool = False, search_size: int = 32) -> CkdConfig:
    vit = tiny_vit(width, depth, search_size=search_size)
    return CkdConfig(vit, head_channels=8, shared_students=shared)


def random_pictures(batch: int = 2, size: int = 32, seed: int = 0) -> tuple[Pictures, Pictures]:
    """Normalised templates and searches, (RGB, thermal) each; thermal with three equal channels."""
    generator = torch.Generator().manual_seed(seed)

    def pair(side: int) -> Pictures:
        rgb = torch.randn(batch, 3, side, side, generator=generator)
        return rgb, torch.randn(batch, 1, side, side, generator=generator).expand(-1, 3, -1, -1)

    return pair(size // 2), pair(size)
