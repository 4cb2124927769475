"""Has what the model sees changed? Effect sizes and tests on counts, corrected for how many things are looked at.

A test alone cries wolf on millions of predictions, and an effect size alone on a hundred; an alarm needs both: the
difference is surely there (adjusted p-value) and it is large enough to matter (total variation beyond what chance
explains). How often it is wrong is measured by `services.monitor.simulate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.monitor.histogram import Counts

State = Literal["steady", "drift", "not enough evidence"]
Floats = NDArray[np.float64]

MINIMUM = 50
ALPHA = 0.01
LARGE = 0.10
_EXPECTED = 5.0
_SMOOTHING = 0.5


@dataclass(frozen=True)
class Effect:
    """How far two histograms are apart.

    Attributes:
        total_variation: half the sum of absolute differences of the shares, 0 to 1.
        excess: total variation beyond what chance alone gives two samples of these sizes, 0 to 1.
        psi: population stability index, with half a count added to each bin.
        wasserstein: mean distance that values have to move, in standard deviations of the reference; NaN for labels.
        ks: largest difference of the cumulative shares at the edges; NaN for labels.
        p_value: of a two-sample chi-square test, bins of few counts joined with their neighbours.
    """

    total_variation: float
    excess: float
    psi: float
    wasserstein: float
    ks: float
    p_value: float


@dataclass(frozen=True)
class Finding:
    """One thing that was compared; `adjusted` is the p-value after Holm's correction."""

    name: str
    state: State
    count: int
    reference_count: int
    effect: Effect | None
    adjusted: float | None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Flat, for JSON; what cannot be computed is null."""
        effect = {} if self.effect is None else vars(self.effect)
        numbers = {name: (float(value) if np.isfinite(value) else None) for name, value in effect.items()}
        return {
            "name": self.name,
            "state": self.state,
            "count": self.count,
            "reference_count": self.reference_count,
            "adjusted_p_value": self.adjusted,
            "note": self.note,
            **numbers,
        }


def compare(reference: Counts, window: Counts, edges: Sequence[float] | None) -> Effect:
    """The distance of two histograms with the same bins; `edges` is None where bins have no order.

    Raises:
        ValueError: one of them is empty, or their bins differ.
    """
    if reference.shape != window.shape or reference.sum() == 0 or window.sum() == 0:
        raise ValueError("two histograms with the same bins and some counts are needed")
    p, q = reference / reference.sum(), window / window.sum()
    distance = float(0.5 * np.abs(p - q).sum())
    smooth_p = (reference + _SMOOTHING) / (reference.sum() + _SMOOTHING * len(reference))
    smooth_q = (window + _SMOOTHING) / (window.sum() + _SMOOTHING * len(window))
    psi = float(((smooth_q - smooth_p) * np.log(smooth_q / smooth_p)).sum())
    wasserstein = ks = float("nan")
    if edges is not None:
        bounds = np.asarray(edges, np.float64)
        gap = np.abs(np.cumsum(p - q))[:-1]
        middle = (bounds[1:] + bounds[:-1]) / 2
        mean = float(p @ middle)
        deviation = float(np.sqrt(p @ (middle - mean) ** 2)) or float(bounds[1] - bounds[0])
        wasserstein, ks = float((gap * np.diff(middle)).sum()) / deviation, float(gap.max(initial=0.0))
    excess = max(0.0, distance - _chance(reference, window))
    return Effect(
        distance, excess, psi, wasserstein, ks, chi_square(reference, window, ordered=edges is not None)
    )


def chi_square(reference: Counts, window: Counts, *, ordered: bool) -> float:
    """p-value of the test that both are samples of one distribution; 1 when only one bin is left."""
    from scipy.stats import chi2

    table = _joined(np.stack([reference, window]).astype(np.float64), ordered=ordered)
    if table.shape[1] < 2:
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, table.shape[1] - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: the chance of one false alarm or more among all is at most the level (Holm 1979)."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return [float(value) for value in adjusted]


def judge(
    pairs: Mapping[str, tuple[Counts, Counts, Sequence[float] | None]],
    *,
    alpha: float = ALPHA,
    large: float = LARGE,
    minimum: int = MINIMUM,
) -> list[Finding]:
    """A finding for each name; `pairs` gives reference, window, and edges or None.

    Args:
        alpha: chance of any false alarm among all names, at most.
        large: total variation beyond chance from which a difference matters.
        minimum: fewer values than this on either side are not judged.
    """
    effects: dict[str, Effect] = {}
    notes: dict[str, str] = {}
    for name, (reference, window, edges) in pairs.items():
        have = (int(reference.sum()), int(window.sum()))
        if min(have) < minimum:
            what = "no values" if have[1] == 0 else f"{have[1]} values against {have[0]}"
            notes[name] = f"{what}; {minimum} are needed on both sides"
            continue
        effects[name] = compare(reference, window, edges)
        if edges is not None and np.count_nonzero(window) == 1 < np.count_nonzero(reference):
            notes[name] = "all values lie in one bin: a constant input?"
    adjusted = dict(zip(effects, holm([effect.p_value for effect in effects.values()]), strict=True))
    findings = []
    for name, (reference, window, _) in pairs.items():
        state: State = "not enough evidence"
        if name in effects:
            sure = adjusted[name] <= alpha and effects[name].excess >= large
            state = "drift" if sure else "steady"
        findings.append(
            Finding(
                name,
                state,
                int(window.sum()),
                int(reference.sum()),
                effects.get(name),
                adjusted.get(name),
                notes.get(name, ""),
            )
        )
    return findings


def overall(findings: Sequence[Finding]) -> State:
    """Drift if anything drifts; not enough evidence if nothing could be judged."""
    states = {finding.state for finding in findings}
    if "drift" in states:
        return "drift"
    return "steady" if "steady" in states else "not enough evidence"


def _chance(reference: Counts, window: Counts) -> float:
    """Expected total variation of two samples of the pooled distribution (normal approximation, bin by bin)."""
    pooled = (reference + window) / (reference.sum() + window.sum())
    spread = np.sqrt(pooled * (1 - pooled) * (1 / reference.sum() + 1 / window.sum()))
    return float(0.5 * np.sqrt(2 / np.pi) * spread.sum())


def _joined(table: Floats, *, ordered: bool) -> Floats:
    """Neighbouring columns (or, without an order, the rarest) joined until each expects five counts in both rows."""
    shares = table.sum(axis=1) / table.sum()
    needed = _EXPECTED / shares.min()
    if not ordered:
        table = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    columns: list[Floats] = []
    open_ = np.zeros(2)
    for column in table.T:
        open_ = open_ + column
        if open_.sum() >= needed:
            columns.append(open_)
            open_ = np.zeros(2)
    if open_.sum() > 0:
        if columns:
            columns[-1] = columns[-1] + open_
        else:
            columns.append(open_)
    return np.array(columns).T if columns else np.zeros((2, 0))
