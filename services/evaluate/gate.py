"""The verdict: which checks of a policy a model passes, and why it is refused.

The comparison with the version in production. Both are scored on the same items of the same holdout, and with
the same bootstrap draws. Let d be the candidate's value of the policy's metric less production's, and
[low, high] the percentile interval of d over the draws at the policy's confidence. The candidate is worse,
and refused, when

- high < 0: the whole interval lies below zero, so it is worse beyond chance; or
- d < -margin: it is further below than the policy allows, whatever the interval (so that a small holdout,
  whose interval is wide, does not wave everything through).

Otherwise it is "no worse". Without a version in production the check passes and says so.

Both are scored on the labels that the candidate knows, so a candidate that dropped a class would never be asked
about it. That is a check of its own: who relies on a class must not lose it unless the policy says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from services.evaluate.bootstrap import Interval
from services.evaluate.policy import ClassFloors, NoWorse, Policy

ACCEPTED, REFUSED = "accepted", "refused"
_NAMED = 5


@dataclass(frozen=True)
class ClassRow:
    """One class of the holdout; values are NaN where they cannot be computed."""

    label: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    training: int


@dataclass(frozen=True)
class Comparison:
    """The candidate beside the version in production, on the same items.

    Attributes:
        items: how many both could be asked.
        candidate, production: values of `metric`.
        difference: candidate less production, with its paired bootstrap interval.
    """

    version: str
    bundle_digest: str
    metric: str
    items: int
    candidate: float
    production: float
    difference: float
    interval: Interval


@dataclass(frozen=True)
class Measured:
    """What the gate looks at.

    Attributes:
        lost_labels: what production knows and the candidate does not; None without a version in production.
    """

    metrics: Mapping[str, float]
    classes: Sequence[ClassRow]
    ece: float
    p95_ms: float
    bundle_bytes: int
    holdout: int
    comparison: Comparison | None
    lost_labels: Sequence[str] | None = None


@dataclass(frozen=True)
class Check:
    """One check; `bound` is what `value` was held against."""

    name: str
    value: float | None
    bound: float | None
    passed: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """All checks, passed and failed; refused when any failed, with one reason for each."""

    checks: list[Check]

    @property
    def decision(self) -> str:
        """`accepted` or `refused`."""
        return ACCEPTED if all(check.passed for check in self.checks) else REFUSED

    @property
    def reasons(self) -> list[str]:
        """The sentences of the checks that failed."""
        return [check.detail for check in self.checks if not check.passed]

    def as_dict(self) -> dict[str, Any]:
        """Decision, reasons and checks, for gate.json."""
        checks = [asdict(check) for check in self.checks]
        return {"decision": self.decision, "reasons": self.reasons, "checks": checks}


def judge(policy: Policy, measured: Measured) -> Verdict:
    """Hold what was measured against every bound of the policy."""
    checks = [at_least("holdout items", measured.holdout, policy.minimum_holdout)]
    for name, floor in policy.floors.model_dump(exclude_none=True).items():
        checks.append(at_least(name, measured.metrics.get(name, math.nan), floor))
    checks += _class_checks(policy.class_floors, measured.classes)
    if policy.no_worse is not None:
        checks.append(_no_worse(policy.no_worse, measured.comparison))
    checks.append(_labels(measured.lost_labels, allowed=policy.allow_fewer_labels))
    for name, value, bound in (
        ("bundle size in MB", measured.bundle_bytes / 1e6, policy.max_bundle_mb),
        ("p95 latency in ms", measured.p95_ms, policy.max_p95_ms),
        ("expected calibration error", measured.ece, policy.max_ece),
    ):
        if bound is not None:
            checks.append(at_most(name, value, bound))
    return Verdict(checks)


def at_least(name: str, value: float, bound: float) -> Check:
    """A floor; a value that cannot be computed does not reach it."""
    if math.isnan(value):
        return Check(name, None, bound, False, f"{name} cannot be computed on this holdout")
    passed = value >= bound
    return Check(
        name,
        value,
        bound,
        passed,
        f"{name} {_show(value)} {'reaches' if passed else 'is below'} {_show(bound)}",
    )


def at_most(name: str, value: float, bound: float) -> Check:
    """A ceiling; a value that cannot be computed does not keep it."""
    if math.isnan(value):
        return Check(name, None, bound, False, f"{name} cannot be computed on this holdout")
    passed = value <= bound
    return Check(
        name,
        value,
        bound,
        passed,
        f"{name} {_show(value)} is {'within' if passed else 'over'} {_show(bound)}",
    )


def _class_checks(floors: ClassFloors, rows: Sequence[ClassRow]) -> list[Check]:
    judged = [row for row in rows if row.support >= floors.minimum_support]
    asked = floors.model_dump(exclude={"minimum_support"}, exclude_none=True)
    return [_class_check(name, floor, judged, floors.minimum_support) for name, floor in asked.items()]


def _class_check(metric: str, floor: float, rows: Sequence[ClassRow], support: int) -> Check:
    name = f"{metric} of every class"
    if not rows:
        return Check(name, None, floor, True, f"no class has the {support} items to be judged by")
    # A class that was never predicted has no precision; that is as low as it gets.
    values = {row.label: _zero_if_nan(getattr(row, metric)) for row in rows}
    low = sorted((value, label) for label, value in values.items() if value < floor)
    least = min(values.values())
    if not low:
        return Check(
            name, least, floor, True, f"{metric} reaches {_show(floor)} in all {len(rows)} classes judged"
        )
    named = ", ".join(f"{label!r} ({_show(value)})" for value, label in low[:_NAMED])
    more = f" and {len(low) - _NAMED} more" if len(low) > _NAMED else ""
    return Check(name, least, floor, False, f"{metric} is below {_show(floor)} in {named}{more}")


def _no_worse(rule: NoWorse, found: Comparison | None) -> Check:
    name = f"{rule.metric} against production"
    if found is None:
        return Check(name, None, None, True, "no version is in production to compare with")
    if math.isnan(found.difference):
        return Check(name, None, None, False, f"{rule.metric} cannot be compared on this holdout")
    low, high = found.interval.low, found.interval.high
    beyond_chance = not math.isnan(high) and high < 0
    beyond_margin = found.difference < -rule.margin
    facts = (
        f"{_show(found.candidate)} against {_show(found.production)} of version {found.version} "
        f"on {found.items} items, difference {found.difference:+.4f}, interval {low:+.4f} to {high:+.4f}"
    )
    if beyond_chance:
        detail = f"{rule.metric} is worse than production beyond chance: {facts}"
    elif beyond_margin:
        detail = f"{rule.metric} is below production by more than {_show(rule.margin)}: {facts}"
    else:
        detail = f"{rule.metric} is no worse than production: {facts}"
    return Check(name, found.difference, -rule.margin, not (beyond_chance or beyond_margin), detail)


def _labels(lost: Sequence[str] | None, *, allowed: bool) -> Check:
    if lost is None:
        return Check("labels", None, None, True, "no version is in production whose labels could be lost")
    if not lost:
        return Check("labels", 0, 0, True, "every label of the version in production is known")
    detail = f"labels that the version in production knows are missing: {_some(lost)}"
    if allowed:
        return Check("labels", len(lost), None, True, f"{detail}; the policy allows fewer labels")
    return Check("labels", len(lost), 0, False, f"{detail}; allow_fewer_labels in the policy would allow it")


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return ", ".join(repr(label) for label in labels[:_NAMED]) + more


def _zero_if_nan(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _show(value: float) -> str:
    return f"{value:g}" if float(value).is_integer() else f"{value:.4g}"
