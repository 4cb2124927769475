from __future__ import annotations

import numpy as np
import pytest

from services.train.calibrate import fit_temperature


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_the_temperature_undoes_overconfidence(scale: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 4)).astype(np.float32)
    truth = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    found = fit_temperature(
        logits * scale, np.arange(4000), np.eye(4, dtype=np.float32)[truth], multi_label=False
    )
    assert found == pytest.approx(scale, rel=0.1)


def test_a_split_without_errors_does_not_make_every_answer_certain() -> None:
    targets = np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    assert fit_temperature(targets * 8, np.arange(30), targets, multi_label=False) > 0.3


def test_windows_of_one_item_count_once_for_multi_label() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, (500, 3)).astype(np.float32)
    targets = (random.random((500, 3)) < 1 / (1 + np.exp(-logits / 2))).astype(np.float32)
    doubled = np.concatenate([logits, logits - 50])
    items = np.concatenate([np.arange(500), np.arange(500)])
    assert fit_temperature(doubled, items, targets, multi_label=True) == pytest.approx(2, rel=0.2)
