from __future__ import annotations

import pytest
import torch

from services.train.augment import augment, mixup, spec_augment
from services.train.hyperparameters import Hyperparameters


def _random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sound", [False, True])
def test_the_same_seed_gives_the_same_batch_and_another_one_another(sound: bool) -> None:
    x = torch.randn(6, 1, 16, 20)
    first, again, other = (augment(x, Hyperparameters(), _random(seed), sound=sound) for seed in (1, 1, 2))
    assert first.shape == x.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.isfinite(first).all()


def test_strength_zero_changes_nothing() -> None:
    x = torch.randn(3, 1, 8, 8)
    for sound in (False, True):
        assert torch.equal(
            augment(x, Hyperparameters(augmentation=0, specaugment=0), _random(), sound=sound), x
        )


def test_masks_hide_whole_bands_and_no_more_than_stated() -> None:
    x = torch.ones(50, 1, 64, 80)
    hidden = spec_augment(x, 2, _random()) == 0
    assert hidden.any()
    assert hidden.float().mean() < 2 / 8 + 2 / 8
    columns = hidden.all(dim=2).squeeze(1)
    rows = hidden.all(dim=3).squeeze(1)
    assert torch.equal(hidden.squeeze(1), columns.unsqueeze(1) | rows.unsqueeze(2))


def test_mixup_blends_inputs_and_targets_by_the_same_share() -> None:
    y = torch.eye(4)
    x = y.view(4, 1, 2, 2)
    mixed, targets = mixup(x, y, 0.75, _random())
    assert torch.equal(mixed.view(4, 4), targets)
    assert torch.allclose(targets.sum(dim=1), torch.ones(4))
    assert (targets.diagonal() >= 0.75).all()
