"""Crops with what image fusion experts made of them, rendered once to disk (tpf.md section 6).

A pool is a folder: `training-00000.npy` and so on hold a fixed number of samples each, `held-out-*.npy` those
that validate, `*.JUDGE.npy` what a judge said of each expert, `pool.json`, written last, what it all is. An
expert's picture is the RGB crop moved to its luminance, so of experts only luminances are stored.
`python -m training render-experts` writes pools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from edge_rgbt.errors import UsageError
from training.data.loader import DividedStream
from training.models.tpf.experts import LUMINANCE

FORMAT = 1
POOL_FILE = "pool.json"
TRAINING, HELD_OUT = "training", "held-out"
COMMAND = "python -m training render-experts"
CROPS = ("template_rgb", "template_tir", "search_rgb", "search_tir")
EXPERTS = ("template_experts", "search_experts")
Merit = Literal["overlap", "confidence", "equal"]
MERITS = ("overlap", "confidence")  # columns of what a judge says


def sample_type(template: int, search: int, experts: int) -> np.dtype:
    """One sample: uint8 crops, luminances of all experts, target xywh as fractions of the search crop."""
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    for name, side in (("template", template), ("search", search)):
        fields.append((f"{name}_rgb", "u1", (side, side, 3)))
        fields.append((f"{name}_tir", "u1", (side, side)))
        fields.append((f"{name}_experts", "u1", (experts, side, side)))
    return np.dtype([*fields, ("target", "<f4", (4,))])


def shard_file(folder: Path, kind: str, number: int, judge: str = "") -> Path:
    """Samples, or what the judge of this name said of them."""
    return folder / f"{kind}-{number:05d}{'.' + judge if judge else ''}.npy"


class ExpertPool:
    """A finished pool, opened for reading.

    experts: names. merits: kind -> float32 `[samples, experts, 2]` (columns MERITS), or None without a judge.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder = folder
        self.experts: tuple[str, ...] = tuple(about["made_of"]["experts"])
        self.shard: int = about["made_of"]["shard"]
        self.counts = {kind: int(about["shards"][kind]) * self.shard for kind in (TRAINING, HELD_OUT)}
        self.judge: str = about["judge"]
        self.merits = {kind: self._merits(kind) for kind in self.counts} if self.judge else None

    def record(self, kind: str, number: int) -> np.void:
        """One sample; its arrays are read when they are used."""
        # Opened anew each time: hundreds of maps held open would exhaust the files a process may have.
        shard = np.load(shard_file(self.folder, kind, number // self.shard), mmap_mode="r")
        return shard[number % self.shard]

    def _merits(self, kind: str) -> np.ndarray:
        count = self.counts[kind] // self.shard
        return np.concatenate([np.load(shard_file(self.folder, kind, n, self.judge)) for n in range(count)])


def open_pool(folder: Path | str) -> ExpertPool:
    """Raises UsageError, one line, where there is no finished pool or a file of it is missing or cut off."""
    folder = Path(folder)
    about = read_about(folder)
    if about is None or "shards" not in about:
        state = "the pool is not finished" if about else "there is no pool of expert pictures"
        raise UsageError(f"{folder}: {state}; run `{COMMAND} --recipe FILE` with this folder as out")
    made = about["made_of"]
    sample = sample_type(made["template_size"], made["search_size"], len(made["experts"]))
    for kind, count in about["shards"].items():
        for number in range(count):
            path = shard_file(folder, kind, number)
            if not is_whole(path, sample, made["shard"]):
                raise UsageError(f"{path} is missing or damaged; remove it and run `{COMMAND}` again")
            if about["judge"] and not shard_file(folder, kind, number, about["judge"]).is_file():
                raise UsageError(f"{path} has not been judged; run `{COMMAND}` again")
    return ExpertPool(folder, about)


def is_whole(path: Path, sample: np.dtype, count: int) -> bool:
    """Whether a shard is there, of this type of sample and with all of them."""
    try:
        shard = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return shard.dtype == sample and shard.shape == (count,)


def read_about(folder: Path) -> dict[str, Any] | None:
    """What `pool.json` says, None where there is none. Raises UsageError if it is not what we wrote."""
    path = folder / POOL_FILE
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        found = about["made_of"]["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: is not the index of a pool; render into another folder") from error
    if found != FORMAT:
        raise UsageError(f"{path}: is of format {found}, this is {FORMAT}; render into another folder")
    return about


class PoolStream(DividedStream):
    """Batch k is a pure function of the seed and k, as those of a `BatchStream`.

    Arrays: the crops, `template_experts` and `search_experts` `[B, K, S, S]`, `merits` `[B, K]`, `target`.
    mirror: share of samples that are flipped. merit: what stands in `merits`; `equal` gives zeros.
    experts: names of those used, all where none is named. Raises UsageError for what the pool does not have.
    """

    def __init__(
        self,
        pool: ExpertPool,
        batch_size: int,
        seed: int,
        *,
        mirror: float = 0.5,
        merit: Merit = "overlap",
        experts: Sequence[str] = (),
    ) -> None:
        unknown = [name for name in experts if name not in pool.experts]
        if unknown:
            raise UsageError(
                f"fusion.experts: {pool.folder} has no {unknown[0]!r}; it has {', '.join(pool.experts)}"
            )
        if merit != "equal" and pool.merits is None:
            raise UsageError(
                f"{pool.folder} was rendered without a judge; name one in its recipe and render again, "
                "or set fusion.merit to 'equal'"
            )
        self.pool, self.batch_size, self.seed = pool, batch_size, seed
        self.mirror, self.merit = mirror, merit
        self.columns = [pool.experts.index(name) for name in experts or pool.experts]
        self.slots = range(batch_size)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        samples = []
        for slot in self.slots:
            rng = np.random.default_rng([self.seed, number, slot])
            chosen = int(rng.integers(self.pool.counts[TRAINING]))
            samples.append(self.sample(TRAINING, chosen, mirrored=rng.random() < self.mirror))
        return _stacked(samples)

    def sample(self, kind: str, number: int, mirrored: bool) -> dict[str, np.ndarray]:
        """One sample of a kind; both its crops are flipped, or none is."""
        record = self.pool.record(kind, number)
        sample = {name: record[name] for name in CROPS}
        sample |= {name: record[name][self.columns] for name in EXPERTS}
        target = np.array(record["target"])
        if mirrored:
            axis = {"rgb": 1, "tir": 1, "experts": 2}
            sample = {name: np.flip(value, axis[name.split("_")[1]]) for name, value in sample.items()}
            target[0] = 1 - (target[0] + target[2])
        merits = np.zeros(len(self.columns), np.float32)
        if self.merit != "equal" and self.pool.merits is not None:
            merits = self.pool.merits[kind][number, self.columns, MERITS.index(self.merit)]
        return {**sample, "merits": merits, "target": target}


class HeldOutBatches:
    """The held-out samples of a stream's pool as they were rendered, read anew for each validation.

    size: samples per batch. first, every: which batches, of those that several processes share.
    """

    def __init__(self, stream: PoolStream, size: int, first: int = 0, every: int = 1) -> None:
        self.stream, self.size, self.first, self.every = stream, size, first, every

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        total = self.stream.pool.counts[HELD_OUT]
        for start in range(self.first * self.size, total, self.every * self.size):
            numbers = range(start, min(start + self.size, total))
            batch = _stacked([self.stream.sample(HELD_OUT, number, mirrored=False) for number in numbers])
            yield {key: torch.from_numpy(value) for key, value in batch.items()}


def _stacked(samples: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def expert_pictures(rgb: Tensor, luminances: Tensor) -> Tensor:
    """What the experts made: `[B, K, 3, H, W]` in 0..1.

    rgb: crops `[B, 3, H, W]` in 0..1, whose colours are kept. luminances: as stored, uint8 `[B, K, H, W]`.
    """
    own = torch.einsum("c,bchw->bhw", torch.from_numpy(LUMINANCE).to(rgb), rgb)
    moved = luminances.float() / 255 - own[:, None]  # [B, K, H, W]
    return (rgb[:, None] + moved[:, :, None]).clamp(0, 1)
