"""What the `[engine]` table of a recipe holds: where and how a run computes, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class EngineSettings:
    """None of this changes what is trained, only where, how fast and with what rounding.

    device: `auto` takes a CUDA device if there is one. precision: of autocast; `auto` is bfloat16 where the
    processor has it, else float32. compile: `torch.compile` the forward and backward pass.
    micro_batch: samples that one process computes at once; 0 for its whole share of the batch. A smaller
    number accumulates gradients, and BatchNorm then sees that many samples.
    batch_norm: statistics of what one process computes at once (`each`, as published), or of the whole batch
    (`together`), which makes a run independent of the number of processes.
    shard: spread weights, gradients and optimiser state over the processes (FSDP) instead of copies (DDP);
    attention and perceptron of each block are then gathered when they compute.
    log_every: steps between lines of the log. keep_last: checkpoints kept, besides the best.
    pictures: crops with boxes drawn at each validation; 0 for none. tensorboard: write scalars and pictures.
    page: write `index.html` at the end.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: bool = False
    micro_batch: int = 0
    batch_norm: Literal["each", "together"] = "each"
    shard: bool = False
    log_every: int = 50
    keep_last: int = 2
    pictures: int = 6
    tensorboard: bool = True
    page: bool = True

    def __post_init__(self) -> None:
        for name, least in (("micro_batch", 0), ("log_every", 1), ("keep_last", 1), ("pictures", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; at least {least}")
        if self.batch_norm == "together" and self.micro_batch:
            raise ValueError("batch_norm 'together' needs the whole batch at once; set micro_batch to 0")
