"""Student and teacher: their sizes, the two modes, and that nothing leaks between modalities in `pair`."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from transcmd_networks import random_pictures, tiny_student, tiny_teacher

from training.export.costs import measure_cost
from training.models.transcmd.masked import MaskDecoder
from training.models.transcmd.student import TINY_VIT, TransCmdConfig, TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher, TransCmdTeacherConfig, small_teacher


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def on_meta(kind, config=None):
    with torch.device("meta"):
        return kind(config) if config is not None else kind()


@pytest.mark.parametrize("mode", ["joint", "pair"])
def test_student_has_exactly_the_parameters_of_the_design(mode: str) -> None:
    student = on_meta(TransCmdStudent, TransCmdConfig(mode=mode))
    assert count(student) == 6_504_325
    assert count(student.box_head) == 956_101
    assert count(student.encoder.blocks) == 12 * 444_864


@pytest.mark.parametrize(("mode", "giga"), [("joint", 5.62), ("pair", 4.68)])
def test_student_costs_what_the_design_says(mode: str, giga: float) -> None:
    cost = measure_cost(on_meta(TransCmdStudent, TransCmdConfig(mode=mode)))
    assert cost.macs / 1e9 == pytest.approx(giga, abs=0.005)


def test_teacher_parts_have_the_parameters_of_the_design() -> None:
    teacher = on_meta(TransCmdTeacher)
    assert count(teacher.rgb_encoder) + count(teacher.tir_encoder) == 171_784_704
    assert count(teacher.fusion) == 28_357_632
    assert count(teacher.gate) == 1_180_416
    assert count(teacher.box_head) == 6_474_117
    assert count(teacher) == 207_796_869


def test_small_teacher_has_the_parameters_of_the_design() -> None:
    assert round(count(on_meta(TransCmdTeacher, small_teacher())) / 1e6, 2) == 54.64


def test_mask_decoder_is_about_as_large_as_the_design_says() -> None:
    assert round(count(on_meta(MaskDecoder, TINY_VIT)) / 1e6, 2) == 1.08


def test_both_modes_load_one_state_dict_and_answer_differently() -> None:
    torch.manual_seed(0)
    joint, pair = TransCmdStudent(tiny_student("joint")).eval(), TransCmdStudent(tiny_student("pair")).eval()
    pair.load_state_dict(joint.state_dict())
    templates, searches = random_pictures()
    with torch.no_grad():
        a, b = joint.features(templates, searches), pair.features(templates, searches)
    assert a.output.score.shape == b.output.score.shape == (2, 1, 4, 4)
    assert not torch.allclose(a.fused, b.fused, atol=1e-3)


def test_pair_equals_joint_with_a_mask_between_modalities(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    joint, pair = TransCmdStudent(tiny_student("joint")).eval(), TransCmdStudent(tiny_student("pair")).eval()
    pair.load_state_dict(joint.state_dict())
    templates, searches = random_pictures()
    with torch.no_grad():
        wanted = pair.features(templates, searches)
        modality = torch.tensor([0] * 4 + [1] * 4 + [0] * 16 + [1] * 16)  # z_rgb, z_tir, x_rgb, x_tir
        same = modality[:, None] == modality[None]
        masked = functools.partial(F.scaled_dot_product_attention, attn_mask=same)
        monkeypatch.setattr(F, "scaled_dot_product_attention", masked)
        found = joint.features(templates, searches)
    for a, b in zip(
        (*found.rgb, *found.tir, found.fused), (*wanted.rgb, *wanted.tir, wanted.fused), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_modalities_meet_in_joint_only() -> None:
    torch.manual_seed(0)
    templates, searches = random_pictures()
    other_searches = (searches[0], searches[1].flip(-1))
    for mode in ("joint", "pair"):
        student = TransCmdStudent(tiny_student(mode)).eval()
        with torch.no_grad():
            a, b = (student.features(templates, x).rgb[-1] for x in (searches, other_searches))
        assert torch.equal(a, b) == (mode == "pair")


@pytest.mark.parametrize("mode", ["joint", "pair"])
def test_modality_codes_tell_the_sensors_apart(mode: str) -> None:
    torch.manual_seed(0)
    student = TransCmdStudent(tiny_student(mode)).eval()
    templates, searches = random_pictures()
    alike = (templates[0], templates[0]), (searches[0], searches[0])
    with torch.no_grad():
        seen = student.features(*alike)
        assert not torch.allclose(seen.rgb[0], seen.tir[0], atol=1e-4)
        student.modality_codes.zero_()
        seen = student.features(*alike)
    torch.testing.assert_close(seen.rgb[-1], seen.tir[-1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["joint", "pair"])
@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_training_pass_gives_the_deployed_maps(mode: str, stem: str) -> None:
    torch.manual_seed(0)
    student = TransCmdStudent(tiny_student(mode, stem)).eval()
    templates, searches = random_pictures()
    with torch.no_grad():
        for a, b in zip(
            student.features(templates, searches).output, student(*templates, *searches), strict=True
        ):
            assert torch.equal(a, b)


@pytest.mark.parametrize("config", [tiny_student("pair", "conv"), tiny_teacher()], ids=["student", "teacher"])
def test_configuration_survives_its_dictionary(config) -> None:
    assert type(config).from_dict(config.to_dict()) == config


def test_left_out_sizes_are_the_published_ones() -> None:
    assert TransCmdConfig.from_dict({"vit": {"depth": 6}}).vit.embed_dim == 192
    assert TransCmdTeacherConfig.from_dict({"vit": {"depth": 6}}).vit.embed_dim == 768


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'both', expected 'joint' or 'pair'"):
        TransCmdConfig(mode="both")  # type: ignore[arg-type]


def test_teacher_fuses_both_directions_and_gates_between_its_paths() -> None:
    torch.manual_seed(0)
    teacher = TransCmdTeacher(tiny_teacher()).eval()
    templates, searches = random_pictures()
    with torch.no_grad():
        out = teacher(templates, searches)
        moved = teacher(templates, (searches[0], searches[1].flip(-1)))
    assert [layer.shape for layer in out.rgb] == [(2, 16, 24)] * 6
    assert torch.equal(out.rgb[-1], moved.rgb[-1])  # the encoders see one modality each
    assert not torch.allclose(out.paths["rgb"], moved.paths["rgb"], atol=1e-4)
    low = torch.minimum(out.paths["rgb"], out.paths["tir"])
    high = torch.maximum(out.paths["rgb"], out.paths["tir"])
    assert ((out.paths["fused"] >= low - 1e-6) & (out.paths["fused"] <= high + 1e-6)).all()


def test_teacher_learns_through_all_three_paths() -> None:
    torch.manual_seed(0)
    teacher = TransCmdTeacher(tiny_teacher())
    out = teacher(*random_pictures())
    sum(maps.score.sum() + maps.size.sum() + maps.offset.sum() for maps in out.outputs.values()).backward()
    without = [name for name, p in teacher.named_parameters() if p.grad is None or not p.grad.any()]
    # Batch normalisation takes every constant out again.
    assert [
        name for name in without if not (name.startswith("box_head.conv") and name.endswith("0.bias"))
    ] == []
