"""Promote, hold or roll back a canary: a sequential test that may be asked after every request.

For each question there are two bets (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting,
2024). One grows if the canary is worse than tolerated and rolls it back when it has multiplied by 1/alpha; the other
grows if the canary is surely not worse than the margin, and all of these together promote. By Ville's inequality a bet
against the truth multiplies by 1/alpha with probability at most alpha however often it is looked at, so peeking costs
nothing. The bets are a mixture over fixed fractions, so their value depends on counts alone, not on any order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["promote", "hold", "roll back", "not enough evidence"]

_FRACTIONS = np.concatenate([np.geomspace(0.005, 0.5, 14), [0.7, 0.9]])


@dataclass(frozen=True)
class Question:
    """One thing that the canary must not be worse at.

    Attributes:
        tolerated: a difference up to this is no reason to roll back.
        margin: a difference from this on must not be promoted.
        paired: outcomes are differences to production, -1, 0 or 1; else they are 0 or 1 by themselves.
        required: whether it must be answered before a promotion; an optional one may only roll back.
    """

    name: str
    tolerated: float
    margin: float
    paired: bool = True
    required: bool = True

    def __post_init__(self) -> None:
        if not -1 < self.tolerated < self.margin < 1:
            raise ValueError(
                f"{self.name}: tolerated {self.tolerated} must be below the margin {self.margin}"
            )


QUESTIONS = (
    Question("errors", 0.0, 0.01),
    Question("slow", 0.0, 0.05),
    Question("disagreement", 0.10, 0.20, paired=False, required=False),
    Question("wrong", 0.0, 0.05, required=False),
)


@dataclass(frozen=True)
class Policy:
    """How sure a verdict must be.

    Attributes:
        false_abort: chance of ever rolling back a canary that is within tolerance, over all questions.
        missed_regression: chance of ever promoting one that is worse by a margin.
        minimum: outcomes of each required question before there is any verdict but a rollback.
        rollback_minimum: outcomes of a question before it can roll back.
    """

    false_abort: float = 0.05
    missed_regression: float = 0.05
    minimum: int = 100
    rollback_minimum: int = 20


@dataclass(frozen=True)
class Answer:
    """What is known about one question.

    Attributes:
        difference: mean outcome.
        worse, fine: natural logarithms of the two bets.
    """

    question: Question
    count: int
    difference: float
    worse: float
    fine: float
    state: Literal["worse", "fine", "open", "too few"]


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons."""

    verdict: Verdict
    reasons: list[str]
    answers: list[Answer]

    def as_dict(self) -> dict[str, Any]:
        """Flat where a workflow reads it."""
        return {
            "verdict": self.verdict,
            "reasons": self.reasons,
            "questions": [
                {
                    "name": answer.question.name,
                    "state": answer.state,
                    "count": answer.count,
                    "difference": answer.difference if answer.count else None,
                    "tolerated": answer.question.tolerated,
                    "margin": answer.question.margin,
                    "evidence_worse": _shown(answer.worse),
                    "evidence_fine": _shown(answer.fine),
                }
                for answer in self.answers
            ],
        }


def judge(
    outcomes: Mapping[str, Mapping[int, int]],
    policy: Policy | None = None,
    questions: Iterable[Question] = QUESTIONS,
) -> Judgement:
    """A verdict on counts of outcomes by question: {"errors": {-1: 2, 0: 500, 1: 3}, …}; a missing one has none.

    Raises:
        ValueError: a count is negative, or an outcome is none of the question's.
    """
    policy = policy or Policy()
    asked = list(questions)
    abort_bar = math.log(len(asked) / policy.false_abort)
    promote_bar = math.log(1 / policy.missed_regression)
    answers = [
        _answer(question, outcomes.get(question.name, {}), policy, abort_bar, promote_bar)
        for question in asked
    ]
    worse = [answer for answer in answers if answer.state == "worse"]
    needed = [answer for answer in answers if answer.question.required or answer.count >= policy.minimum]
    few = [answer for answer in needed if answer.state == "too few"]
    undecided = [answer for answer in needed if answer.state == "open"]
    if worse:
        return Judgement("roll back", [_say(answer, "is worse") for answer in worse], answers)
    if few:
        reasons = [f"{a.question.name}: {a.count} of at least {policy.minimum} outcomes" for a in few]
        return Judgement("not enough evidence", reasons, answers)
    if undecided:
        return Judgement("hold", [_say(answer, "is undecided") for answer in undecided], answers)
    return Judgement("promote", [_say(answer, "is within its margin") for answer in needed], answers)


def log_bet(counts: Mapping[int, int], centre: float, sign: int, low: float, high: float) -> float:
    """Logarithm of the mixture of bets that the mean lies above (`sign` 1) or below (-1) `centre`.

    Outcomes lie in [low, high]. Each bet puts a fixed fraction of the largest stake that cannot ruin it.
    """
    largest = 1 / (centre - low) if sign > 0 else 1 / (high - centre)
    stakes = sign * largest * _FRACTIONS
    total = np.zeros(len(stakes))
    for outcome, count in counts.items():
        total += count * np.log1p(stakes * (outcome - centre))
    peak = float(total.max())
    return peak + math.log(float(np.exp(total - peak).mean()))


def pair(
    production: Iterable[tuple[int, bool]], canary: Iterable[tuple[int, bool]], *, bucket: int
) -> Counter[int]:
    """Counts of canary minus production, the first with the first of each bucket of time; surplus is left out.

    Args:
        production, canary: time and outcome of each request; units of `bucket` are those of time.
    """
    sides: list[dict[int, list[bool]]] = [{}, {}]
    for side, stream in zip(sides, (production, canary), strict=True):
        for time, outcome in sorted(stream, key=lambda item: item[0]):
            side.setdefault(time // bucket, []).append(outcome)
    result: Counter[int] = Counter()
    for place, ours in sides[1].items():
        for theirs, own in zip(sides[0].get(place, []), ours, strict=False):
            result[int(own) - int(theirs)] += 1
    return result


def _answer(
    question: Question, counts: Mapping[int, int], policy: Policy, abort_bar: float, promote_bar: float
) -> Answer:
    low = -1.0 if question.paired else 0.0
    if any(count < 0 for count in counts.values()) or not all(low <= outcome <= 1 for outcome in counts):
        raise ValueError(f"{question.name}: these are no counts of its outcomes: {dict(counts)}")
    total = sum(counts.values())
    mean = sum(outcome * count for outcome, count in counts.items()) / total if total else 0.0
    worse = log_bet(counts, question.tolerated, 1, low, 1.0)
    fine = log_bet(counts, question.margin, -1, low, 1.0)
    state: Literal["worse", "fine", "open", "too few"] = "open"
    if worse >= abort_bar and total >= policy.rollback_minimum:
        state = "worse"
    elif total < policy.minimum:
        state = "too few"
    elif fine >= promote_bar:
        state = "fine"
    return Answer(question, total, mean, worse, fine, state)


def _say(answer: Answer, what: str) -> str:
    question = answer.question
    return (
        f"{question.name} {what}: {100 * answer.difference:+.2f} % over {answer.count} outcomes "
        f"(tolerated {100 * question.tolerated:g} %, margin {100 * question.margin:g} %)"
    )


def _shown(logarithm: float) -> float:
    """The factor by which a bet has multiplied, kept finite for JSON."""
    return math.exp(min(logarithm, 700.0))
