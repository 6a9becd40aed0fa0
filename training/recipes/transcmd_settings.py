"""What a TransCMD recipe file holds, one file per stage; `recipes.settings.load_settings` reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.engine.run_settings import RunSettings
from training.losses.transcmd import DistillationWeights
from training.models.transcmd.masked import MaskRates
from training.models.transcmd.student import TransCmdConfig
from training.models.transcmd.teacher import TransCmdTeacherConfig
from training.models.vit import VitConfig

Stage = Literal["teacher", "cmae", "distil"]
PARTS = ("features", "paths", "cmae")


@dataclass(frozen=True)
class EncoderSettings:
    """Sizes of one encoder; see `VitConfig`."""

    width: int = 192
    depth: int = 12
    heads: int = 3
    patch_size: int = 16
    stem: Literal["linear", "conv"] = "linear"
    template_size: int = 128
    search_size: int = 256
    drop_path: float = 0.1

    def vit(self) -> VitConfig:
        return VitConfig(
            embed_dim=self.width,
            depth=self.depth,
            heads=self.heads,
            patch_size=self.patch_size,
            stem=self.stem,
            template_size=self.template_size,
            search_size=self.search_size,
            drop_path=self.drop_path,
            unused_tables=False,
        )


@dataclass(frozen=True)
class StudentSettings(EncoderSettings):
    """Sizes of the student; see `TransCmdConfig`."""

    head_channels: int = 128
    mode: Literal["joint", "pair"] = "joint"

    def config(self) -> TransCmdConfig:
        return TransCmdConfig(self.vit(), self.head_channels, self.mode)


@dataclass(frozen=True)
class TeacherSettings(EncoderSettings):
    """Sizes of the teacher; width 384 with 6 heads is the small one. See `TransCmdTeacherConfig`.

    path_weight: of the task losses that the head has on each modality's path, beside the fused one.
    """

    width: int = 768
    heads: int = 12
    fusion_layers: int = 2
    head_channels: int = 256
    path_weight: float = 0.3

    def config(self) -> TransCmdTeacherConfig:
        return TransCmdTeacherConfig(self.vit(), self.fusion_layers, self.head_channels)


@dataclass(frozen=True)
class DistillationSettings:
    """What the student learns beside its task, and with what weight.

    without: parts to leave out, one switch for each ablation: `features` (specific-common distillation),
    `paths` (multi-path selection), `cmae` (masked pretraining and `masked_weight`).
    response: weight of the score maps' loss. hard_paths: only the teacher's best path of each sample.
    masked_weight: of the masked loss beside distillation, on half of the samples; 0.1 if it is used.
    """

    without: tuple[str, ...] = ()
    features: float = 1.0
    paths: float = 1.0
    response: float = 0.0
    hard_paths: bool = False
    masked_weight: float = 0.0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.without) - set(PARTS))
        if unknown:
            raise ValueError(f"without names {unknown[0]!r}; the parts are {', '.join(PARTS)}")
        if self.masked_weight < 0:
            raise ValueError(f"masked_weight {self.masked_weight} must not be negative")
        self.weights()

    def weights(self) -> DistillationWeights:
        """For `distillation_losses`; a part that is left out weighs 0."""
        return DistillationWeights(
            features=0.0 if "features" in self.without else self.features,
            paths=0.0 if "paths" in self.without else self.paths,
            response=self.response,
            hard_paths=self.hard_paths,
        )

    @property
    def pretrained(self) -> bool:
        """Whether stage two starts from the run of stage one, where the recipe names one."""
        return "cmae" not in self.without

    @property
    def beside(self) -> float:
        """Weight of the masked loss in stage two."""
        return self.masked_weight if self.pretrained else 0.0


@dataclass(frozen=True)
class RateFactors:
    """Factors on the learning rate: 0.1 for encoders that were trained before, 1 for all else."""

    encoder: float = 0.1

    def by_name(self) -> dict[str, float]:
        """Part of a parameter's name -> factor."""
        return {"encoder": self.encoder, "modality_codes": self.encoder}


@dataclass(frozen=True, kw_only=True)
class Recipe(RunSettings):
    """One run of one stage.

    stage: `teacher` trains the teacher on the task, `cmae` pretrains the student, `distil` trains it under
    the teacher.
    start_from: weights to begin with: a published tracker or ViT, or a run of the same network.
    pretrained_by: the run of `cmae` that `distil` starts from instead, unless that part is left out.
    taught_by: checkpoint of any teacher, for `distil`.
    boxes_at: the cell whose box learns: the score's `peak`, as published, or the `target`'s, which learns
    faster from nothing.
    """

    stage: Stage
    student: StudentSettings = field(default_factory=StudentSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    masks: MaskRates = field(default_factory=MaskRates)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    rate_factors: RateFactors = field(default_factory=RateFactors)
    pretrained_by: str = ""
    taught_by: str = ""
    boxes_at: Literal["peak", "target"] = "peak"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.needs_teacher and not self.taught_by:
            raise ValueError("stage 'distil' needs a teacher; name its checkpoint in taught_by")
        if self.stage == "cmae" and self.student.mode != "joint":
            raise ValueError("stage 'cmae' needs student.mode = 'joint'; 'pair' starts without it")
        if self.stage == "distil" and self.student.mode != "joint":
            if self.distillation.beside:
                raise ValueError("distillation.masked_weight needs student.mode = 'joint'")
            if self.distillation.pretrained and self.pretrained_by:
                raise ValueError("pretrained_by needs student.mode = 'joint'; 'pair' starts without it")

    @property
    def masking(self) -> bool:
        """Whether any part of the run masks patches."""
        return self.stage == "cmae" or (self.stage == "distil" and self.distillation.beside > 0)

    @property
    def needs_teacher(self) -> bool:
        """Whether any part of the run listens to a teacher."""
        weights = self.distillation.weights()
        return self.stage == "distil" and bool(weights.features or weights.paths or weights.response)
