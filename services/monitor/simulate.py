"""How often drift and judge are wrong: `python -m services.monitor.simulate [drift|watch|judge]` prints tables.

Nothing is taken from a formula: data is drawn, the same functions as in the service decide, and mistakes are counted.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.common.wilson import wilson
from services.monitor import drift, judge
from services.monitor.histogram import count_between

FEATURES = 8
_LABELS = 24
_BINS = np.linspace(-4.0, 4.0, 21)
_MIX = 1 / np.arange(1, _LABELS + 1)
_MIX /= _MIX.sum()


@dataclass(frozen=True)
class Rate:
    """A share of runs with its 95 % interval (Wilson)."""

    hits: int
    runs: int

    def interval(self) -> tuple[float, float]:
        """Low and high."""
        return wilson(self.hits / self.runs, self.runs)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{100 * self.hits / self.runs:.2f} % ({100 * low:.2f} to {100 * high:.2f})"


def drift_run(
    random: np.random.Generator, reference: int, window: int, shift: float, *, large: float = drift.LARGE
) -> bool:
    """Whether drift is called on eight features and 24 labels; one feature is shifted by so many deviations."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for number in range(FEATURES):
        name = f"feature_{number}"
        before[name] = count_between(random.normal(size=reference), _BINS)
        after[name] = count_between(random.normal(shift if number == 0 else 0.0, size=window), _BINS)
    before["label"] = random.multinomial(reference, _MIX)
    after["label"] = random.multinomial(window, _MIX)
    return _called(before, after, large)


def watch_run(random: np.random.Generator, reference: int, hourly: int, days: int) -> bool:
    """Whether drift is called at any of the looks at the last 24 hours, one an hour, while nothing changes."""
    before = _counts(random, reference)
    hours = [_counts(random, hourly) for _ in range(24 * days)]
    for end in range(24, len(hours) + 1):
        last = hours[end - 24 : end]
        if _called(before, {name: sum(one[name] for one in last) for name in before}, drift.LARGE):
            return True
    return False


def _counts(random: np.random.Generator, size: int) -> dict[str, Any]:
    counts: dict[str, Any] = {
        f"feature_{number}": count_between(random.normal(size=size), _BINS) for number in range(FEATURES)
    }
    return counts | {"label": random.multinomial(size, _MIX)}


def _called(before: dict[str, Any], after: dict[str, Any], large: float) -> bool:
    pairs = {
        name: (before[name], after[name], None if name == "label" else _BINS.tolist()) for name in before
    }
    return drift.overall(drift.judge(pairs, large=large)) == "drift"


@dataclass(frozen=True)
class Canary:
    """Shares of bad outcomes: (production, canary) for errors and slow answers, and the disagreement of a shadow."""

    errors: tuple[float, float]
    slow: tuple[float, float]
    disagreement: float | None = None


def judge_run(
    random: np.random.Generator, canary: Canary, *, most: int = 5000, look_every: int = 10
) -> tuple[judge.Verdict, int]:
    """The first final verdict and the requests it took; the judge is asked after every tenth request."""
    steps = most // look_every
    draws = {
        name: random.random((most, 2)) < np.array(rates)
        for name, rates in (("errors", canary.errors), ("slow", canary.slow))
    }
    differences = {name: draw[:, 1].astype(int) - draw[:, 0] for name, draw in draws.items()}
    if canary.disagreement is not None:
        differences["disagreement"] = (random.random(most) < canary.disagreement).astype(int)
    counts: dict[str, Counter[int]] = {name: Counter() for name in differences}
    verdict: judge.Verdict = "not enough evidence"
    for step in range(steps):
        part = slice(step * look_every, (step + 1) * look_every)
        for name, values in differences.items():
            counts[name].update(values[part].tolist())
        verdict = judge.judge(counts).verdict
        if verdict in ("promote", "roll back"):
            return verdict, (step + 1) * look_every
    return verdict, most


