"""CKD ViT-B with the recipe weights: exported by the command, it answers and tracks as the published code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ckd_networks import real_crops, vector_crops
from exports import assert_close

from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.engine import open_engine
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, Frame, FramePair, Modality
from training.__main__ import main
from training.checkpoints import load_tracker
from training.export.deployable import INPUT_NAMES
from training.export.parity import compare_engine
from training.models.ckd import CkdConfig, CkdTracker
from training.synthetic_weights import layout_of, synthetic_state

pytestmark = pytest.mark.slow


def write_published_checkpoint(path: Path, seed: int) -> None:
    """What the released training writes: weights under `net`, and what else stands beside them."""
    with torch.device("meta"):
        layout = layout_of(CkdTracker(CkdConfig()))
    net = synthetic_state(layout, seed)
    torch.save({"epoch": 25, "net": net, "net_type": "CKD", "stats": {"loss": [1.0]}}, path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, int], Path]]:
    """Exports a variant once; the folder holds `CKD_ep0025.pth.tar` and `bundle`, 0.7 GB each."""
    made: dict[tuple[str, int], Path] = {}
    checkpoints: dict[int, Path] = {}

    def get(elimination: str, seed: int = 0) -> Path:
        if (elimination, seed) not in made:
            torch.set_num_threads(2)
            if seed not in checkpoints:
                checkpoints[seed] = tmp_path_factory.mktemp("published") / "CKD_ep0025.pth.tar"
                write_published_checkpoint(checkpoints[seed], seed)
            folder = tmp_path_factory.mktemp(f"{elimination}-{seed}")
            (folder / "CKD_ep0025.pth.tar").symlink_to(checkpoints[seed])
            options = ["--checkpoint", str(checkpoints[seed]), "--out", str(folder / "bundle")]
            assert main(["export", "--family", "ckd", *options, "--elimination", elimination]) == 0
            made[elimination, seed] = folder
        return made[elimination, seed]

    yield get
    for large in (*checkpoints.values(), *(folder / "bundle" / "model.onnx" for folder in made.values())):
        large.unlink()  # pytest keeps the folders of the last three runs


@pytest.mark.parametrize("mode", ["none", "ce", "mce"])
def test_the_graph_answers_as_the_vectors_say(mode: str, exported, ckd_vectors: Path) -> None:
    engine = open_engine(load_bundle(exported(mode) / "bundle"))
    expected = np.load(ckd_vectors / f"net_{mode}.npz")
    crops = [c.numpy() for c in vector_crops(np.load(ckd_vectors / "net_inputs.npz"))]
    found = engine.run({n: np.ascontiguousarray(c) for n, c in zip(INPUT_NAMES, crops, strict=True)})
    engine.close()
    np.testing.assert_allclose(found["score"], expected["score_map"], atol=2e-5)
    np.testing.assert_allclose(found["size"], expected["size_map"], atol=1e-5)
    np.testing.assert_allclose(found["offset"], expected["offset_map"], atol=2e-5)


@pytest.mark.parametrize("mode", ["none", "mce"])
def test_the_graph_answers_like_pytorch_on_real_crops(mode: str, exported, shared_data: Path) -> None:
    folder = exported(mode)
    tracker, _ = load_tracker(folder / "CKD_ep0025.pth.tar", mode)
    engine = open_engine(load_bundle(folder / "bundle"))
    assert_close(compare_engine(tracker, engine, real_crops(shared_data, 128, 256, count=1)))
    engine.close()


@pytest.mark.parametrize(
    ("elimination", "seed", "pictures", "track"),
    [
        ("none", 0, "track_frames", "track_none"),
        ("mce", 0, "track_frames", "track_mce"),
        ("mce", 1, "track_edge_frames", "track_edge_mce"),
    ],
)
def test_boxes_and_score_maps_of_a_track_are_the_published_ones(
    exported, ckd_vectors: Path, elimination: str, seed: int, pictures: str, track: str
) -> None:
    with np.load(ckd_vectors / f"{pictures}.npz") as file:
        frames = dict(file)
    with np.load(ckd_vectors / f"{track}.npz") as file:
        wanted = dict(file)
    boxes, maps = track_frames(load_bundle(exported(elimination, seed) / "bundle"), frames)
    # Another OpenCV build may round a grey level differently, which moves boxes by up to 0.1 px.
    np.testing.assert_allclose(boxes, wanted["f64_boxes"], atol=0.1)
    np.testing.assert_allclose(maps, wanted["score_maps"], atol=1e-3)


def track_frames(bundle: Bundle, frames: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes xywh of all frames and score maps of all but the first."""
    tracker = Tracker(bundle.manifest, open_engine(bundle))
    boxes = [tracker.start(pair_at(frames, 0), Box(*map(float, frames["f64_init_box"]))).box.as_tuple()]
    maps = []
    for t in range(1, len(frames["rgb"])):
        boxes.append(tracker.update(pair_at(frames, t)).box.as_tuple())
        maps.append(tracker.score_map)
    tracker.engine.close()
    return np.array(boxes), np.array(maps)


def pair_at(frames: dict[str, np.ndarray], t: int) -> FramePair:
    return FramePair(
        Frame(frames["rgb"][t], Modality.RGB, t, t), Frame(frames["tir"][t], Modality.TIR, t, t), aligned=True
    )
