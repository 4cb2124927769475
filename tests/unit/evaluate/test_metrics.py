"""The metrics are scikit-learn's, with weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    recall_score,
    roc_auc_score,
)

from services.evaluate.metrics import Answers, Scorer, confusion, measure


def single_label(seed: int, items: int, classes: int, *, ties: bool = False) -> Answers:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, items)
    scores = rng.random((items, classes)) + 0.6 * np.eye(classes)[labels]
    if ties:
        scores = np.round(scores, 1) + 0.1
    return Answers(np.eye(classes, dtype=bool)[labels], scores / scores.sum(axis=1, keepdims=True))


def multi_label(seed: int, items: int, classes: int, *, ties: bool = False) -> Answers:
    rng = np.random.default_rng(seed)
    truth = rng.random((items, classes)) < 0.4
    scores = np.clip(rng.normal(0.35, 0.2, (items, classes)) + 0.3 * truth, 0, 1)
    return Answers(truth, np.round(scores, 1) if ties else scores, multi_label=True)


shapes = {
    "seed": st.integers(0, 10_000),
    "items": st.integers(2, 60),
    "classes": st.integers(2, 6),
    "ties": st.booleans(),
}


@settings(deadline=None, max_examples=60)
@given(**shapes)
def test_single_label_metrics_are_those_of_scikit_learn(seed, items, classes, ties):
    answers = single_label(seed, items, classes, ties=ties)
    found, true, said = measure(answers), answers.truth.argmax(axis=1), answers.top
    present = np.unique(true)
    assert found["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert found["micro_f1"] == pytest.approx(accuracy_score(true, said))
    assert found["macro_f1"] == pytest.approx(f1_score(true, said, labels=present, average="macro"))
    assert found["balanced_accuracy"] == pytest.approx(
        recall_score(true, said, labels=present, average="macro", zero_division=0)
    )
    assert (confusion(answers) == confusion_matrix(true, said, labels=range(classes))).all()


@settings(deadline=None, max_examples=60)
@given(**shapes)
def test_multi_label_metrics_are_those_of_scikit_learn(seed, items, classes, ties):
    answers = multi_label(seed, items, classes, ties=ties)
    truth, scores, present = answers.truth, answers.probabilities, answers.present
    found = measure(answers)
    if not len(present):
        assert np.isnan(found["map"]) and np.isnan(found["macro_f1"])
        return
    average = [average_precision_score(truth[:, c], scores[:, c]) for c in present]
    assert found["map"] == pytest.approx(np.mean(average))
    said = answers.predicted
    f1 = [f1_score(truth[:, c], said[:, c], zero_division=0) for c in present]
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    both = [c for c in present if not truth[:, c].all()]
    if both:
        areas = [roc_auc_score(truth[:, c], scores[:, c]) for c in both]
        assert found["macro_auc"] == pytest.approx(np.mean(areas))


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_a_weight_counts_an_item_that_often(seed, items, classes, ties):
    answers = multi_label(seed, items, classes, ties=ties)
    weights = np.random.default_rng(seed).integers(0, 4, items)
    weights[0] = 1
    repeated = np.repeat(np.arange(items), weights)
    kept = answers.subset(repeated)
    by_weight = Scorer(answers)(weights[None, :].astype(float))
    for name, value in measure(kept).items():
        assert by_weight[name][0] == pytest.approx(value, nan_ok=True), name


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), items=st.integers(2, 50), classes=st.integers(2, 5))
def test_correcting_an_answer_never_lowers_a_metric_of_decisions(seed, items, classes):
    answers = single_label(seed, items, classes)
    wrong = np.flatnonzero(~answers.hits)
    if not len(wrong):
        return
    better = answers.probabilities.copy()
    better[wrong[0]] = np.where(answers.truth[wrong[0]], 1.0, 0.0)
    before, after = measure(answers), measure(Answers(answers.truth, better))
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1"):
        assert after[name] >= before[name] - 1e-12, name


def test_a_class_without_items_is_left_out_of_macro_averages():
    truth = np.eye(3, dtype=bool)[[0, 0, 1, 1]]
    perfect = Answers(truth, truth.astype(float))
    assert measure(perfect)["macro_f1"] == 1.0
    assert measure(perfect)["map"] == 1.0


def test_multi_label_confusion_sets_missed_labels_against_wrong_ones():
    truth = np.array([[True, True, False], [True, False, False]])
    said = np.array([[0.9, 0.1, 0.8], [0.9, 0.2, 0.1]])
    table = confusion(Answers(truth, said, multi_label=True))
    assert table.tolist() == [[2, 0, 0], [0, 0, 1], [0, 0, 0]]
