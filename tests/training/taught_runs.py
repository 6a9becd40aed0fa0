"""The smallest runs of TransCMD's stages and of `distill`, for tests of their recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from miniatures import write_sequence
from tiny_runs import DATA_AND_ENGINE

from edge_rgbt import cli
from training.__main__ import main

COMMON = (
    """
out = "{out}"
seed = 1
save_every = 2
validate_every = 4
validation_samples = 4
boxes_at = "target"

[rate_factors]
encoder = 1.0
"""
    + DATA_AND_ENGINE
)

ENCODER = """
{depth_and_width}
heads = 2
patch_size = 8
template_size = 16
search_size = 32
drop_path = 0.0
head_channels = 8
"""

STUDENT = ENCODER.format(depth_and_width="depth = 2\nwidth = 16")
TEACHER = ENCODER.format(depth_and_width="depth = 3\nwidth = 24") + "fusion_layers = 1\n"
CKD_STUDENT = """
[ckd]
head_channels = 8
shared_students = true

[ckd.vit]
embed_dim = 16
depth = 2
heads = 2
patch_size = 8
template_size = 16
search_size = 32
drop_path = 0.0
unused_tables = false
"""

STAGES = {
    "teacher": 'stage = "teacher"\n' + COMMON + "\n[teacher]" + TEACHER,
    "cmae": 'stage = "cmae"\n' + COMMON + "\n[student]" + STUDENT,
    "distil": 'stage = "distil"\ntaught_by = "{teacher}"\n' + COMMON + "\n[student]" + STUDENT,
}
DISTILL = {
    "ckd": 'student = "ckd"\ntaught_by = "{teacher}"\n' + COMMON + CKD_STUDENT,
    "transcmd": 'student = "transcmd"\ntaught_by = "{teacher}"\n' + COMMON + "\n[transcmd]" + STUDENT,
}


def write_text(folder: Path, text: str, pairs: Path, out: str, teacher: Path | str = "") -> Path:
    """A recipe file that trains into `folder / out`."""
    path = folder / f"{out}.toml"
    path.write_text(text.format(out=folder / out, pairs=pairs, teacher=teacher))
    return path


def call(command: str, recipe: Path, *settings: str, resume: bool = False) -> int:
    """The exit status of a training command."""
    extra = ["--resume"] if resume else []
    for setting in settings:
        extra += ["--set", setting]
    return main([command, "--recipe", str(recipe), *extra])


def replayed_boxes(bundle: Path, folder: Path) -> np.ndarray:
    """What `edge-rgbt replay` writes for a miniature sequence tracked by a bundle, `[12, 4]` xywh."""
    sequence = write_sequence(folder / "data", "rgbt234")
    status = cli.main(["replay", str(sequence), "--bundle", str(bundle), "--out", str(folder / "replayed")])
    assert status == 0
    return np.loadtxt(folder / "replayed" / f"{sequence.name}.txt", delimiter=",")
