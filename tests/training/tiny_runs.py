"""The smallest CKD run that has everything in it, for tests of the recipe and of the engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

# What the smallest runs of all recipes have in common.
DATA_AND_ENGINE = """
[data]
pairs = ["{pairs}"]
held_out = 4
workers = 0

[optimiser]
steps = 4
batch = 4
learning_rate = 2e-3
warmup = 2

[engine]
device = "cpu"
precision = "float32"
log_every = 1
pictures = 0
tensorboard = false
page = false
"""

RECIPE = (
    """
out = "{out}"
seed = 1
save_every = 2
validate_every = 4
validation_samples = 4

[model]
head_channels = 8
shared_students = true

[model.vit]
embed_dim = 16
depth = 2
heads = 2
patch_size = 8
template_size = 16
search_size = 32
drop_path = 0.0
unused_tables = false

[distillation]
start = 2
"""
    + DATA_AND_ENGINE
)


def make_pairs(folder: Path) -> Path:
    """Eight pairs of smooth noise."""
    rng = np.random.default_rng(0)
    for kind in ("visible", "infrared"):
        (folder / kind).mkdir()
        for i in range(8):
            coarse = rng.integers(0, 255, (8, 10, 3), np.uint8)
            image = cv2.resize(coarse, (200, 160), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / kind / f"{i}.png"), image)
    return folder


def write_recipe(folder: Path, pairs: Path, out: str = "run") -> Path:
    """A recipe file that trains into `folder / out`."""
    path = folder / f"{out}.toml"
    path.write_text(RECIPE.format(out=folder / out, pairs=pairs))
    return path


def log_of(folder: Path) -> list[dict[str, Any]]:
    """All lines of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def losses_of(folder: Path) -> dict[int, float]:
    """The total loss by step."""
    return {entry["step"]: entry["total"] for entry in log_of(folder) if "total" in entry}


def full_state(path: Path) -> dict[str, Any]:
    """Everything that a checkpoint holds, in a flat dictionary."""

    def flatten(value: Any, key: str) -> dict[str, Any]:
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, (list, tuple)):
            items = list(enumerate(value))
        else:
            return {key: value}
        return {k: v for name, item in items for k, v in flatten(item, f"{key}.{name}").items()}

    state = torch.load(path, weights_only=True)
    return flatten({k: v for k, v in state.items() if k not in ("machine", "recipe")}, "state")


def assert_equal_states(a: Path, b: Path) -> None:
    """Bit for bit: weights, average, optimiser, random states, step and best score."""
    one, other = full_state(a), full_state(b)
    assert one.keys() == other.keys()
    for key, value in one.items():
        same = torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        assert same, key


def stop_in_step(number: int, run: Callable[[], int]) -> int:
    """Interrupts a run in the backward pass of its `number`-th step; returns its exit status."""
    backward, calls = torch.Tensor.backward, [0]

    def interrupting(self, *args, **kwargs):
        calls[0] += 1
        if calls[0] == number:
            raise KeyboardInterrupt
        return backward(self, *args, **kwargs)

    torch.Tensor.backward = interrupting
    try:
        return run()
    finally:
        torch.Tensor.backward = backward
