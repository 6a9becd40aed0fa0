"""The processes of one run: a single one, or as many as `torchrun` started, on CPUs or GPUs."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from edge_rgbt.errors import UsageError


@dataclass(frozen=True)
class Team:
    """This process among those of the run. rank 0 leads: it alone writes files and speaks."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes of a small tensor, on the CPU; every process must call it."""
        value = value.detach().to("cpu", torch.float64, copy=True)
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """The mean over all processes of scalars by name; every process must call it."""
        stacked = torch.stack([value.detach().double().cpu() for value in values.values()])
        return dict(zip(values, (self.total(stacked) / self.size).tolist(), strict=True))

    def gather(self, value: Any) -> list[Any]:
        """A plain object of every process, by rank; every process must call it."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        """Until every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def open_team(device: str = "auto") -> Iterator[Team]:
    """The team of this run. Several runs in a row, as in a batch of ablations, share one process group.

    device: auto, cpu or cuda. Under torchrun each process takes one GPU, or one part of the CPU. With several
    machines the run's folder must lie on a disk that all of them see.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", 0)))
    if size == 1:
        yield Team(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():
        # gloo stands beside nccl: small numbers are summed on the CPU without waiting for the GPU
        dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
        atexit.register(_part)
    yield Team(rank, size, chosen)
    dist.barrier()  # nobody leaves while another still talks to it


def _part() -> None:
    """Ends the process group. What still refers to it goes first, or its threads outlive it and abort."""
    gc.collect()
    dist.destroy_process_group()


def leads_run() -> bool:
    """Whether this process leads, also where no team is open."""
    return int(os.environ.get("RANK", 0)) == 0


def choose_device(asked: str, local_rank: int = 0) -> torch.device:
    """The device of one process. Raises UsageError if CUDA was asked for and is not there."""
    present = torch.cuda.is_available()
    if asked == "cpu" or (asked == "auto" and not present):
        return torch.device("cpu")
    if not present:
        raise UsageError("engine.device is 'cuda' but PyTorch sees no CUDA device here; use 'auto' or 'cpu'")
    if local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"process {local_rank} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}; start fewer with --nproc-per-node"
        )
    return torch.device("cuda", local_rank)


def choose_precision(asked: str, device: torch.device) -> torch.dtype:
    """The type autocast computes in; float32 means no autocast. Raises UsageError for fp16 on a CPU."""
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if asked == "float16" and device.type == "cpu":
        raise UsageError("engine.precision 'float16' needs a GPU; on a CPU take 'bfloat16' or 'float32'")
    if asked != "auto":
        return named[asked]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32


def _cpu_has_bfloat16() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    if not capability.startswith("AVX512"):
        return False
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
