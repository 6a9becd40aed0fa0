"""What a CKD recipe file holds; `recipes.settings.load_settings` reads and checks it."""

from __future__ import annotations

from dataclasses import dataclass

from training.models.ckd import CkdConfig
from training.models.elimination import EliminationConfig
from training.models.vit import VitConfig


@dataclass(frozen=True)
class ModelSettings:
    """Sizes of the network; see `VitConfig` and `CkdConfig`."""

    vit: VitConfig
    head_channels: int = 256
    shared_students: bool = False

    def config(self) -> CkdConfig:
        return CkdConfig(
            self.vit, self.head_channels, self.shared_students, elimination=EliminationConfig(mode="none")
        )


@dataclass(frozen=True)
class DataSettings:
    """Sources and their weights; folders are relative to the working directory.

    pairs: folders of aligned image pairs. flights: a folder written by `python -m training flights`.
    """

    pairs: tuple[str, ...] = ()
    pairs_weight: float = 1.0
    flights: str = ""
    flights_weight: float = 1.0
    held_out: int = 24
    workers: int = 1


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW with warm-up and cosine decay; weight decay on matrices and kernels only."""

    steps: int
    batch: int = 32
    learning_rate: float = 1e-3
    final_rate: float = 0.02
    warmup: int = 300
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    average: float = 0.999


@dataclass(frozen=True)
class DistillationSettings:
    """Coupled distillation from step `start` on; weights as released."""

    start: int
    style_weight: float = 0.01
    content_weight: float = 0.1
    masked_share: float = 0.25


@dataclass(frozen=True)
class Recipe:
    """One training run; `out` receives checkpoints and the log."""

    out: str
    seed: int
    model: ModelSettings
    data: DataSettings
    optimiser: OptimiserSettings
    distillation: DistillationSettings
    start_from: str = ""
    save_every: int = 250
    validate_every: int = 250
    bfloat16: bool = True
