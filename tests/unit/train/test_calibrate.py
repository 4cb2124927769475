from __future__ import annotations

import numpy as np
import pytest

from services.evaluate.calibration import reliability
from services.evaluate.metrics import Answers
from services.train.calibrate import fit_temperature
from services.train.scoring import by_item, probabilities


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


def recordings(seed: int, items: int, *, windows: int, noise: float) -> tuple[np.ndarray, ...]:
    """Logits of recordings of which half of the windows hold the call, and the rest something else."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 8, items)
    item_of = np.repeat(np.arange(items), random.integers(1, windows + 1, items))
    logits = random.normal(0, noise, (len(item_of), 8))
    call = random.random(len(item_of)) < 0.5
    call[np.flatnonzero(np.diff(item_of, prepend=-1))] = True
    logits[np.arange(len(item_of)), label[item_of]] += 3 * call
    return logits.astype(np.float32), item_of, np.eye(8, dtype=np.float32)[label]


@pytest.mark.parametrize(("windows", "noise"), [(4, 1.5), (10, 2.0), (5, 1.0)])
def test_a_recording_of_many_windows_is_as_sure_as_it_is_right(windows: int, noise: float) -> None:
    temperature = fit_temperature(*recordings(0, 300, windows=windows, noise=noise), multi_label=False)
    logits, item_of, targets = recordings(1, 3000, windows=windows, noise=noise)
    found = by_item(
        probabilities(logits, multi_label=False, temperature=temperature), item_of, len(targets)
    ).astype(np.float64)
    assert reliability(Answers(targets.astype(bool), np.clip(found, 0, 1))).ece < 0.06


def test_pictures_are_judged_by_their_true_class_as_before() -> None:
    logits, item_of, targets = recordings(2, 400, windows=1, noise=2.0)
    temperature = fit_temperature(logits, item_of, targets, multi_label=False)

    def likelihood(other: float) -> float:
        found = probabilities(logits, multi_label=False, temperature=other).astype(np.float64)
        return float((targets * np.log(found)).sum()) - 0.5 * (np.log(other) / 0.5) ** 2

    assert likelihood(temperature) >= max(likelihood(temperature * step) for step in (0.9, 0.97, 1.03, 1.1))
