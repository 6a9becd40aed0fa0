"""Renders what image fusion experts make of a fixed pool of crops, once, for TPF's first stage.

    python -m training render-experts --recipe training/recipes/tpf_experts_lasher.toml

What is there already is kept, so a stopped rendering goes on, and a new judge renders nothing anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from edge_rgbt.errors import UsageError
from edge_rgbt.files import atomic_path, write_json_atomic
from training.data.expert_pool import (
    EXPERTS,
    FORMAT,
    HELD_OUT,
    POOL_FILE,
    TRAINING,
    expert_pictures,
    read_about,
    sample_type,
    shard_file,
)
from training.data.loader import BatchLoader, BatchStream, to_batch
from training.data.samples import CropSizes
from training.data.sources import OpenedSources, open_sources, validation_stream
from training.engine.processes import choose_device
from training.engine.run_state import differing_values
from training.losses.task import corners_from_cxcywh, corners_from_xywh, overlap_terms
from training.models.head import decode_boxes
from training.models.tpf.experts import Expert, OnnxExpert, luminance, synthetic_experts
from training.models.tpf.judge import Judge, load_judge
from training.models.tpf.tracker import normalise_unit
from training.recipes.settings import load_settings
from training.recipes.tpf_settings import PoolRecipe

SHARD_SAMPLES = 64
JUDGE_BATCH = 32
JUDGE_DIGITS = 12  # of its checkpoint's SHA-256, which is the judge's name
HELD_OUT_SEED = 1_000_003


def run(recipe_file: str, overrides: Sequence[str]) -> int:
    """Renders what is not there yet. Returns the exit status."""
    render(load_settings(PoolRecipe, recipe_file, overrides))
    return 0


def render(recipe: PoolRecipe) -> None:
    """Raises UsageError where the folder holds pictures of other experts, data or sizes."""
    out, shard = Path(recipe.out), min(SHARD_SAMPLES, recipe.samples)
    names = [expert.name for expert in open_experts(recipe)]  # files are checked before anything is written
    made_of = {**describe(recipe), "experts": names, "shard": shard}
    require_same(out, made_of)
    judge = load_judge(recipe.judge, recipe.template_size, recipe.search_size) if recipe.judge else None
    judge_name = file_hash(recipe.judge)[:JUDGE_DIGITS] if judge else ""
    sizes = CropSizes(recipe.template_size, recipe.search_size, size_jitter=recipe.data.search_size_jitter)
    opened = open_sources(recipe.data, sizes)
    write_json_atomic(out / POOL_FILE, {"made_of": made_of})
    cv2.setNumThreads(1)
    plans = (
        (TRAINING, opened.training, recipe.samples, recipe.seed),
        (HELD_OUT, opened.held_out, recipe.held_out_samples, recipe.seed + HELD_OUT_SEED),
    )
    shards = {kind: math.ceil(samples / shard) for kind, _, samples, _ in plans}
    for kind, sources, _, seed in plans:
        # As for validation: brightness and mirrors belong to training, the pool to both.
        stream = validation_stream(OpenedSources([], sources), recipe.data, shard, seed)
        render_shards(Rendering(stream, recipe, out, kind), shards[kind])
        if judge:
            judge_shards(judge.to(choose_device(recipe.device)), out, kind, shards[kind], judge_name)
    write_json_atomic(out / POOL_FILE, {"made_of": made_of, "shards": shards, "judge": judge_name})
    judged = f"judged by {recipe.judge}" if judge else "without a judge"
    total = shards[TRAINING] * shard
    print(f"{out}: {total} samples and {shards[HELD_OUT] * shard} held out, {', '.join(names)}, {judged}")


def open_experts(recipe: PoolRecipe) -> tuple[Expert, ...]:
    """Those of the recipe, or the built-in set."""
    return tuple(OnnxExpert(settings) for settings in recipe.experts) or synthetic_experts()


def describe(recipe: PoolRecipe) -> dict[str, Any]:
    """All that rendered pictures depend on besides the experts' names, as JSON gives it back."""
    data = dataclasses.asdict(recipe.data)
    del data["workers"]
    files = {
        expert.name: {"sha256": file_hash(expert.file), "signed": expert.signed, "stretch": expert.stretch}
        for expert in recipe.experts
    }
    sizes = {"template_size": recipe.template_size, "search_size": recipe.search_size}
    about = {"format": FORMAT, "seed": recipe.seed, **sizes, "files": files, "data": data}
    return json.loads(json.dumps(about))


