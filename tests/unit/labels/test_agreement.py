"""Krippendorff's alpha against published values and scikit-learn; the gate against people who are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from services.labels.agreement import Gate, consensus, judge, krippendorff_alpha
from services.labels.task import Annotation, Answer

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", data C: four observers, twelve units.
PAPER = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def said(digest: int, annotator: str, label: str, at: int = 0) -> Annotation:
    return Annotation(
        f"{digest}-{annotator}-{at}",
        f"{digest:064x}",
        annotator,
        f"2026-06-01T00:00:{at:02d}",
        Answer((label,)),
    )


def test_the_value_of_the_paper() -> None:
    units = [[v for v in unit if v is not None] for unit in zip(*PAPER, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=0.0005)


def test_nothing_to_compare_is_no_agreement_and_one_value_is_full_agreement() -> None:
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([["a"], ["b"]]) is None
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]) == 1.0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=80))
@settings(max_examples=200, deadline=None)
def test_for_two_people_it_is_scotts_pi_with_its_small_sample_correction(
    pairs: list[tuple[int, int]],
) -> None:
    first = [a for a, _ in pairs] + [b for _, b in pairs]
    second = [b for _, b in pairs] + [a for a, _ in pairs]
    if len(set(first)) == 1:
        return
    scott = cohen_kappa_score(first, second)
    expected = 1 - (1 - scott) * (2 * len(pairs) - 1) / (2 * len(pairs))
    assert krippendorff_alpha([list(pair) for pair in pairs]) == pytest.approx(expected)


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_names_of_values_and_orders_do_not_matter(units: list[list[int]], random: object) -> None:
    before = krippendorff_alpha(units)
    renamed = [[("x", 7 - value) for value in reversed(unit)] for unit in reversed(units)]
    after = krippendorff_alpha(renamed)
    assert (before is None and after is None) or after == pytest.approx(before)
    assert before is None or before <= 1 + 1e-12


def people(wrong: dict[str, float], inputs: int = 60, seed: int = 3) -> list[Annotation]:
    """Everybody answers everything; `wrong`: part of the answers that are any class."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 5, inputs)
    return [
        said(n, name, str(random.integers(0, 5) if random.random() < share else truth[n]))
        for name, share in wrong.items()
        for n in range(inputs)
    ]


def test_people_who_agree_pass() -> None:
    verdict = judge(people({"ann": 0.05, "bob": 0.05}), Gate())
    assert verdict.state == "passed"
    assert verdict.accepted == {"ann", "bob"}
    assert verdict.alpha is not None and verdict.alpha > 0.8


def test_one_of_three_who_guesses_is_put_aside_and_named() -> None:
    verdict = judge(people({"ann": 0.05, "bob": 0.05, "mallory": 1.0}), Gate())
    assert verdict.accepted == {"ann", "bob"}
    assert list(verdict.aside) == ["mallory"]
    assert "0.6 is needed" in verdict.aside["mallory"]


def test_of_two_who_differ_nobody_is_believed() -> None:
    verdict = judge(people({"ann": 0.0, "mallory": 1.0}), Gate())
    assert verdict.state == "refused"
    assert set(verdict.aside) == {"ann", "mallory"}
    assert "cannot be told who is wrong" in verdict.aside["ann"]


def test_who_always_says_the_same_is_not_believed_however_many_do() -> None:
    lazy = [said(number, name, "1") for number in range(30) for name in ("eve", "mallory")]
    verdict = judge(lazy, Gate())
    assert (verdict.state, verdict.accepted) == ("not enough overlap", set())
    assert "carelessness" in verdict.waiting["eve"]
    careful = [said(number, "ann", str(number % 10)) for number in range(30)]
    verdict = judge([*lazy, *careful], Gate())
    assert (verdict.state, verdict.accepted) == ("refused", set())
    good = [said(number, "bob", str(number % 10)) for number in range(30)]
    verdict = judge([*lazy[::2], *careful, *good], Gate())
    assert verdict.accepted == {"ann", "bob"}


def test_two_of_four_who_guess_are_put_aside() -> None:
    verdict = judge(people({"ann": 0.02, "bob": 0.02, "eve": 1.0, "mallory": 1.0}), Gate())
    assert verdict.accepted == {"ann", "bob"}


def test_one_of_many_who_guesses_is_found_though_all_together_agree_enough() -> None:
    wrong = {f"h{n}": 0.03 for n in range(6)} | {"mallory": 1.0}
    verdict = judge(people(wrong), Gate())
    assert list(verdict.aside) == ["mallory"]


def test_two_who_agree_on_something_else_leave_nobody_believed() -> None:
    honest = [said(n, name, str(n % 5)) for n in range(40) for name in ("ann", "bob")]
    liars = [said(n, name, str((n + 1) % 5)) for n in range(40) for name in ("eve", "mallory")]
    verdict = judge([*honest, *liars], Gate())
    assert verdict.state == "refused"
    assert len(verdict.aside) == 4


def test_too_little_overlap_waits_and_says_how_much_is_needed() -> None:
    verdict = judge(people({"ann": 0, "bob": 0}, inputs=4), Gate())
    assert verdict.state == "not enough overlap"
    assert verdict.waiting == dict.fromkeys(
        ["ann", "bob"], "4 inputs were answered by two people, 10 are needed"
    )
    assert not verdict.accepted and not verdict.aside


def test_who_answered_nothing_that_others_did_waits() -> None:
    lonely = [said(1000 + n, "eve", "1") for n in range(50)]
    verdict = judge([*people({"ann": 0, "bob": 0}), *lonely], Gate())
    assert verdict.accepted == {"ann", "bob"}
    assert "answered 0 inputs that others answered too" in verdict.waiting["eve"]


def test_no_gate_believes_everybody() -> None:
    assert judge([said(1, "ann", "a")], Gate(alpha=0)).accepted == {"ann"}


def test_only_those_whose_batch_it_is_are_judged() -> None:
    verdict = judge(people({"ann": 0.0, "bob": 0.0, "mallory": 1.0}), Gate(), judged={"mallory"})
    assert verdict.accepted == set()
    assert set(verdict.aside) == {"mallory"}


def test_the_last_word_of_a_person_counts_and_doubt_is_a_word() -> None:
    first = [said(n, name, str(n % 2)) for n in range(12) for name in ("ann", "bob")]
    changed = [said(n, "bob", str((n + 1) % 2), at=5) for n in range(12)]
    assert judge([*first, *changed], Gate()).state == "refused"
    doubt = [Annotation(f"d{n}", f"{n:064x}", "bob", "2027", Answer(sure=False)) for n in range(12)]
    assert judge([*first, *doubt], Gate()).state == "refused"


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_everybody_has_one_fate_and_honest_majorities_are_kept(seed: int, honest: int, guessing: int) -> None:
    wrong = {f"h{n}": 0.03 for n in range(honest)} | {f"g{n}": 1.0 for n in range(guessing)}
    verdict = judge(people(wrong, seed=seed), Gate())
    fates = [verdict.accepted, set(verdict.aside), set(verdict.waiting)]
    assert sum(map(len, fates)) == len(set().union(*fates)) == len(wrong)
    if guessing < honest:
        assert verdict.accepted == {f"h{n}" for n in range(honest)}


@given(st.lists(st.sampled_from("abc"), max_size=9))
def test_a_consensus_is_more_than_half(names: list[str]) -> None:
    found = consensus([Answer((name,)) for name in names])
    best = max((names.count(name) for name in set(names)), default=0)
    assert (found is not None) == (2 * best > len(names) > 0)
    if found is not None:
        assert names.count(found.labels[0]) == best
