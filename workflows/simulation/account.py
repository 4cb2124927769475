"""What happened in each month, and who won: figures that are counted, none that is set."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from services.common.wilson import wilson


@dataclass
class Month:
    """One month of the year.

    Attributes:
        kept, alone: for each input, whether the loop's model and the first model were right.
        groups: for each input, what it shows; several may show the same. Empty: each shows something else.
        version: that production served during the month.
        drift: the monitor's state.
        drifting: names of what it says has changed.
        labelled: inputs that were labelled at the end of the month.
        estimate: accuracy as the labels of the random share estimate it, with its interval; None without labels.
        decision, reason: the arbiter's.
        outcome: what came of a retraining; empty without one.
        promoted: the version that production serves from the next month on; empty: no new one.
        seconds: real time that the month took.
    """

    number: int
    name: str
    news: str = ""
    kept: list[bool] = field(default_factory=list)
    alone: list[bool] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    version: str = ""
    drift: str = ""
    drifting: list[str] = field(default_factory=list)
    labelled: int = 0
    estimate: tuple[float, float, float] | None = None
    decision: str = ""
    reason: str = ""
    outcome: str = ""
    promoted: str = ""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: shares in place of single answers."""
        content = asdict(self)
        for name in ("kept", "alone"):
            content[name] = share(content[name])
        del content["groups"]
        return {**content, "inputs": len(self.kept)}


@dataclass(frozen=True)
class Result:
    """The year in a few numbers.

    Attributes:
        kept, alone: accuracy over the months that count, those after the shift, since a loop that learns from what
            was served can do nothing for the month in which it first sees it.
        difference: kept less alone.
        low, high: its 95 % interval, inputs taken as pairs, and those that show the same as one draw.
    """

    seed: int
    application: str
    months: list[Month]
    counted: int
    kept: float
    alone: float
    difference: float
    low: float
    high: float

    @property
    def won(self) -> bool:
        """Whether the loop is better beyond chance."""
        return self.low > 0

    @property
    def promoted(self) -> int:
        """Versions that the loop brought to production."""
        return sum(bool(month.promoted) for month in self.months)

    @property
    def refused(self) -> int:
        """Retrainings that ended before production."""
        return sum(bool(month.outcome) and not month.promoted for month in self.months)

    @property
    def labelled(self) -> int:
        """Inputs that people would have had to look at."""
        return sum(month.labelled for month in self.months)

    def as_dict(self) -> dict[str, Any]:
        """For `--json` and the report."""
        content = {**vars(self), "months": [month.as_dict() for month in self.months]}
        return content | {"won": self.won, "lines": self.lines()}

    def lines(self) -> list[str]:
        """The last two lines."""
        whole = [share([answer for month in side for answer in month]) for side in self._sides()]
        ends = [share(side[-1]) for side in self._sides()]
        since = f"since the shift ({self.counted:,} inputs)"
        return [
            f"with the loop: {percent(self.kept)} right {since}, {percent(ends[0])} in the last month, "
            f"{percent(whole[0])} over the year; {self.promoted} retrained versions in production, "
            f"{self.refused} refused, {self.labelled:,} inputs labelled; "
            f"{100 * self.difference:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f})",
            f"without the loop: {percent(self.alone)} right {since}, {percent(ends[1])} in the last month, "
            f"{percent(whole[1])} over the year; version {self.months[0].version} all the year",
        ]

    def _sides(self) -> tuple[list[list[bool]], list[list[bool]]]:
        return [month.kept for month in self.months], [month.alone for month in self.months]


def conclude(application: str, seed: int, months: Sequence[Month], shift: int) -> Result:
    """The result of a year whose shift came in month `shift`."""
    after = [month for month in months if month.number > shift]
    pairs = [pair for month in after for pair in zip(month.kept, month.alone, strict=True)]
    differences = [int(kept) - int(alone) for kept, alone in pairs]
    count = len(differences)
    mean = sum(differences) / count
    spread = _standard_error(differences, [name for month in after for name in _names(month)])
    return Result(
        seed,
        application,
        list(months),
        count,
        share([kept for kept, _ in pairs]),
        share([alone for _, alone in pairs]),
        mean,
        mean - 1.96 * spread,
        mean + 1.96 * spread,
    )


def _names(month: Month) -> list[str]:
    names = month.groups or [str(number) for number in range(len(month.kept))]
    return [f"{month.number}/{name}" for name in names]


def _standard_error(values: Sequence[int], groups: Sequence[str]) -> float:
    """Of the mean of values that are alike within groups.

    Source: the ratio estimator for clusters of unequal sizes; Cochran, Sampling Techniques (1977), 9A.
    """
    mean = sum(values) / len(values)
    totals: dict[str, float] = defaultdict(float)
    for value, group in zip(values, groups, strict=True):
        totals[group] += value - mean
    squares = math.fsum(total**2 for total in totals.values())
    return math.sqrt(squares * len(totals) / max(1, len(totals) - 1)) / len(values)


def share(answers: Sequence[bool]) -> float:
    """Of the answers that are right."""
    return sum(answers) / len(answers) if answers else math.nan


def interval(answers: Sequence[bool], groups: Sequence[str] = ()) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927).

    Args:
        groups: what each answer is about; answers about the same are counted as one, as if all were alike.
    """
    return wilson(share(answers), len(set(groups)) or len(answers))


def percent(value: float) -> str:
    """For people."""
    return f"{100 * value:.1f} %"
