"""How often the interval covers the truth, and what the gate does: `python -m services.labels.simulate WHAT`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from services.common.wilson import wilson
from services.labels.accuracy import Draw, estimate
from services.labels.agreement import Gate, judge
from services.labels.task import Annotation, Answer

_ACCURACY = (
    (0.95, 7, 20, 1.0),
    (0.95, 30, 20, 1.0),
    (0.80, 7, 20, 1.0),
    (0.80, 30, 20, 1.0),
    (0.80, 30, 20, 0.6),
    (0.60, 30, 5, 1.0),
    (0.99, 30, 20, 1.0),
)
_GATE = (
    (0.03, 0.03),
    (0.10, 0.10),
    (0.20, 0.20),
    (0.05, 0.05, 1.0),
    (0.05, 0.05, 0.5),
    (0.05, 1.0),
    (0.05, 0.05, 0.05, 1.0, 1.0),
)


def coverage(
    share: float, windows: int, draws: int, answered: float, *, runs: int, seed: int = 1
) -> tuple[float, float, float]:
    """Part of the runs whose interval covers the truth, mean error, and mean width of the interval.

    Windows have between 50 and 5,000 inputs; the model is right on a part of them that differs by window around
    `share`. Each window gives a bottom-k sample of `draws`, of which a part is answered.
    """
    random = np.random.default_rng(seed)
    covered, errors, widths = 0, [], []
    for _ in range(runs):
        sizes = np.exp(random.uniform(np.log(50), np.log(5000), windows)).astype(int)
        shares = random.beta(share * 20, (1 - share) * 20, windows)
        found: list[Draw] = []
        right = total = 0
        for number, (size, own) in enumerate(zip(sizes, shares, strict=True)):
            correct = random.random(size) < own
            ranks = random.random(size)
            order = np.argsort(ranks)
            probability = float(ranks[order[draws]]) if size > draws else 1.0
            right, total = right + int(correct.sum()), total + size
            said = random.random(draws) < answered
            found += [
                Draw(str(number), probability, bool(correct[at]) if said[place] else None)
                for place, at in enumerate(order[:draws])
            ]
        result = estimate(found)
        if result.estimate is None or result.low is None or result.high is None:
            continue
        truth = right / total
        covered += result.low <= truth <= result.high
        errors.append(result.estimate - truth)
        widths.append(result.high - result.low)
    return covered / runs, float(np.mean(errors)), float(np.mean(widths))


def fates(
    wrong: Sequence[float], *, inputs: int, classes: int, runs: int, seed: int = 1
) -> tuple[float, float]:
    """Part of the runs in which all who are right are believed, and in which one who guesses (0.5 or more) is."""
    random = np.random.default_rng(seed)
    kept = fooled = 0
    for _ in range(runs):
        truth = random.integers(0, classes, inputs)
        verdict = judge(_answers(random, truth, wrong, classes), Gate())
        right = {str(n) for n, share in enumerate(wrong) if share < 0.5}
        kept += right <= verdict.accepted
        fooled += bool(verdict.accepted - right)
    return kept / runs, fooled / runs


def _answers(
    random: np.random.Generator, truth: npt.NDArray[np.int64], wrong: Sequence[float], classes: int
) -> Iterator[Annotation]:
    for person, share in enumerate(wrong):
        for number, value in enumerate(truth):
            said = random.integers(0, classes) if random.random() < share else value
            yield Annotation(f"{person}-{number}", f"{number:064x}", str(person), "", Answer((str(said),)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for the how-to."""
    parser = argparse.ArgumentParser(prog="python -m services.labels.simulate")
    parser.add_argument("what", choices=["accuracy", "gate"])
    parser.add_argument("--runs", type=int, default=1000)
    given = parser.parse_args(arguments)
    lines = []
    if given.what == "accuracy":
        lines += [
            "| Accuracy | Windows | Drawn in each | Answered | Covered | Bias | Width |",
            "|---:" * 7 + "|",
        ]
        for share, windows, draws, answered in _ACCURACY:
            part, bias, width = coverage(share, windows, draws, answered, runs=given.runs)
            low, high = wilson(part, given.runs)
            lines.append(
                f"| {share:.0%} | {windows} | {draws} | {answered:.0%} | {part:.1%} ({low:.1%} to {high:.1%}) | "
                f"{bias:+.2%} | {width:.1%} |"
            )
    else:
        lines += [
            "| People, and how often each says any class | Good ones believed | A bad one believed |",
            "|---|---:|---:|",
        ]
        for wrong in _GATE:
            kept, fooled = fates(wrong, inputs=30, classes=10, runs=given.runs)
            people = ", ".join(f"{share:.0%}" for share in wrong)
            lines.append(f"| {people} | {kept:.1%} | {fooled:.1%} |")
    print("\n".join(lines))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
