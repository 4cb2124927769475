"""One candidate on one holdout: scored, measured, compared with production, and written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.bundle.reader import Bundle
from services.data.dataset import Dataset, Item
from services.evaluate import holdout
from services.evaluate.bootstrap import Interval, interval, intervals, resample
from services.evaluate.calibration import Reliability, reliability
from services.evaluate.gate import Comparison, Measured
from services.evaluate.holdout import Reply, Scored
from services.evaluate.metrics import Answers, confusion, measure
from services.evaluate.policy import Policy
from services.evaluate.tables import AUDIO, IMAGE, class_rows, rare_classes, slice_rows
from services.serve.predictor import Predictor

Score = Callable[[Predictor, Sequence[Item]], Scored]


@dataclass(frozen=True)
class Production:
    """The version that the alias `production` points to."""

    version: str
    bundle: Bundle


class Study:
    """Numbers about a candidate, each computed once.

    Args:
        predictor: the candidate's.
        production: what to compare with, if anything is in production.
        score: asks a model for all items.
    """

    def __init__(
        self,
        policy: Policy,
        candidate: Bundle,
        predictor: Predictor,
        data: Dataset,
        production: Production | None,
        score: Score,
    ) -> None:
        self.policy, self.candidate, self.predictor = policy, candidate, predictor
        self.production, self.manifest = production, candidate.manifest
        self._score = score
        self._multi = self.manifest.task == "multi-label"
        self.items = data.split("evaluation")
        self._truth = holdout.truth_of(self.items, self.manifest.labels, multi_label=self._multi)

    @cached_property
    def scored(self) -> Scored:
        """The candidate's replies."""
        return self._score(self.predictor, self.items)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The items that count: readable, with at least one label that the model knows."""
        return np.flatnonzero(self.scored.readable & self._truth.any(axis=1))

    @cached_property
    def kept(self) -> list[Item]:
        """The items of `rows`."""
        return [self.items[row] for row in self.rows.tolist()]

    @cached_property
    def replies(self) -> list[Reply]:
        """The replies of `rows`."""
        found = [self.scored.replies[row] for row in self.rows]
        return [reply for reply in found if isinstance(reply, Reply)]

    @cached_property
    def answers(self) -> Answers:
        """Of `rows`, as they are served."""
        return self._answers(self.rows)

    @cached_property
    def raw(self) -> Answers:
        """Of `rows`, without temperature."""
        return self._answers(self.rows, raw=True)

    @cached_property
    def calibration(self) -> tuple[Reliability, Reliability]:
        """Before and after the temperature."""
        return reliability(self.raw), reliability(self.answers)

    @cached_property
    def measured(self) -> Measured:
        """What the gate looks at."""
        counts = self.manifest.dataset.class_counts
        return Measured(
            metrics={str(name): value for name, value in measure(self.answers).items()},
            classes=class_rows(self.answers, self.manifest.labels, counts),
            ece=self.calibration[1].ece,
            p95_ms=float(np.percentile(self.scored.latency_ms, 95)),
            bundle_bytes=sum(path.stat().st_size for path in self.candidate.folder.iterdir()),
            holdout=len(self.rows),
            comparison=self._comparison(),
            lost_labels=self._lost_labels(),
        )

    def summary(self) -> dict[str, float]:
        """The numbers that gate.json and the run in MLflow carry."""
        measured = self.measured
        return {
            **measured.metrics,
            "ece": measured.ece,
            "ece_before_temperature": self.calibration[0].ece,
            "p50_ms": float(np.percentile(self.scored.latency_ms, 50)),
            "p95_ms": measured.p95_ms,
            "bundle_bytes": measured.bundle_bytes,
            "holdout_items": measured.holdout,
            "novel_share": self._novel_share(),
        }

    def document(self) -> dict[str, Any]:
        """Everything that was measured, for metrics.json."""
        measured, policy, summary = self.measured, self.policy, self.summary()
        return {
            "metrics": measured.metrics,
            "intervals": {name: asdict(one) for name, one in self._intervals().items()},
            "bootstrap": {
                "resamples": policy.resamples,
                "seed": policy.seed,
                "confidence": policy.confidence,
                "groups": len({item.group for item in self.kept}),
            },
            "holdout": {"items": measured.holdout, "skipped": self._skipped()},
            "labels": self.manifest.labels,
            "classes": [asdict(row) for row in measured.classes],
            "rare_classes": [self.manifest.labels[index] for index in self._rare()],
            "slices": self._slices(),
            "confusion": confusion(self.answers).tolist(),
            "calibration": self._calibration(),
            "latency_ms": {
                "p50": summary["p50_ms"],
                "p95": summary["p95_ms"],
                "files": len(self.scored.latency_ms),
                "threads": 1,
            },
            "bundle_bytes": measured.bundle_bytes,
            "novel_share": summary["novel_share"],
            "comparison": None if measured.comparison is None else asdict(measured.comparison),
        }

    def _answers(self, rows: NDArray[np.int64], *, raw: bool = False) -> Answers:
        return holdout.answers_of(
            self.scored,
            self._truth,
            rows,
            multi_label=self._multi,
            threshold=self.manifest.threshold,
            raw=raw,
        )

    def _resampled(self, models: Sequence[Answers], rows: NDArray[np.int64]) -> list[dict[Any, Any]]:
        groups = holdout.groups_of([self.items[row] for row in rows.tolist()])
        return resample(models, groups, resamples=self.policy.resamples, seed=self.policy.seed)

    def _intervals(self) -> Mapping[Any, Interval]:
        return intervals(self._resampled([self.answers], self.rows)[0], self.policy.confidence)

    def _comparison(self) -> Comparison | None:
        rule, production = self.policy.no_worse, self.production
        if rule is None or production is None:
            return None
        others = self._score(Predictor(production.bundle, threads=1), self.items)
        rows = self.rows[others.readable[self.rows]]
        mine = other = math.nan
        bounds = Interval(math.nan, math.nan)
        if len(rows):
            ours, theirs = self._answers(rows), self._theirs(others, rows, production)
            first, second = self._resampled([ours, theirs], rows)
            mine, other = measure(ours)[rule.metric], measure(theirs)[rule.metric]
            bounds = interval(first[rule.metric] - second[rule.metric], self.policy.confidence)
        return Comparison(
            version=production.version,
            bundle_digest=production.bundle.digest,
            metric=rule.metric,
            items=len(rows),
            candidate=mine,
            production=other,
            difference=mine - other,
            interval=bounds,
        )

    def _lost_labels(self) -> list[str] | None:
        if self.production is None:
            return None
        known = set(self.manifest.labels)
        return [label for label in self.production.bundle.manifest.labels if label not in known]

    def _theirs(self, others: Scored, rows: NDArray[np.int64], production: Production) -> Answers:
        manifest = production.bundle.manifest
        place = {label: index for index, label in enumerate(manifest.labels)}
        return holdout.answers_of(
            others,
            self._truth,
            rows,
            multi_label=self._multi,
            threshold=manifest.threshold,
            columns=[place.get(label, -1) for label in self.manifest.labels],
        )

    def _novel_share(self) -> float:
        threshold = self.manifest.novelty.threshold
        return float(np.mean([reply.novelty > threshold for reply in self.replies]))

    def _rare(self) -> NDArray[np.int64]:
        return rare_classes(self.manifest.labels, self.manifest.dataset.class_counts)

    def _slices(self) -> list[dict[str, Any]]:
        rows = [reply.features for reply in self.replies]
        names = sorted({name for row in rows for name in row})
        features = {name: np.array([row.get(name, math.nan) for row in rows]) for name in names}
        kinds = AUDIO if self.manifest.preprocessing.kind == "audio" else IMAGE
        return [asdict(row) for row in slice_rows(self.answers, features, kinds, self._rare())]

    def _calibration(self) -> dict[str, Any]:
        before, after = self.calibration
        return {
            "temperature": self.manifest.temperature,
            "ece_before": before.ece,
            "ece_after": after.ece,
            "bins": [
                {"count": int(count), "said": float(said), "happened": float(happened)}
                for count, said, happened in zip(after.counts, after.said, after.happened, strict=True)
            ],
        }

    def _skipped(self) -> list[dict[str, str]]:
        kept = set(self.rows.tolist())
        return [
            {"id": self.items[row].id, "reason": reply if isinstance(reply, str) else "no known label"}
            for row, reply in enumerate(self.scored.replies)
            if row not in kept
        ]
