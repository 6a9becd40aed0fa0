"""What TPF's recipe files hold; `recipes.settings.load_settings` reads and checks them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from training.data.expert_pool import Merit
from training.data.settings import DataSettings
from training.engine.run_settings import RunSettings
from training.losses.tpf import MARGIN, TEMPERATURE
from training.models.tpf.auxiliary import DECODER_DEPTH, DECODER_HEADS, DECODER_WIDTH
from training.models.tpf.experts import OnnxExpertSettings
from training.models.tpf.tracker import TpfConfig
from training.models.vit import VitConfig


@dataclass(frozen=True)
class ModelSettings:
    """Sizes and variant of the network; see `VitConfig` and `TpfConfig`."""

    vit: VitConfig = field(default_factory=VitConfig)
    adapter: Literal["full", "s2", "tied", "add"] = "full"
    head_channels: int = 256
    dynamic_interval: int = 50
    dynamic_threshold: float = 0.65

    def config(self) -> TpfConfig:
        return TpfConfig(
            replace(self.vit, unused_tables=False),
            self.adapter,
            self.head_channels,
            dynamic_interval=self.dynamic_interval,
            dynamic_threshold=self.dynamic_threshold,
        )


@dataclass(frozen=True)
class FusionSettings:
    """Stage one: the adapter imitates the experts of a pool that `python -m training render-experts` wrote.

    merit: what weighs an expert, the judge's overlap with the true box, its confidence, or nothing (`equal`).
    temperature: 0.1 makes a lead of 0.1 a factor of e. experts: names of those used; none means all.
    mirror: share of samples that are flipped.
    """

    pool: str = ""
    merit: Merit = "overlap"
    temperature: float = TEMPERATURE
    experts: tuple[str, ...] = ()
    mirror: float = 0.5

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; it must be above 0")
        if not 0 <= self.mirror <= 1:
            raise ValueError(f"mirror is {self.mirror}, expected 0 to 1")


@dataclass(frozen=True)
class AuxiliarySettings:
    """Stage two: two branches learn what the tracker does not need.

    weight: of both losses against the task, 0 trains without the branches. repulsion, reconstruction: of one
    against the other. margin: cosine from which features are pushed apart. decoder_*: sizes of the decoders.
    """

    weight: float = 1.0
    repulsion: float = 1.0
    reconstruction: float = 1.0
    margin: float = MARGIN
    decoder_width: int = DECODER_WIDTH
    decoder_depth: int = DECODER_DEPTH
    decoder_heads: int = DECODER_HEADS

    def __post_init__(self) -> None:
        for name in ("weight", "repulsion", "reconstruction"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; 0 or more")
        if self.weight and not self.repulsion + self.reconstruction:
            raise ValueError("repulsion and reconstruction are both 0; set weight to 0 instead")


@dataclass(frozen=True)
class RateFactors:
    """Factors on the learning rate by part of the network; published in stage two: 0.1, 0.1, 1, 1."""

    adapter: float = 1.0
    backbone: float = 1.0
    head: float = 1.0
    auxiliary: float = 1.0

    def by_name(self) -> dict[str, float]:
        """Part of a parameter's name -> factor; the branches' names come first, they have encoders too."""
        return {
            "aux_": self.auxiliary,
            "adapter.": self.adapter,
            "backbone.": self.backbone,
            "box_head.": self.head,
        }


@dataclass(frozen=True, kw_only=True)
class Recipe(RunSettings):
    """One training run of one stage: `fusion` trains the adapter alone, `tracker` everything.

    start_from: a finished run of either stage, or a published OSTrack, DropTrack, MAE or DropMAE for the
    tracker part; empty starts from nothing. Stage one only carries the tracker along, for stage two.
    Stage one validates on all that its pool holds out, whatever `validation_samples` says.
    """

    stage: Literal["fusion", "tracker"]
    model: ModelSettings = field(default_factory=ModelSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    auxiliary: AuxiliarySettings = field(default_factory=AuxiliarySettings)
    rate_factors: RateFactors = field(default_factory=RateFactors)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.model.config()  # its own checks
        if self.stage == "fusion" and not self.fusion.pool:
            raise ValueError("stage 'fusion' learns from experts; name their folder in fusion.pool")
        if self.stage == "fusion" and self.model.adapter == "add":
            raise ValueError("adapter 'add' has nothing to learn; leave stage 'fusion' out")

    @property
    def has_branches(self) -> bool:
        """Whether the auxiliary branches are trained."""
        return self.stage == "tracker" and self.auxiliary.weight > 0


@dataclass(frozen=True, kw_only=True)
class PoolRecipe:
    """What `python -m training render-experts` renders: crops of `data` and what experts make of them.

    experts: networks from files; none takes the built-in set, which needs no weights of others.
    judge: the tracker that weighs them, an OSTrack-256 or DropTrack checkpoint or a TPF run of ours; empty
    renders without one. samples, held_out_samples: rounded up to whole shards.
    """

    out: str
    seed: int
    data: DataSettings
    experts: tuple[OnnxExpertSettings, ...] = ()
    judge: str = ""
    template_size: int = 128
    search_size: int = 256
    samples: int = 20_000
    held_out_samples: int = 512
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        for name in ("template_size", "search_size", "samples", "held_out_samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1")
        names = [expert.name for expert in self.experts]
        if len(set(names)) < len(names):
            raise ValueError(f"experts have equal names: {', '.join(names)}")
