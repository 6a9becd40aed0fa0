"""Networks for the training tests: a tiny one, and the published ViT-B with weights made by recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ckd_networks import tiny_config
from tiny_runs import make_pairs
from tpf_runs import render, save_judge

from training.models.ckd import CkdTracker
from training.synthetic_weights import layout_of, synthetic_state


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks gain nothing from threads, and other tests may run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, pairs: Path) -> Path:
    """Judged, of the built-in experts: 12 samples and 12 held out."""
    folder = tmp_path_factory.mktemp("pool")
    status, out = render(folder, pairs, f"judge={save_judge(folder / 'judge.pt')}")
    assert status == 0
    return out


@pytest.fixture(scope="session")
def ckd_vectors(shared_vectors: Path) -> Path:
    return shared_vectors / "ckd"


@pytest.fixture
def make_tiny() -> Callable[..., CkdTracker]:
    """A tiny tracker with recipe weights, in evaluation mode."""

    def make(mode: str = "none", shared: bool = False, stem: str = "conv", seed: int = 0) -> CkdTracker:
        tracker = CkdTracker(tiny_config(mode, shared, stem))
        tracker.load_state_dict(synthetic_state(layout_of(tracker), seed))
        return tracker.eval()

    return make


@pytest.fixture(scope="session")
def vitb_state(ckd_vectors: Path) -> dict[str, torch.Tensor]:
    """All 878 entries of a published training checkpoint, seed 0: 1.5 GB. Do not change them in place."""
    entries = json.loads((ckd_vectors / "keys" / "ckd_train.json").read_text())["entries"]
    return synthetic_state({key: shape for key, shape, _ in entries})
