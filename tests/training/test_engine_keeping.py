"""What follows a step and what judges it: checkpoints of the best, held-out batches, scores of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.data.loader import Batch
from training.data.samples import TrackingSample
from training.data.settings import DataSettings
from training.data.sources import OpenedSources
from training.engine import validation
from training.engine.keeper import Keeper
from training.engine.pictures import CELL
from training.engine.processes import Team
from training.engine.run_log import read_log
from training.engine.run_settings import RunSettings
from training.engine.schedules import OptimiserSettings
from training.engine.settings import EngineSettings
from training.engine.stepping import MovingAverage, Stepper
from training.engine.validation import Seen, judge_boxes, validation_batches

CPU = torch.device("cpu")
ALONE = Team(0, 1, CPU)
STEPS = 4


def make_settings(out: Path, average: float = 0.0, pictures: int = 0, **options) -> RunSettings:
    return RunSettings(
        out=str(out),
        seed=1,
        data=DataSettings(workers=0),
        optimiser=OptimiserSettings(steps=STEPS, batch=2, average=average),
        engine=EngineSettings(
            device="cpu", precision="float32", log_every=1, pictures=pictures, tensorboard=False, page=False
        ),
        **options,
    )


def keep(
    settings: RunSettings, scores: Sequence[float] = (), better: str = "iou", best: float = -1.0
) -> Keeper:
    """Keeps a run whose weight after step k is k; `scores` are what its validations come to."""
    stepper = Stepper(nn.Linear(1, 1, bias=False), ALONE, settings.engine)
    optimiser = torch.optim.SGD(stepper.model.parameters(), lr=0.1)
    left = list(scores)
    keeper = Keeper(
        settings,
        ALONE,
        MovingAverage(nn.Linear(1, 1, bias=False), settings.optimiser.average),
        lambda _: ({"iou": 0.5, better: left.pop(0) if left else 0.5}, None),
        family="ckd",
        config={},
        best=best,
        better=better,
    )
    for step in range(1, STEPS + 1):
        nn.init.constant_(stepper.model.weight, step)
        keeper.after(step, stepper, optimiser, {"total": torch.tensor(1.0)}, torch.tensor(1.0))
    keeper.finish()
    return keeper


def step_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["step"]


@pytest.mark.parametrize("better", ["iou", "sharpness"])
def test_the_best_checkpoint_is_written_between_saves_by_the_score_that_counts(tmp_path, better):
    keep(make_settings(tmp_path, save_every=STEPS, validate_every=1), [0.2, 0.9, 0.3, 0.4], better)
    assert (step_of(tmp_path / "best.pt"), step_of(tmp_path / "last.pt")) == (2, STEPS)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["best"] == 0.9


def test_what_a_resumed_run_had_stays_the_best(tmp_path):
    keep(make_settings(tmp_path, save_every=1, validate_every=1), [0.5] * STEPS, best=0.8)
    assert not (tmp_path / "best.pt").exists()


def test_the_last_step_is_validated_and_saved_whatever_the_intervals(tmp_path):
    keep(make_settings(tmp_path, save_every=100, validate_every=100))
    assert step_of(tmp_path / "last.pt") == STEPS
    assert [entry["step"] for entry in read_log(tmp_path) if "validation" in entry] == [STEPS]


@pytest.mark.parametrize(("decay", "weight"), [(0.0, 4.0), (0.999, 3.5)])
def test_the_weights_that_are_kept_are_the_average(tmp_path, decay, weight):
    keeper = keep(make_settings(tmp_path, decay, save_every=100, validate_every=100))
    kept = torch.load(tmp_path / "last.pt", weights_only=True)
    assert kept["net"]["weight"].item() == keeper.average.module.weight.item()
    assert kept["net"]["weight"].item() == pytest.approx(weight, abs=0.02)
    assert kept["model"]["weight"].item() == STEPS


class Noise:
    """Samples of noise whose target fills the middle of the search crop."""

    def draw(self, rng: np.random.Generator) -> TrackingSample:
        rgb, tir = rng.integers(0, 255, (16, 16, 3), np.uint8), rng.integers(0, 255, (16, 16), np.uint8)
        middle = np.array([0.25, 0.25, 0.5, 0.5], np.float32)
        return TrackingSample(rgb, tir, rgb, tir, middle, (0.5, 0.5))


HELD_OUT = OpenedSources([], [(Noise(), 1.0)])


def numbers_of(batches) -> list[np.ndarray]:
    return [batch["search_rgb"].numpy() for batch in batches]


@pytest.mark.parametrize("in_memory", [True, False])
def test_processes_share_the_held_out_batches_that_one_would_see(tmp_path, monkeypatch, in_memory):
    settings = make_settings(tmp_path, validation_samples=2 * validation.VALIDATION_BATCH + 1)
    alone = numbers_of(validation_batches(HELD_OUT, settings, ALONE))
    if not in_memory:
        monkeypatch.setattr(validation, "VALIDATION_IN_MEMORY", 0)
    shares = [numbers_of(validation_batches(HELD_OUT, settings, Team(rank, 2, CPU))) for rank in (0, 1)]
    assert len(alone) == 3
    assert sorted(b.tobytes() for b in alone) == sorted(b.tobytes() for share in shares for b in share)


def judge(settings: RunSettings, width: float, features: Tensor | None = None, shift: float = 0.0):
    """Scores of boxes in the right place: in half of the samples of the right size, else `width` times it."""

    def track(batch: Batch) -> Seen:
        scale = torch.where(torch.arange(len(batch.target)) % 2 == 0, 1.0, width)[:, None]
        boxes = torch.cat((batch.target[:, :2] + batch.target[:, 2:] / 2, batch.target[:, 2:] * scale), 1)
        return Seen(boxes) if features is None else Seen(boxes, features, features + shift)

    stepper = Stepper(nn.Linear(1, 1), ALONE, settings.engine)
    return judge_boxes(track, validation_batches(HELD_OUT, settings, ALONE), stepper, settings)


def test_boxes_are_scored_by_their_overlap(tmp_path):
    scores, picture = judge(make_settings(tmp_path, validation_samples=8), width=0.5)
    assert scores == {"iou": pytest.approx((1 + 0.25) / 2), "above_half": 0.5}
    assert picture is None


def test_features_of_both_modalities_give_their_gap(tmp_path):
    settings = make_settings(tmp_path, validation_samples=8)
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    gaps = [judge(settings, 1.0, features, shift)[0]["modality_gap"] for shift in (0.0, 5.0)]
    assert gaps[0] == pytest.approx(0, abs=1e-9)
    assert gaps[1] > 0.5


def test_the_first_crops_are_drawn_where_pictures_are_asked_for(tmp_path):
    _, picture = judge(make_settings(tmp_path, pictures=3, validation_samples=8), width=1.0)
    assert picture is not None
    assert picture.shape[0] // CELL == 3
    assert picture.shape[1] // CELL == 2
