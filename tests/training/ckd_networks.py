"""Small networks and vector inputs that several training tests share."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from edge_rgbt.imageops import crop_geometry, crop_square, crop_thermal
from edge_rgbt.types import Box
from training.export.deployable import INPUT_NAMES
from training.models.ckd import CkdConfig, normalise
from training.models.elimination import EliminationConfig
from training.models.vit import VitConfig


def tiny_config(mode: str = "none", shared: bool = False, stem: str = "conv") -> CkdConfig:
    """16 template and 64 search tokens of width 32, two blocks, elimination in the first."""
    vit = VitConfig(embed_dim=32, depth=2, heads=2, patch_size=8, stem=stem, template_size=32, search_size=64)
    elimination = EliminationConfig(mode=mode, layers=(0,), ratios=(0.7,))
    return CkdConfig(vit=vit, head_channels=16, shared_students=shared, elimination=elimination)


def vector_crops(vectors: np.lib.npyio.NpzFile) -> list[torch.Tensor]:
    """The uint8 crops of a vector file in the order of the network's inputs, thermal with three channels."""
    crops = [vectors[name] for name in ("template_rgb", "template_tir", "search_rgb", "search_tir")]
    return [torch.from_numpy(c if c.ndim == 4 else np.repeat(c[..., None], 3, axis=-1)) for c in crops]


def vector_inputs(vectors: np.lib.npyio.NpzFile) -> list[torch.Tensor]:
    """The same, normalised."""
    return [normalise(crops) for crops in vector_crops(vectors)]


def real_crops(data: Path, template_size: int, search_size: int, count: int) -> dict[str, np.ndarray]:
    """Crops around the middle of aligned street pictures, as the tracker would take them."""
    crops: dict[str, list[np.ndarray]] = {name: [] for name in INPUT_NAMES}
    names = sorted(p.name for p in (data / "pairs" / "roadscene" / "visible").iterdir())
    for k, name in enumerate(names[:count]):
        rgb = cv2.imread(str(data / "pairs" / "roadscene" / "visible" / name))[..., ::-1]
        tir = cv2.imread(str(data / "pairs" / "roadscene" / "infrared" / name), cv2.IMREAD_GRAYSCALE)
        box = Box(rgb.shape[1] * 0.4 + 3 * k, rgb.shape[0] * 0.4, 30 + 7 * k, 40)
        for part, factor, size in (("template", 2.0, template_size), ("search", 4.0, search_size)):
            geometry = crop_geometry(box, factor, size)
            crops[f"{part}_rgb"].append(crop_square(np.ascontiguousarray(rgb), geometry))
            crops[f"{part}_tir"].append(crop_thermal(tir, geometry))
    return {name: np.stack(values) for name, values in crops.items()}
