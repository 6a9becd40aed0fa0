"""Any tracker as teacher of any compact student: what it shows, what fits, and that it stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transcmd_networks import random_pictures, tiny_ckd, tiny_student, tiny_teacher, tiny_vit

from edge_rgbt.errors import UsageError
from training.checkpoints import CheckpointError, save_checkpoint
from training.losses.task import gaussian_heatmaps, task_loss
from training.losses.transcmd import DistillationWeights, distillation_losses
from training.models.ckd import PIXEL_MEAN, PIXEL_STD, CkdTracker, CkdTrainingModel
from training.models.distillation import (
    DistilledStudent,
    Projectors,
    layer_pairs,
    masked_samples,
    require_fit,
)
from training.models.head import decode_boxes
from training.models.students import DistillableCkd, DistillableTransCmd
from training.models.teachers import CkdAsTeacher, Teacher, TpfAsTeacher, TransCmdAsTeacher, load_teacher
from training.models.tpf.tracker import CropPair, TpfConfig, TpfNetwork
from training.models.transcmd.masked import MaskDecoder, draw_mask, mask_noise, reconstruction_loss
from training.models.transcmd.student import TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher

TEACHERS: dict[str, Callable[[], Teacher]] = {
    "transcmd": lambda: TransCmdAsTeacher(TransCmdTeacher(tiny_teacher())),
    "ckd": lambda: CkdAsTeacher(CkdTracker(tiny_ckd())),
    "ckd-shared": lambda: CkdAsTeacher(CkdTracker(tiny_ckd(shared=True))),
    "ckd-training": lambda: CkdAsTeacher(CkdTrainingModel(tiny_ckd())),
    "tpf": lambda: TpfAsTeacher(tiny_tpf()),
    "ckd-larger-crops": lambda: CkdAsTeacher(CkdTracker(tiny_ckd(search_size=64))),
}
STUDENTS: dict[str, Callable[[], DistillableTransCmd | DistillableCkd]] = {
    "joint": lambda: DistillableTransCmd(TransCmdStudent(tiny_student("joint"))),
    "pair": lambda: DistillableTransCmd(TransCmdStudent(tiny_student("pair"))),
    "ckd": lambda: DistillableCkd(CkdTracker(tiny_ckd(16, 3))),
    "ckd-shared": lambda: DistillableCkd(CkdTracker(tiny_ckd(16, 2, shared=True))),
    "ckd-norm": lambda: DistillableCkd(CkdTracker(replace(tiny_ckd(16, 2), student_norm=True))),
}
ALL_PARTS = {"distillation", "common", "specific", "paths", "response"}
TARGET = torch.tensor([[0.3, 0.4, 0.2, 0.3], [0.5, 0.5, 0.3, 0.2]])
HEATMAP = torch.from_numpy(gaussian_heatmaps(TARGET.numpy(), 4))[:, None]


def tiny_tpf(adapter: str = "add") -> TpfNetwork:
    return TpfNetwork(TpfConfig(tiny_vit(24, 6), adapter, head_channels=8))


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", TEACHERS)
def test_view_is_what_the_specification_announces(name: str) -> None:
    teacher = TEACHERS[name]()
    view = teacher(*random_pictures())
    spec = teacher.spec
    assert [t.shape for t in (*view.rgb, *view.tir)] == [(2, 16, spec.token_width)] * 2 * spec.depth
    valid = {key: path.tokens.shape[-1] for key, path in view.paths.items() if path.valid}
    assert valid == dict(spec.path_widths)
    assert all(path.boxes.shape == (2, 4) for path in view.paths.values())
    assert view.score.shape == (2, 1, 4, 4)


def test_registered_teachers_and_students_are_all_tried() -> None:
    assert (len(TEACHERS), len(STUDENTS)) == (6, 5)


def test_a_teacher_of_fused_images_has_no_specific_tokens() -> None:
    made = STUDENTS["joint"]()
    teacher, pictures = TEACHERS["tpf"](), random_pictures()
    view = teacher(*pictures)
    assert all(a is b for a, b in zip(view.rgb, view.tir, strict=True))
    assert len(Projectors(made.spec, teacher.spec).specific) == 0


def test_a_tpf_teacher_answers_like_its_tracker() -> None:
    network, (templates, searches) = tiny_tpf().eval(), random_pictures()
    (z_rgb, z_tir), (x_rgb, x_tir) = ((a.sigmoid(), b.sigmoid()) for a, b in (templates, searches))
    mean, std = torch.tensor(PIXEL_MEAN).view(3, 1, 1), torch.tensor(PIXEL_STD).view(3, 1, 1)
    normalised = [((a - mean) / std, (b - mean) / std) for a, b in ((z_rgb, z_tir), (x_rgb, x_tir))]
    with torch.no_grad():
        wanted = network(CropPair(z_rgb, z_tir), None, CropPair(x_rgb, x_tir))
    found = TpfAsTeacher(network)(*normalised)
    torch.testing.assert_close(found.score, wanted.head.score, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.paths["fused"].tokens, wanted.tokens[:, 8:], atol=1e-4, rtol=0)


def test_paths_of_one_modality_are_valid_only_where_a_head_reads_them() -> None:
    pictures = random_pictures()
    for name, valid in (("ckd", False), ("ckd-training", True), ("transcmd", True)):
        paths = TEACHERS[name]()(*pictures).paths
        assert {key: path.valid for key, path in paths.items()} == {"rgb": valid, "tir": valid, "fused": True}


def test_a_student_alone_projects_nothing() -> None:
    projected = Projectors(STUDENTS["joint"]().spec, None)(STUDENTS["joint"]()(*random_pictures()))
    assert (projected.common, projected.specific, projected.paths) == ((), (), {})


@pytest.mark.parametrize("student", STUDENTS)
def test_students_show_their_deployed_output(student: str) -> None:
    made = STUDENTS[student]().eval()
    templates, searches = random_pictures()
    with torch.no_grad():
        seen, deployed = made(templates, searches), made.network(*templates, *searches)
    assert all(torch.equal(a, b) for a, b in zip(seen.output, deployed, strict=True))
    spec = made.spec
    assert [t.shape for t in (*seen.rgb, *seen.tir)] == [(2, 16, spec.token_width)] * 2 * spec.depth
    assert seen.fused.shape == (2, 16, spec.fused_width)


@pytest.mark.parametrize(
    ("teacher", "student"),
    [(t, "joint") for t in TEACHERS] + [("transcmd", s) for s in STUDENTS if s != "joint"],
)
def test_gradients_reach_student_and_projectors_and_never_the_teacher(teacher: str, student: str) -> None:
    expert, made = TEACHERS[teacher](), STUDENTS[student]()
    require_fit(made.spec, expert.spec, teacher)
    model = DistilledStudent(made, Projectors(made.spec, expert.spec))
    templates, searches = random_pictures()
    seen = model(templates, searches)
    losses = distillation_losses(
        seen,
        expert(templates, searches),
        model.projectors,
        TARGET,
        HEATMAP,
        DistillationWeights(response=1.0),
    )
    assert set(losses) == ALL_PARTS - (set() if expert.spec.specific else {"specific"})
    task = task_loss(seen.output.score, decode_boxes(seen.output), TARGET, HEATMAP)
    (task.total + losses["distillation"]).backward()
    still = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # Batch normalisation takes every constant out again, and one cell's box leaves some towers untouched.
    assert {n for n in still if "box_head" not in n} == set()
    assert all(p.grad is None and not p.requires_grad for p in expert.parameters())


def test_distillation_alone_leaves_the_students_head_alone() -> None:
    expert, made = TEACHERS["transcmd"](), STUDENTS["joint"]()
    model = DistilledStudent(made, Projectors(made.spec, expert.spec))
    pictures = random_pictures()
    losses = distillation_losses(
        model(*pictures), expert(*pictures), model.projectors, TARGET, HEATMAP, DistillationWeights()
    )
    losses["distillation"].backward()
    assert all(p.grad is None for p in made.network.box_head.parameters())
    assert made.network.encoder.norm.weight.grad is not None  # through the fused feature


def test_teacher_of_the_students_own_tokens_leaves_no_feature_loss() -> None:
    network = CkdTracker(tiny_ckd(24, 6)).eval()
    expert, made = CkdAsTeacher(network), DistillableCkd(network)
    projectors = Projectors(made.spec, expert.spec)
    with torch.no_grad():
        for linear in (*projectors.common, *projectors.specific, projectors.paths["fused"]):
            linear.weight.copy_(torch.eye(linear.in_features))
            linear.bias.zero_()
        pictures = random_pictures()
        losses = distillation_losses(
            projectors(made(*pictures)), expert(*pictures), projectors, TARGET, HEATMAP, DistillationWeights()
        )
    assert losses["distillation"].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("off", "parts", "training_only"),
    [
        ({"features": 0.0}, {"distillation", "paths"}, {"paths"}),
        ({"paths": 0.0}, {"distillation", "common", "specific"}, {"common", "specific"}),
        ({"features": 0.0, "paths": 0.0}, {"distillation"}, set()),
        (
            {"response": 0.5, "hard_paths": True},
            {"distillation", "common", "specific", "paths", "response"},
            None,
        ),
    ],
)
def test_each_part_goes_with_one_switch(off: dict, parts: set, training_only: set | None) -> None:
    expert, made = TEACHERS["transcmd"](), STUDENTS["joint"]()
    weights = DistillationWeights(**off)
    projectors = Projectors(made.spec, expert.spec, features=weights.features > 0, paths=weights.paths > 0)
    pictures = random_pictures()
    losses = distillation_losses(
        projectors(made(*pictures)), expert(*pictures), projectors, TARGET, HEATMAP, weights
    )
    assert set(losses) == parts
    if training_only is not None:
        assert {name.split(".")[0] for name in projectors.state_dict()} == training_only


def test_weights_scale_their_parts() -> None:
    expert, made = TEACHERS["transcmd"](), STUDENTS["joint"]()
    projectors, pictures = Projectors(made.spec, expert.spec), random_pictures()
    weights = DistillationWeights(features=2.0, paths=0.5, response=3.0)
    parts = distillation_losses(
        projectors(made(*pictures)), expert(*pictures), projectors, TARGET, HEATMAP, weights
    )
    wanted = 2 * (parts["common"] + parts["specific"]) + 0.5 * parts["paths"] + 3 * parts["response"]
    torch.testing.assert_close(parts["distillation"], wanted)


def test_masked_training_runs_beside_distillation_on_every_second_sample() -> None:
    expert, made = TEACHERS["transcmd"](), STUDENTS["joint"]()
    decoder = MaskDecoder(made.network.config.vit)
    model = DistilledStudent(made, Projectors(made.spec, expert.spec), decoder)
    templates, searches = random_pictures(batch=4)
    noise = mask_noise(2, 16, torch.Generator().manual_seed(0))
    mask = draw_mask(masked_samples(searches, 32), 8, noise)
    seen = model(templates, searches, mask)
    assert seen.masked is not None
    alone = reconstruction_loss(made.network, decoder, (searches[0][::2], searches[1][::2]), mask)
    torch.testing.assert_close(seen.masked, alone)
    seen.masked.backward()
    assert decoder.mask_token.grad is not None
    assert model(templates, searches).masked is None


def test_masked_training_of_a_pair_is_refused() -> None:
    expert, made = TEACHERS["transcmd"](), STUDENTS["pair"]()
    with pytest.raises(ValueError, match="masked training needs mode = 'joint'"):
        DistilledStudent(made, Projectors(made.spec, expert.spec), MaskDecoder(made.network.config.vit))


def test_teacher_stays_frozen_inside_a_model_in_training() -> None:
    teacher = TEACHERS["transcmd"]()
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    outer = torch.nn.ModuleList([teacher]).train()
    outer[0](*random_pictures())
    assert not any(module.training for module in teacher.modules())
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_teacher_takes_crops_of_another_size() -> None:
    teacher = TEACHERS["ckd-larger-crops"]()
    small, large = teacher(*random_pictures(size=32)), teacher(*random_pictures(size=64))
    assert small.score.shape == large.score.shape == (2, 1, 4, 4)


def test_a_teacher_with_another_grid_or_other_crops_is_refused_in_one_line() -> None:
    student = STUDENTS["joint"]().spec
    vit = replace(tiny_ckd().vit, patch_size=4)
    other = CkdAsTeacher(CkdTracker(replace(tiny_ckd(), vit=vit, search_factor=5.0)))
    with pytest.raises(UsageError) as raised:
        require_fit(student, other.spec, "teacher.pt")
    assert str(raised.value) == (
        "teacher.pt cannot teach this student: it has search tokens per side 8, the student 4; "
        "search factor 5, the student 4"
    )


@pytest.mark.parametrize(
    ("family", "network", "kind"),
    [
        ("transcmd_teacher", lambda: TransCmdTeacher(tiny_teacher()), TransCmdAsTeacher),
        ("ckd", lambda: CkdTracker(tiny_ckd(shared=True)), CkdAsTeacher),
        ("ckd", lambda: CkdTrainingModel(tiny_ckd()), CkdAsTeacher),
        ("tpf", lambda: tiny_tpf("full"), TpfAsTeacher),
    ],
    ids=["transcmd", "ckd", "ckd-training", "tpf"],
)
def test_a_stored_teacher_shows_what_it_showed(family: str, network, kind: type, tmp_path: Path) -> None:
    made = network()
    save_checkpoint(tmp_path / "t.pt", made.state_dict(), family=family, config=made.config.to_dict())
    loaded, pictures = load_teacher(tmp_path / "t.pt"), random_pictures()
    assert type(loaded) is kind
    assert type(loaded.network) is type(made)
    before, after = kind(made)(*pictures), loaded(*pictures)
    assert torch.equal(before.score, after.score)
    assert before.paths.keys() == after.paths.keys()


def test_a_checkpoint_that_cannot_teach_is_refused_in_one_line(tmp_path: Path) -> None:
    state = TransCmdTeacher(tiny_teacher()).state_dict()
    save_checkpoint(tmp_path / "a.pt", state, family="transcmd", config={})
    with pytest.raises(CheckpointError, match=r"a\.pt is a checkpoint of family 'transcmd'; teachers are"):
        load_teacher(tmp_path / "a.pt")
    save_checkpoint(tmp_path / "b.pt", state, family="transcmd_teacher", config=tiny_teacher(36).to_dict())
    with pytest.raises(CheckpointError, match=r"b\.pt does not fit this network: \d+ misshapen"):
        load_teacher(tmp_path / "b.pt")
    save_checkpoint(tmp_path / "c.pt", state, family="transcmd_teacher", config={"vit": {"width": 3}})
    with pytest.raises(CheckpointError, match=r"c\.pt: its stored configuration is not ours \(unknown key"):
        load_teacher(tmp_path / "c.pt")


def test_depths_need_not_agree() -> None:
    expert, made = TEACHERS["transcmd"](), STUDENTS["ckd-shared"]()
    assert (made.spec.depth, expert.spec.depth) == (2, 6)
    assert Projectors(made.spec, expert.spec).pairs == layer_pairs(2, 6) == ((0, 1), (0, 3), (1, 5))