def require_same(out: Path, made_of: dict[str, Any]) -> None:
    """Raises UsageError naming the first thing that a pool which is already there was made of otherwise."""
    about = read_about(out)
    different = differing_values(about["made_of"], made_of) if about else []
    if different:
        key, found, wanted = different[0]
        raise UsageError(
            f"{out}: holds pictures of other settings: {key} is {found!r}, the recipe says {wanted!r}; "
            "choose another out or remove the folder"
        )


def file_hash(path: str) -> str:
    """SHA-256 of a file that was opened before."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Rendering(Dataset):
    """Item k renders and writes shard k, in the process that asks for it, and is k."""

    def __init__(self, stream: BatchStream, recipe: PoolRecipe, out: Path, kind: str) -> None:
        self.stream, self.recipe, self.out, self.kind = stream, recipe, out, kind
        self.experts: tuple[Expert, ...] = ()

    def __getitem__(self, number: int) -> int:
        # Opened here and not before: sessions of ONNX Runtime do not survive the fork of workers.
        self.experts = self.experts or open_experts(self.recipe)
        arrays = self.stream[number]
        count = len(arrays["target"])
        kind = sample_type(self.recipe.template_size, self.recipe.search_size, len(self.experts))
        shard = np.zeros(count, kind)
        for name in kind.names or ():
            if name not in EXPERTS:
                shard[name] = arrays[name]
        for i in range(count):
            for part in ("template", "search"):
                rgb, tir = shard[f"{part}_rgb"][i], shard[f"{part}_tir"][i]
                shard[f"{part}_experts"][i] = fused_luminances(rgb, tir, self.experts)
        with atomic_path(shard_file(self.out, self.kind, number)) as file, file.open("wb") as part:
            np.save(part, shard)
        return number


def fused_luminances(rgb: np.ndarray, tir: np.ndarray, experts: Sequence[Expert]) -> np.ndarray:
    """uint8 `[K, H, W]` from crops `[H, W, 3]` and `[H, W]`."""
    visible, thermal = luminance(rgb), tir.astype(np.float32) / 255
    merged = np.stack([expert.merge(visible, thermal) for expert in experts])
    return (merged.clip(0, 1) * 255).round().astype(np.uint8)


def render_shards(rendering: Rendering, count: int) -> None:
    """Those that are not there, by as many workers as the recipe gives."""
    todo = [n for n in range(count) if not shard_file(rendering.out, rendering.kind, n).is_file()]
    size, workers = rendering.stream.batch_size, rendering.recipe.data.workers
    loader = BatchLoader(rendering, batch_size=None, sampler=todo, num_workers=workers)
    title = f"{rendering.out.name} {rendering.kind}"
    with tqdm(total=count * size, initial=(count - len(todo)) * size, unit=" samples", desc=title) as bar:
        for _ in loader:
            bar.update(size)


def judge_shards(judge: Judge, out: Path, kind: str, count: int, name: str) -> None:
    """What the judge says of each expert, for the shards it has not seen."""
    todo = [n for n in range(count) if not shard_file(out, kind, n, name).is_file()]
    for number in tqdm(todo, desc=f"{out.name} {kind}, judged", unit=" shards"):
        merits = judged(judge, np.load(shard_file(out, kind, number)))
        with atomic_path(shard_file(out, kind, number, name)) as file, file.open("wb") as part:
            np.save(part, merits)


@torch.no_grad()
def judged(judge: nn.Module, shard: np.ndarray) -> np.ndarray:
    """float32 `[samples, K, 2]`: overlap of the judge's box with the true one, and the peak of its score."""
    device = next(judge.parameters()).device
    merits = []
    for start in range(0, len(shard), JUDGE_BATCH):
        rows = shard[start : start + JUDGE_BATCH]
        arrays = {name: torch.from_numpy(rows[name].copy()).to(device) for name in shard.dtype.names or ()}
        batch = to_batch(arrays)
        templates = expert_pictures(batch.template_rgb / 255, arrays["template_experts"])  # [B, K, 3, S, S]
        searches = expert_pictures(batch.search_rgb / 255, arrays["search_experts"])
        truth = corners_from_xywh(batch.target)
        columns = []
        for k in range(templates.shape[1]):
            head = judge(normalise_unit(templates[:, k]), normalise_unit(searches[:, k]))
            overlap = overlap_terms(corners_from_cxcywh(decode_boxes(head)), truth)[0]
            columns.append(torch.stack((overlap, head.score.amax(dim=(1, 2, 3))), dim=1))
        merits.append(torch.stack(columns, dim=1).cpu())  # [B, K, 2]
    return torch.cat(merits).float().numpy()
