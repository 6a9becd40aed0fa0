"""Start values: every encoder filled from one ViT, tables fitted, mistakes named in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transcmd_networks import tiny_student, tiny_teacher, tiny_vit

from training.checkpoints import Checkpoint, CheckpointError
from training.models.head import CenterHead
from training.models.transcmd.initialisation import start_student, start_teacher
from training.models.transcmd.student import TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher
from training.models.vit import Vit
from training.synthetic_weights import layout_of, synthetic_state


def checkpoint(state: dict[str, Tensor]) -> Checkpoint:
    return Checkpoint(Path("source.pt"), state, {})


def tracker_state(width: int, depth: int) -> dict[str, Tensor]:
    """An OSTrack-like tracker: one branch, one head."""
    branch = synthetic_state(layout_of(Vit(tiny_vit(width, depth))))
    head = synthetic_state(layout_of(CenterHead(width, 8)))
    return {f"backbone.{k}": v for k, v in branch.items()} | {f"box_head.{k}": v for k, v in head.items()}


def classifier_state(width: int = 16, depth: int = 3) -> dict[str, Tensor]:
    """An image classifier: one table with a class token, no search table."""
    vit = Vit(replace(tiny_vit(width, depth), unused_tables=True))
    state = synthetic_state(layout_of(vit))
    state["head.weight"] = torch.zeros(10, width)
    return {k: v for k, v in state.items() if k not in ("pos_embed_z", "pos_embed_x")}


def test_teacher_takes_both_encoders_and_the_head_from_a_tracker() -> None:
    teacher, source = TransCmdTeacher(tiny_teacher()), tracker_state(24, 6)
    gate = teacher.gate.weight.clone()
    start_teacher(teacher, checkpoint(source))
    state = teacher.state_dict()
    for key, value in source.items():
        part, rest = key.split(".", 1)
        for name in ("rgb_encoder", "tir_encoder") if part == "backbone" else (part,):
            assert torch.equal(state[f"{name}.{rest}"], value)
    assert torch.equal(teacher.gate.weight, gate)


def test_student_takes_its_encoder_from_a_classifier_and_keeps_its_head() -> None:
    student, source = TransCmdStudent(tiny_student()), classifier_state()
    head = student.box_head.conv1_ctr[0].weight.clone()
    start_student(student, checkpoint(source))
    state = student.state_dict()
    assert torch.equal(state["encoder.blocks.2.mlp.fc1.weight"], source["blocks.2.mlp.fc1.weight"])
    assert state["encoder.pos_embed_x"].std() > 0.1  # the source's table, resized from 14 x 14
    assert torch.equal(student.box_head.conv1_ctr[0].weight, head)


def without_a_block(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if "blocks.2" not in k}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (without_a_block(classifier_state()), "source.pt lacks 12 keys, first encoder.blocks.2.norm1.weight"),
        (classifier_state(depth=4), "12 unexpected: encoder.blocks.3"),
        (classifier_state(width=32), "misshapen: encoder.pos_embed_z is [1, 4, 32], expected [1, 4, 16]"),
        ({"blocks.0.norm1.weight": torch.ones(16)}, "the source has neither pos_embed_z nor pos_embed"),
    ],
    ids=["shallow", "deep", "wide", "no-tables"],
)
def test_a_source_that_does_not_fit_is_named_in_one_line(source: dict[str, Tensor], said: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        start_student(TransCmdStudent(tiny_student()), checkpoint(source))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