CANARIES = {
    "same as production, no errors": Canary((0.0, 0.0), (0.05, 0.05), 0.05),
    "same as production, 1 % errors": Canary((0.01, 0.01), (0.05, 0.05), 0.05),
    "at the edge of tolerance: disagrees 10 %": Canary((0.001, 0.001), (0.05, 0.05), 0.10),
    "errors at the margin: +1 %": Canary((0.001, 0.011), (0.05, 0.05), 0.05),
    "errors +5 %": Canary((0.001, 0.051), (0.05, 0.05), 0.05),
    "slow at the margin: +5 %": Canary((0.001, 0.001), (0.05, 0.10), 0.05),
    "slow +20 %": Canary((0.001, 0.001), (0.05, 0.25), 0.05),
    "disagrees at the margin: 20 %": Canary((0.001, 0.001), (0.05, 0.05), 0.20),
    "disagrees 40 %": Canary((0.001, 0.001), (0.05, 0.05), 0.40),
    "every answer fails": Canary((0.0, 1.0), (0.05, 0.05), 0.05),
}


def drift_table(runs: int, seed: int) -> list[str]:
    """Rows of a table: how often drift is called, with and without the effect size."""
    random = np.random.default_rng(seed)
    lines = [
        "| Reference | Window | Shift of one feature | Called drift | By the test alone |",
        "|---:|---:|---:|---:|---:|",
    ]
    for reference, window, shift in (
        *((n, m, 0.0) for n in (200, 1000, 10_000) for m in (100, 1000, 10_000)),
        (1000, 100_000, 0.05),
        (1000, 1000, 0.3),
        (1000, 1000, 0.5),
        (1000, 200, 0.5),
        (1000, 1000, 1.0),
    ):
        called = sum(drift_run(random, reference, window, shift) for _ in range(runs))
        alone = sum(drift_run(random, reference, window, shift, large=0.0) for _ in range(runs))
        lines.append(
            f"| {reference:,} | {window:,} | {shift:g} σ | {Rate(called, runs)} | {Rate(alone, runs)} |"
        )
    return lines


def watch_table(runs: int, seed: int) -> list[str]:
    """Rows of a table: how often drift is called at least once in a week in which nothing changes."""
    random = np.random.default_rng(seed)
    lines = ["| Reference | Predictions a day | Called at least once in a week |", "|---:|---:|---:|"]
    for reference, hourly in ((200, 5), (1000, 5), (1000, 40), (10_000, 40)):
        called = sum(watch_run(random, reference, hourly, 7) for _ in range(runs))
        lines.append(f"| {reference:,} | {24 * hourly:,} | {Rate(called, runs)} |")
    return lines


def judge_table(runs: int, seed: int) -> list[str]:
    """Rows of a table: verdicts and the requests they took."""
    random = np.random.default_rng(seed)
    lines = [
        "| Canary | Promoted | Rolled back | Held to the end | Median requests | 95th percentile |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, canary in CANARIES.items():
        found = [judge_run(random, canary) for _ in range(runs)]
        verdicts = Counter(verdict for verdict, _ in found)
        held = runs - verdicts["promote"] - verdicts["roll back"]
        taken = np.percentile([count for _, count in found], [50, 95])
        rates = (Rate(verdicts["promote"], runs), Rate(verdicts["roll back"], runs), Rate(held, runs))
        lines.append(f"| {name} | {rates[0]} | {rates[1]} | {rates[2]} | {taken[0]:.0f} | {taken[1]:.0f} |")
    return lines


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["drift", "watch", "judge"], nargs="?")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=6)
    given = parser.parse_args()
    for name, table in (("drift", drift_table), ("watch", watch_table), ("judge", judge_table)):
        if given.what in (None, name):
            rows = table(given.runs, given.seed)
            sys.stdout.write(
                "\n".join([f"{name}: {given.runs} runs each, seed {given.seed}", "", *rows, "", ""])
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
