"""CKD ViT-B with the recipe weights, as a bundle, walks the published tracker's own steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import tiny_manifest

from edge_rgbt.bundle import Bundle, load_bundle, map_outputs, raw_pixel_inputs, write_bundle
from edge_rgbt.engine import open_engine
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, Frame, FramePair, Modality

pytestmark = pytest.mark.slow


def _write_vit_b(path: Path, elimination: str, seed: int) -> None:
    """Exports the published architecture; in a function of its own, so that PyTorch's copies are freed."""
    ckd = pytest.importorskip("training.models.ckd", reason="needs the train extra")
    from training.export.deployable import DeployableCkd
    from training.export.onnx_graph import export_onnx
    from training.synthetic_weights import layout_of, synthetic_state

    tracker = ckd.CkdTracker(ckd.CkdConfig.from_dict({"elimination": {"mode": elimination}})).eval()
    tracker.load_state_dict(synthetic_state(layout_of(tracker), seed))
    network = DeployableCkd(tracker).eval()
    del tracker
    model = export_onnx(network).SerializeToString()
    manifest = tiny_manifest(
        name=f"recipe-{elimination}-{seed}",
        template_size=128,
        search_size=256,
        stride=16,
        inputs=raw_pixel_inputs(128, 256),
        outputs=map_outputs(16),
    )
    write_bundle(path, manifest, {"model.onnx": model})


def _pair(frames: dict[str, np.ndarray], t: int) -> FramePair:
    return FramePair(
        Frame(frames["rgb"][t], Modality.RGB, t, t), Frame(frames["tir"][t], Modality.TIR, t, t), aligned=True
    )


def _track(bundle: Bundle, frames: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes xywh of all frames and score maps of all but the first."""
    tracker = Tracker(bundle.manifest, open_engine(bundle))
    boxes = [tracker.start(_pair(frames, 0), Box(*map(float, frames["f64_init_box"]))).box.as_tuple()]
    maps = []
    for t in range(1, len(frames["rgb"])):
        boxes.append(tracker.update(_pair(frames, t)).box.as_tuple())
        maps.append(tracker.score_map)
    tracker.engine.close()
    return np.array(boxes), np.array(maps)


@pytest.mark.parametrize(
    ("elimination", "seed", "pictures", "track"),
    [
        ("none", 0, "track_frames", "track_none"),
        ("mce", 0, "track_frames", "track_mce"),
        ("mce", 1, "track_edge_frames", "track_edge_mce"),
    ],
)
def test_boxes_and_score_maps_are_the_published_ones(
    tmp_path, shared_vectors, elimination, seed, pictures, track
):
    folder = shared_vectors / "ckd"
    with np.load(folder / f"{pictures}.npz") as file:
        frames = dict(file)
    with np.load(folder / f"{track}.npz") as file:
        wanted = dict(file)
    _write_vit_b(tmp_path / "b", elimination, seed)
    boxes, maps = _track(load_bundle(tmp_path / "b"), frames)
    (tmp_path / "b" / "model.onnx").unlink()  # 735 MB; pytest keeps the folders of the last three runs
    # Another OpenCV build may round a grey level differently, which moves boxes by up to 0.1 px.
    np.testing.assert_allclose(boxes, wanted["f64_boxes"], atol=0.1)
    np.testing.assert_allclose(maps, wanted["score_maps"], atol=1e-3)
