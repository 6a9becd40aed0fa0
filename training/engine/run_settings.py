"""What the recipe file of every training run holds, whatever it trains."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.data.settings import DataSettings
from training.engine.schedules import OptimiserSettings
from training.engine.settings import EngineSettings


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """`out` receives checkpoints, log, pictures and page.

    start_from: weights to begin with; empty starts from nothing. save_every, validate_every: in steps.
    validation_samples: held-out samples of each validation.
    """

    out: str
    seed: int
    data: DataSettings
    optimiser: OptimiserSettings
    engine: EngineSettings = field(default_factory=EngineSettings)
    start_from: str = ""
    save_every: int = 250
    validate_every: int = 250
    validation_samples: int = 256

    def __post_init__(self) -> None:
        for name in ("save_every", "validate_every", "validation_samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1")
