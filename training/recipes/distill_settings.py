"""What a recipe of `distill` holds; `recipes.settings.load_settings` reads and checks it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.engine.run_settings import RunSettings
from training.losses.transcmd import DistillationWeights
from training.models.ckd import CkdConfig
from training.models.transcmd.student import TransCmdConfig
from training.recipes.ckd_settings import ModelSettings
from training.recipes.transcmd_settings import StudentSettings


@dataclass(frozen=True)
class RateFactors:
    """Factors on the learning rate: below 1 for encoders that were trained before."""

    encoder: float = 1.0

    def by_name(self) -> dict[str, float]:
        """Part of a parameter's name -> factor."""
        return dict.fromkeys(("encoder", "modality_codes", "_branch"), self.encoder)


@dataclass(frozen=True, kw_only=True)
class Recipe(RunSettings):
    """One compact student under one teacher.

    student: its family; `[ckd]` or `[transcmd]` has its sizes.
    taught_by: checkpoint of any CKD or TPF tracker or TransCMD teacher.
    start_from: a run of the same student, or a published tracker or ViT of its width; empty starts from
    nothing.
    distillation: weight of each part; 0 switches it off, and with all at 0 the student learns alone.
    boxes_at: the cell whose box learns: the `target`'s, which learns faster from nothing, or the score's
    `peak`.
    """

    student: Literal["ckd", "transcmd"]
    ckd: ModelSettings = field(default_factory=ModelSettings)
    transcmd: StudentSettings = field(default_factory=StudentSettings)
    distillation: DistillationWeights = field(default_factory=DistillationWeights)
    rate_factors: RateFactors = field(default_factory=RateFactors)
    taught_by: str = ""
    boxes_at: Literal["peak", "target"] = "target"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.needs_teacher and not self.taught_by:
            raise ValueError("the student has no teacher; name its checkpoint in taught_by")
        unused = {"ckd": self.transcmd != StudentSettings(), "transcmd": self.ckd != ModelSettings()}
        if unused[self.student]:
            other = "transcmd" if self.student == "ckd" else "ckd"
            raise ValueError(f"student is {self.student!r}, so [{other}] is not used; take it out")
        if self.student == "ckd" and self.ckd.elimination.mode != "none":
            raise ValueError(
                "ckd.elimination: distillation compares every token; train the heads under elimination "
                "afterwards, with the recipe ckd"
            )

    @property
    def needs_teacher(self) -> bool:
        """Whether any part of the run listens to the teacher."""
        return bool(self.distillation.features or self.distillation.paths or self.distillation.response)

    def config(self) -> CkdConfig | TransCmdConfig:
        """Sizes of the student."""
        return self.ckd.config() if self.student == "ckd" else self.transcmd.config()
