"""A tiny student learns one batch, with and without what distillation adds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transcmd_networks import random_pictures, tiny_student, tiny_teacher

from training.losses.task import gaussian_heatmaps, task_loss
from training.losses.transcmd import DistillationWeights, distillation_losses
from training.models.distillation import DistilledStudent, Projectors
from training.models.head import decode_boxes
from training.models.students import DistillableTransCmd
from training.models.teachers import TransCmdAsTeacher
from training.models.transcmd.student import TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher

TARGET = torch.tensor([[0.3, 0.4, 0.2, 0.3], [0.5, 0.5, 0.3, 0.2]])
HEATMAP = torch.from_numpy(gaussian_heatmaps(TARGET.numpy(), 4))[:, None]


@pytest.mark.parametrize(
    ("mode", "distil"),
    [
        ("joint", True),
        pytest.param("joint", False, marks=pytest.mark.slow),
        pytest.param("pair", True, marks=pytest.mark.slow),
        pytest.param("pair", False, marks=pytest.mark.slow),
    ],
)
def test_a_tiny_student_learns_one_batch(mode: str, distil: bool) -> None:
    torch.manual_seed(0)
    teacher = TransCmdAsTeacher(TransCmdTeacher(tiny_teacher()))
    student = DistillableTransCmd(TransCmdStudent(replace(tiny_student(mode, width=32), head_channels=32)))
    model = DistilledStudent(student, Projectors(student.spec, teacher.spec, features=distil, paths=distil))
    weights = DistillationWeights() if distil else DistillationWeights(features=0.0, paths=0.0)
    pictures = random_pictures()
    view = teacher(*pictures)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    history = []
    for _ in range(25):
        seen = model(*pictures)
        task = task_loss(seen.output.score, decode_boxes(seen.output, HEATMAP), TARGET, HEATMAP)
        losses = distillation_losses(seen, view, model.projectors, TARGET, HEATMAP, weights)
        optimiser.zero_grad()
        (task.total + losses["distillation"]).backward()
        optimiser.step()
        history.append((task.total.item(), losses["distillation"].item()))
    assert history[-1][0] < 0.5 * history[0][0]
    if distil:
        assert history[-1][1] < 0.6 * history[0][1]
