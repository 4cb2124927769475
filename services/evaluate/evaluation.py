"""One evaluation: from a finished run to a verdict with everything it rests on.

Nothing outside the given folder is written here, so it can be begun again at any point.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.bundle.reader import Bundle
from services.common.errors import IntegrityError, InvalidInput, NotFound, TooLarge
from services.common.mlflow_rest import MlflowClient, tags_of
from services.data.dataset import Dataset, Item
from services.data.source import load_dataset
from services.data.store import ObjectStoreSettings
from services.evaluate import holdout
from services.evaluate.bootstrap import interval, intervals, resample
from services.evaluate.bundles import check_application, fetch_bundle
from services.evaluate.calibration import reliability
from services.evaluate.gate import Check, Comparison, Measured, Verdict, judge
from services.evaluate.metrics import Answers, confusion, measure
from services.evaluate.policy import Policy, find_policy
from services.evaluate.report import Findings, failure_page, page
from services.evaluate.settings import EvaluateSettings
from services.evaluate.tables import AUDIO, IMAGE, class_rows, rare_classes, slice_rows
from services.serve.predictor import Predictor

Say = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """The files of an evaluation: gate.json, metrics.json and report.html."""

    gate: dict[str, Any]
    metrics: dict[str, Any]
    html: str


@dataclass(frozen=True)
class _Production:
    version: str
    bundle: Bundle


def evaluate(
    client: MlflowClient, run: Mapping[str, Any], settings: EvaluateSettings, folder: Path, say: Say
) -> Evaluation:
    """Judge a run.

    A bundle that is not what training recorded, and data that is no longer what the model was trained on, are
    refusals: their verdict has one check that failed.

    Raises:
        Unavailable: MLflow or the data is away.
        InvalidInput: the policy or the data source is not valid; nothing is decided.
        IntegrityError, NotFound: the bundle in production cannot be read; nothing is decided.
    """
    application = tags_of(run).get("rookery.application", "")
    policy = find_policy(application, settings.policy_dir)
    say("fetching the bundle")
    try:
        candidate = fetch_bundle(client, run, folder / "candidate")
        check_application(candidate, run)
        predictor = Predictor(candidate, threads=1)
    except (IntegrityError, NotFound, InvalidInput, TooLarge) as error:
        return _not_judged(run, application, policy, "bundle", str(error))
    say("reading the data")
    data = load_dataset(
        candidate.manifest.dataset.source,
        store=ObjectStoreSettings(),
        roots=settings.data_roots or None,
        cache=settings.cache_dir,
    )
    if data.digest != candidate.manifest.dataset.digest:
        changed = (
            f"the data source has changed since the training: its digest is {data.digest}, the model was trained "
            f"on {candidate.manifest.dataset.digest}; train again"
        )
        return _not_judged(run, application, policy, "data", changed)
    production = _production(client, application, folder)
    return _Study(run, policy, candidate, predictor, data, production, settings, say).evaluation()


def _production(client: MlflowClient, application: str, folder: Path) -> _Production | None:
    version = client.version_by_alias(application, "production")
    if version is None:
        return None
    bundle = fetch_bundle(client, client.run(str(version["run_id"])), folder / "production")
    return _Production(str(version["version"]), bundle)


class _Study:
    """Everything about one candidate on one holdout."""

    def __init__(
        self,
        run: Mapping[str, Any],
        policy: Policy,
        candidate: Bundle,
        predictor: Predictor,
        data: Dataset,
        production: _Production | None,
        settings: EvaluateSettings,
        say: Say,
    ) -> None:
        self.run, self.policy, self.candidate, self.data = run, policy, candidate, data
        self.predictor, self.production, self.settings, self.say = predictor, production, settings, say
        self.manifest = candidate.manifest
        self.multi = self.manifest.task == "multi-label"
        self.items: Sequence[Item] = data.split("evaluation")
        self.truth = holdout.truth_of(self.items, self.manifest.labels, multi_label=self.multi)

    def evaluation(self) -> Evaluation:
        """Score, measure, compare, judge, write."""
        self.say(f"scoring {len(self.items)} files")
        scored = self._score(self.predictor)
        rows = np.flatnonzero(scored.readable & self.truth.any(axis=1))
        if not len(rows):
            reason = "no file of the evaluation split can be read, or none has a label that the model knows"
            return _not_judged(self.run, self.manifest.application, self.policy, "holdout", reason)
        answers, raw = self._answers(scored, rows), self._answers(scored, rows, raw=True)
        others = self._score_production()
        self.say("computing intervals")
        measured, metrics = self._measure(scored, rows, answers, raw, others)
        verdict = judge(self.policy, measured)
        gate = self._gate(verdict, measured, metrics)
        self.say("writing the report")
        return Evaluation(gate, metrics, self._page(gate, metrics, scored, rows, answers, raw))

    def _score(self, predictor: Predictor) -> holdout.Scored:
        return holdout.score(
            predictor,
            self.items,
            threads=self.settings.threads(),
            latency_items=self.settings.latency_items,
        )

    def _answers(self, scored: holdout.Scored, rows: NDArray[np.int64], *, raw: bool = False) -> Answers:
        return holdout.answers_of(
            scored, self.truth, rows, multi_label=self.multi, threshold=self.manifest.threshold, raw=raw
        )

    def _score_production(self) -> holdout.Scored | None:
        if self.production is None or self.policy.no_worse is None:
            return None
        self.say(f"scoring version {self.production.version}, which is in production, on the same files")
        return self._score(Predictor(self.production.bundle, threads=1))

    def _measure(
        self,
        scored: holdout.Scored,
        rows: NDArray[np.int64],
        answers: Answers,
        raw: Answers,
        others: holdout.Scored | None,
    ) -> tuple[Measured, dict[str, Any]]:
        policy, values = self.policy, measure(answers)
        items = [self.items[row] for row in rows]
        samples = resample([answers], holdout.groups_of(items), resamples=policy.resamples, seed=policy.seed)[
            0
        ]
        counts = self.manifest.dataset.class_counts
        before, after = reliability(raw), reliability(answers)
        replies = [reply for row in rows if isinstance(reply := scored.replies[row], holdout.Reply)]
        features = _columns([reply.features for reply in replies])
        classes = class_rows(answers, self.manifest.labels, counts)
        kinds = AUDIO if self.manifest.preprocessing.kind == "audio" else IMAGE
        rare = rare_classes(self.manifest.labels, counts)
        p50, p95 = (float(value) for value in np.percentile(scored.latency_ms, [50, 95]))
        size = sum(path.stat().st_size for path in self.candidate.folder.iterdir())
        comparison = self._compare(scored, others)
        measured = Measured(values, classes, after.ece, p95, size, len(rows), comparison)  # type: ignore[arg-type]
        metrics = {
            "metrics": values,
            "intervals": {n: asdict(i) for n, i in intervals(samples, policy.confidence).items()},
            "bootstrap": {
                "resamples": policy.resamples,
                "seed": policy.seed,
                "confidence": policy.confidence,
                "groups": len({item.group for item in items}),
            },
            "holdout": {
                "items": len(rows),
                "skipped": [
                    {"id": self.items[i].id, "reason": reply if isinstance(reply, str) else "no known label"}
                    for i, reply in enumerate(scored.replies)
                    if i not in set(rows.tolist())
                ],
            },
            "classes": [asdict(row) for row in classes],
            "slices": [asdict(row) for row in slice_rows(answers, features, kinds, rare)],
            "rare_classes": [self.manifest.labels[c] for c in rare],
            "labels": self.manifest.labels,
            "confusion": confusion(answers).tolist(),
            "calibration": {
                "temperature": self.manifest.temperature,
                "ece_before": before.ece,
                "ece_after": after.ece,
                "bins": [
                    {"count": int(n), "said": float(s), "happened": float(h)}
                    for n, s, h in zip(after.counts, after.said, after.happened, strict=True)
                ],
            },
            "latency_ms": {"p50": p50, "p95": p95, "files": len(scored.latency_ms), "threads": 1},
            "bundle_bytes": size,
            "novel_share": float(
                np.mean([reply.novelty > self.manifest.novelty.threshold for reply in replies])
            ),
            "comparison": None if comparison is None else asdict(comparison),
        }
        return measured, metrics

    def _compare(self, scored: holdout.Scored, others: holdout.Scored | None) -> Comparison | None:
        rule = self.policy.no_worse
        if others is None or self.production is None or rule is None:
            return None
        old = self.production.bundle.manifest
        rows = np.flatnonzero(scored.readable & others.readable & self.truth.any(axis=1))
        common = {"version": self.production.version, "bundle_digest": self.production.bundle.digest}
        if not len(rows):
            nan = math.nan
            return Comparison(
                **common,
                metric=rule.metric,
                items=0,
                candidate=nan,
                production=nan,
                difference=nan,
                interval=interval(np.array([nan]), self.policy.confidence),
            )
        place = {label: index for index, label in enumerate(old.labels)}
        theirs = holdout.answers_of(
            others,
            self.truth,
            rows,
            multi_label=self.multi,
            threshold=old.threshold,
            columns=[place.get(label, -1) for label in self.manifest.labels],
        )
        ours = self._answers(scored, rows)
        first, second = resample(
            [ours, theirs],
            holdout.groups_of([self.items[row] for row in rows.tolist()]),
            resamples=self.policy.resamples,
            seed=self.policy.seed,
        )
        mine, other = measure(ours)[rule.metric], measure(theirs)[rule.metric]
        return Comparison(
            **common,
            metric=rule.metric,
            items=len(rows),
            candidate=mine,
            production=other,
            difference=mine - other,
            interval=interval(first[rule.metric] - second[rule.metric], self.policy.confidence),
        )

    def _gate(self, verdict: Verdict, measured: Measured, metrics: Mapping[str, Any]) -> dict[str, Any]:
        return _gate_json(
            self.run,
            self.manifest.application,
            self.policy,
            verdict,
            {
                **measured.metrics,
                "ece": measured.ece,
                "ece_before_temperature": metrics["calibration"]["ece_before"],
                "p50_ms": metrics["latency_ms"]["p50"],
                "p95_ms": measured.p95_ms,
                "bundle_bytes": measured.bundle_bytes,
                "holdout_items": measured.holdout,
                "novel_share": metrics["novel_share"],
            },
            None
            if measured.comparison is None
            else {"version": measured.comparison.version, "digest": measured.comparison.bundle_digest},
        )

    def _page(
        self,
        gate: Mapping[str, Any],
        metrics: Mapping[str, Any],
        scored: holdout.Scored,
        rows: NDArray[np.int64],
        answers: Answers,
        raw: Answers,
    ) -> str:
        novelty = [reply.novelty for row in rows if isinstance(reply := scored.replies[row], holdout.Reply)]
        return page(
            Findings(
                gate,
                metrics,
                self.manifest,
                answers,
                raw,
                [self.items[row] for row in rows],
                novelty,
                self.predictor,
                self.policy,
            )
        )


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    names = sorted({name for row in rows for name in row})
    return {name: np.array([row.get(name, math.nan) for row in rows]) for name in names}


def _not_judged(
    run: Mapping[str, Any], application: str, policy: Policy, what: str, reason: str
) -> Evaluation:
    verdict = Verdict([Check(what, None, None, False, reason)])
    gate = _gate_json(run, application, policy, verdict, {}, None)
    return Evaluation(gate, {"metrics": {}}, failure_page(gate))


def _gate_json(
    run: Mapping[str, Any],
    application: str,
    policy: Policy,
    verdict: Verdict,
    metrics: Mapping[str, float],
    compared_with: Mapping[str, str] | None,
) -> dict[str, Any]:
    tags = tags_of(run)
    return {
        **verdict.as_dict(),
        "run_id": run["info"]["run_id"],
        "application": application,
        "model_name": tags.get("rookery.model_name", ""),
        "bundle_digest": tags.get("rookery.bundle_digest", ""),
        "dataset_digest": tags.get("rookery.dataset_digest", ""),
        "policy_digest": policy.digest,
        "policy": policy.model_dump(),
        "metrics": dict(metrics),
        "compared_with": compared_with,
        "judged_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
