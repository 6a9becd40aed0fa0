"""Masked pretraining: where masks fall, that nothing hidden is seen, and that rebuilding is learned."""

from __future__ import annotations

import pytest
import torch
from transcmd_networks import Pictures, random_pictures, tiny_student

from training.models.transcmd.masked import (
    CmaeMask,
    MaskedAutoencoder,
    MaskRates,
    draw_mask,
    encode_visible,
    mask_noise,
    masked_loss,
    patch_energy,
    patches,
)
from training.models.transcmd.student import TransCmdStudent


def mask_of(searches: Pictures, patch: int = 8, seed: int = 0) -> CmaeMask:
    tokens = (searches[0].shape[-1] // patch) ** 2
    noise = mask_noise(len(searches[0]), tokens, torch.Generator().manual_seed(seed))
    return draw_mask(searches, patch, noise)


def test_masks_have_the_counts_of_the_design() -> None:
    _, searches = random_pictures(batch=4, size=256)
    mask = mask_of(searches, 16)
    hidden = mask.masked.sum(dim=1)  # [B, 256]: modalities hidden at each place
    assert (hidden == 1).sum(dim=1).tolist() == [128] * 4
    assert (hidden == 2).sum(dim=1).tolist() == [64] * 4
    assert mask.visible.shape == (4, 256)


@pytest.mark.parametrize(("size", "patch", "single", "double"), [(32, 8, 8, 4), (48, 8, 18, 9)])
def test_counts_follow_the_number_of_tokens(size: int, patch: int, single: int, double: int) -> None:
    mask = mask_of(random_pictures(size=size)[1], patch)
    hidden = mask.masked.sum(dim=1)
    assert (hidden == 1).sum(dim=1).tolist() == [single] * 2
    assert (hidden == 2).sum(dim=1).tolist() == [double] * 2


def test_visible_places_are_those_not_masked() -> None:
    mask = mask_of(random_pictures()[1])
    assert not mask.masked.flatten(1).gather(1, mask.visible).any()
    assert (mask.visible.diff(dim=1) > 0).all()


def test_masks_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    searches = random_pictures(size=128)[1]
    a, b, c = (mask_of(searches, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a.masked, b.masked)
    assert not torch.equal(a.masked, c.masked)


def test_a_share_of_a_batch_gets_the_masks_of_the_whole() -> None:
    searches = random_pictures(batch=4)[1]
    noise = mask_noise(4, 16, torch.Generator().manual_seed(0))
    whole = draw_mask(searches, 8, noise)
    share = draw_mask((searches[0][2:], searches[1][2:]), 8, noise[2:])
    assert torch.equal(whole.masked[2:], share.masked)
    assert torch.equal(whole.visible[2:], share.visible)


def test_energy_is_the_rank_of_the_deviation() -> None:
    contrast = torch.tensor([3.0, 1.0, 4.0, 2.0])
    checker = (torch.arange(8)[:, None] + torch.arange(8)) % 2 - 0.5
    picture = torch.cat([torch.cat([c * checker for c in row], dim=1) for row in contrast.view(2, 2)])
    energy = patch_energy(picture.expand(1, 3, -1, -1), 8)
    torch.testing.assert_close(energy, torch.tensor([[2 / 3, 0.0, 1.0, 1 / 3]]))


def test_a_blank_picture_has_no_order() -> None:
    assert (patch_energy(torch.full((1, 3, 32, 32), 0.7), 8) == 0.5).all()


def test_masks_seek_places_where_the_sensors_disagree_and_hide_the_stronger() -> None:
    torch.manual_seed(0)
    rgb, tir = torch.randn(64, 1, 64, 64), torch.randn(64, 1, 64, 64)
    rgb[..., :32] *= torch.arange(1, 5).repeat_interleave(8) * 10  # left half: RGB sees more, ever more
    searches = (rgb.expand(-1, 3, -1, -1), tir.expand(-1, 3, -1, -1))
    energies = [patch_energy(pictures, 8) for pictures in searches]
    gap = energies[0] - energies[1]
    mask = mask_of(searches)
    single = mask.masked.sum(dim=1) == 1
    assert gap.abs()[single].mean() > 1.2 * gap.abs()[~single].mean()
    clear = single & (gap.abs() > 0.2)
    hides_stronger = (mask.masked[:, 0] == (gap > 0))[clear].float().mean()
    assert hides_stronger.item() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_encoder_sees_nothing_of_masked_patches(stem: str) -> None:
    torch.manual_seed(0)
    student = TransCmdStudent(tiny_student(stem=stem)).eval()
    searches = random_pictures()[1]
    mask = mask_of(searches)
    hidden = mask.masked.view(2, 2, 1, 4, 4).float().repeat_interleave(8, 3).repeat_interleave(8, 4)
    changed = tuple(x + 5 * h for x, h in zip(searches, hidden.unbind(1), strict=True))
    with torch.no_grad():
        a, b = (encode_visible(student, pictures, mask) for pictures in (searches, changed))
    assert a.shape == (2, 16, 16)
    assert torch.equal(a, b)


def test_loss_counts_masked_patches_only_and_is_zero_for_the_right_answer() -> None:
    searches = random_pictures()[1]
    mask = mask_of(searches)
    target = torch.cat([patches(x, 8) for x in searches], dim=1)
    target = (target - target.mean(2, keepdim=True)) / target.std(2, unbiased=False, keepdim=True)
    wrong_where_visible = target + 9.0 * ~mask.masked.flatten(1).unsqueeze(-1)
    assert masked_loss(wrong_where_visible, searches, mask, 8).item() == pytest.approx(0, abs=1e-6)
    wrong_where_masked = target + 3.0 * mask.masked.flatten(1).unsqueeze(-1)
    assert masked_loss(wrong_where_masked, searches, mask, 8).item() == pytest.approx(9, rel=1e-4)


def test_every_part_of_encoder_and_decoder_learns() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(TransCmdStudent(tiny_student()))
    searches = random_pictures()[1]
    model(searches, mask_of(searches)).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []
    frozen = {name for name, _ in model.named_parameters()} - set(trained)
    assert {name for name in frozen if "box_head" not in name} == {"student.encoder.pos_embed_z"}


def test_reconstruction_is_learned_on_one_batch() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(TransCmdStudent(tiny_student(width=32)))
    searches = random_pictures()[1]
    mask = mask_of(searches)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        loss = model(searches, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="masked training needs mode = 'joint'; this student's is 'pair'"):
        MaskedAutoencoder(TransCmdStudent(tiny_student("pair")))


@pytest.mark.parametrize(
    "rates", [{"single": 0.8, "double": 0.3}, {"single": 0, "double": 0}, {"floor": 0.0}]
)
def test_impossible_rates_are_refused(rates: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        MaskRates(**rates)
