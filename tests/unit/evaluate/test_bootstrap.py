from __future__ import annotations

import numpy as np
import pytest

from services.evaluate import bootstrap
from services.evaluate.bootstrap import draws, interval, resample, share_interval
from services.evaluate.metrics import Answers, measure


def answers_with(share: float, items: int = 400, seed: int = 1) -> Answers:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, items)
    said = np.where(rng.random(items) < share, true, (true + 1) % 4)
    return Answers(np.eye(4, dtype=bool)[true], np.eye(4)[said])


def test_equal_seeds_give_equal_draws_whatever_the_block(monkeypatch):
    groups = np.arange(50)
    whole = np.concatenate(list(draws(groups, 300, seed=3)))
    monkeypatch.setattr(bootstrap, "_BLOCK", 50 * 7)
    parts = list(draws(groups, 300, seed=3))
    assert len(parts) > 40
    assert (np.concatenate(parts) == whole).all()
    assert whole.shape == (300, 50)
    assert (whole.sum(axis=1) == 50).all()
    assert not (np.concatenate(list(draws(groups, 300, seed=4))) == whole).all()


def test_items_of_one_group_are_drawn_together():
    groups = np.array([0, 0, 0, 1, 1, 2])
    weights = np.concatenate(list(draws(groups, 100, seed=0)))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] != weights[:, 5]).any()


def test_grouping_widens_the_interval_of_dependent_items():
    one = answers_with(0.7, 60)
    copies = one.subset(np.repeat(np.arange(60), 8))
    loose = resample([copies], np.arange(480), resamples=500, seed=1)[0]["accuracy"]
    honest = resample([copies], np.repeat(np.arange(60), 8), resamples=500, seed=1)[0]["accuracy"]
    narrow, wide = interval(loose, 0.95), interval(honest, 0.95)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_interval_of_accuracy_is_the_binomial_one():
    model = answers_with(0.8, 400)
    found = interval(resample([model], np.arange(400), resamples=4000, seed=2)[0]["accuracy"], 0.95)
    value = measure(model)["accuracy"]
    half = 1.96 * np.sqrt(value * (1 - value) / 400)
    assert found.low == pytest.approx(value - half, abs=0.008)
    assert found.high == pytest.approx(value + half, abs=0.008)


def test_pairing_makes_the_difference_of_like_models_sharp():
    model = answers_with(0.8, 400)
    changed = model.probabilities.copy()
    changed[:8] = 0.25
    other = Answers(model.truth, changed)
    first, second = resample([model, other], np.arange(400), resamples=1000, seed=5)
    paired = interval(first["accuracy"] - second["accuracy"], 0.95)
    alone = interval(first["accuracy"], 0.95)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    same = resample([model, model], np.arange(400), resamples=200, seed=5)
    assert (same[0]["macro_f1"] == same[1]["macro_f1"]).all()


def test_an_interval_of_too_few_known_values_is_unknown():
    values = np.full(100, np.nan)
    values[:20] = 0.5
    assert np.isnan(interval(values, 0.95).low)


def test_the_interval_of_a_share_stays_within_zero_and_one():
    assert share_interval(0, 10).low == 0.0
    assert share_interval(10, 10).high == 1.0
    assert share_interval(10, 10).low == pytest.approx(0.722, abs=1e-3)
    assert np.isnan(share_interval(0, 0).low)
