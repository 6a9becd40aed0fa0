"""What a CKD recipe file holds; `recipes.settings.load_settings` reads and checks it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.engine.run_settings import RunSettings
from training.models.ckd import CkdConfig
from training.models.elimination import EliminationConfig
from training.models.vit import VitConfig


@dataclass(frozen=True)
class ModelSettings:
    """Sizes of the network; see `VitConfig`, `CkdConfig` and `EliminationConfig`."""

    vit: VitConfig = field(default_factory=VitConfig)
    head_channels: int = 256
    shared_students: bool = False
    student_norm: bool = False
    elimination: EliminationConfig = field(default_factory=EliminationConfig)

    def config(self) -> CkdConfig:
        return CkdConfig(
            self.vit,
            self.head_channels,
            self.shared_students,
            elimination=self.elimination,
            student_norm=self.student_norm,
        )


@dataclass(frozen=True)
class RateFactors:
    """Factors on the learning rate by part of the network; released: 1 for the heads, 0.1 for each branch."""

    heads: float = 1.0
    rgb_branch: float = 1.0
    tir_branch: float = 1.0
    student_branch: float = 1.0
    teacher_rgb: float = 1.0
    teacher_tir: float = 1.0

    def by_name(self) -> dict[str, float]:
        """Part of a parameter's name -> factor."""
        return {
            "head": self.heads,
            "rgb_branch": self.rgb_branch,
            "tir_branch": self.tir_branch,
            "student_branch": self.student_branch,
            "teacher_rgb": self.teacher_rgb,
            "teacher_tir": self.teacher_tir,
        }


@dataclass(frozen=True)
class DistillationSettings:
    """Coupled distillation from step `start` on. Where paper and released code differ, the code is default.

    style_weight, content_weight: of sums over layers (the paper has them in the ratio 2:1).
    feature_weight: plain distance between the students instead, which is not decoupled.
    teacher_weight: of both teachers' own task losses.
    masked_share: of the search tokens, hidden from both students; `independent` draws every token for itself,
    `exact` hides this share of each sample. masked_samples: probability that a sample is masked at all.
    tokens, layers: what style and content compare; no layers means all.
    """

    start: int = 0
    style_weight: float = 0.01
    content_weight: float = 0.1
    feature_weight: float = 0.0
    teacher_weight: float = 1.0
    masked_share: float = 0.25
    masking: Literal["independent", "exact"] = "independent"
    masked_samples: float = 1.0
    tokens: Literal["all", "search"] = "all"
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("masked_share", "masked_samples"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 1")


@dataclass(frozen=True)
class KeepSchedule:
    """Share of search tokens kept, by epoch: 1 before `start`, then `warm_up` epochs down to the ratio."""

    start: int = 0
    warm_up: int = 0


@dataclass(frozen=True, kw_only=True)
class Recipe(RunSettings):
    """One training run.

    start_from: a finished run of this recipe, a published CKD, OSTrack or DropTrack tracker, MAE or DropMAE;
    empty starts from nothing.
    trained: `everything`, or only the `heads` with all branches frozen (the second published phase).
    """

    model: ModelSettings
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    rate_factors: RateFactors = field(default_factory=RateFactors)
    keep_schedule: KeepSchedule = field(default_factory=KeepSchedule)
    trained: Literal["everything", "heads"] = "everything"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trained == "heads" and not self.start_from:
            raise ValueError("trained = 'heads' freezes the branches; name a finished run in start_from")
        if any(not 0 <= layer < self.model.vit.depth for layer in self.distillation.layers):
            raise ValueError(
                f"distillation.layers {self.distillation.layers} exceed {self.model.vit.depth} blocks"
            )
