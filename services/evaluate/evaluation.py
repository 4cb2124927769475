"""One evaluation: from a finished run to a verdict with everything it rests on.

Nothing outside the given folder is written here, so it can be begun again at any point.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.bundle.reader import Bundle
from services.common.errors import (
    DatasetError,
    IntegrityError,
    InvalidInput,
    NotFound,
    RookeryError,
    TooLarge,
    Unavailable,
)
from services.common.mlflow_rest import MlflowClient, tags_of
from services.data.dataset import INACCESSIBLE, Dataset, Item
from services.data.source import load_dataset
from services.data.store import ObjectStoreSettings
from services.evaluate import holdout
from services.evaluate.bundles import check_application, fetch_bundle
from services.evaluate.gate import Check, Comparison, Verdict, judge
from services.evaluate.holdout import Scored
from services.evaluate.policy import Policy, find_policy
from services.evaluate.report import failure_page, page
from services.evaluate.settings import EvaluateSettings
from services.evaluate.study import Production, Study
from services.serve.predictor import Predictor

Say = Callable[[str], None]
_NO_MEMORY = re.compile(r"bad_alloc|bad allocation|allocate memory|out of memory", re.IGNORECASE)


@dataclass(frozen=True)
class Evaluation:
    """The files of an evaluation: gate.json, metrics.json and report.html."""

    gate: dict[str, Any]
    metrics: dict[str, Any]
    html: str


def evaluate(
    client: MlflowClient, run: Mapping[str, Any], settings: EvaluateSettings, folder: Path, say: Say
) -> Evaluation:
    """Judge a run.

    A bundle that is not what training recorded, and data that is no longer what the model was trained on, are
    refusals: their verdict has one check that failed. What is only away, from the candidate's bundle to a file of the
    data or the version in production, decides nothing: it is a fault, and a later call begins anew.

    Raises:
        Unavailable: MLflow, the data or the version in production cannot be read now.
        InvalidInput: the policy is not valid; nothing is decided.
    """
    application = tags_of(run).get("rookery.application", "")
    policy = find_policy(application, settings.policy_dir)
    say("fetching the bundle")
    try:
        candidate = fetch_bundle(client, run, folder / "candidate")
        check_application(candidate, run)
        predictor = _open(candidate)
    except (IntegrityError, NotFound, InvalidInput, TooLarge) as error:
        return _not_judged(run, application, policy, "bundle", str(error))
    say("reading the data")
    data = _read_data(candidate, settings)
    if data.digest != candidate.manifest.dataset.digest:
        changed = (
            f"the data source has changed since the training: its digest is {data.digest}, the model was trained "
            f"on {candidate.manifest.dataset.digest}; train again"
        )
        return _not_judged(run, application, policy, "data", changed)
    production = _production(client, application, folder)

    def score(model: Predictor, items: Sequence[Item]) -> Scored:
        say(f"scoring {len(items)} files" + ("" if model is predictor else " with the version in production"))
        try:
            return holdout.score(
                model, items, threads=settings.threads(), latency_items=settings.latency_items
            )
        except (NotFound, IntegrityError) as error:
            raise Unavailable(f"the data cannot be read to its end: {error}") from error

    study = Study(policy, candidate, predictor, data, production, score)
    if not len(study.rows):
        reason = "no file of the evaluation split can be read, or none has a label that the model knows"
        return _not_judged(run, application, policy, "holdout", reason)
    verdict = judge(policy, study.measured)
    gate = _gate_json(run, application, policy, verdict, study.summary(), study.measured.comparison)
    say("computing intervals")
    document = study.document()
    say("writing the report")
    return Evaluation(gate, document, page(gate, document, study))


def _production(client: MlflowClient, application: str, folder: Path) -> Production | None:
    version = client.version_by_alias(application, "production")
    if version is None:
        return None
    try:
        bundle = fetch_bundle(client, client.run(str(version["run_id"])), folder / "production")
    except Unavailable:
        raise
    except RookeryError as error:
        raise Unavailable(
            f"version {version['version']}, which is in production, cannot be compared with: {error}"
        ) from error
    return Production(str(version["version"]), bundle)


def _open(bundle: Bundle) -> Predictor:
    """The bundle's models, ready to be asked; that this machine's memory is full is no fault of theirs."""
    try:
        return Predictor(bundle, threads=1)
    except InvalidInput as error:
        if isinstance(error.__cause__, MemoryError) or _NO_MEMORY.search(str(error)):
            raise Unavailable(f"there is no memory for the model now: {error}") from error
        raise


def _read_data(candidate: Bundle, settings: EvaluateSettings) -> Dataset:
    """The data that the model was trained on, or what it has become; a source that was there once is only away.

    Raises:
        Unavailable: it cannot be read, wholly or in part.
    """
    trained = candidate.manifest.dataset
    away = f"the data that the model was trained on, {trained.source}, cannot be read now"
    try:
        data = load_dataset(
            trained.source,
            store=ObjectStoreSettings(),
            roots=settings.data_roots or None,
            cache=settings.cache_dir,
        )
    except (InvalidInput, NotFound, DatasetError) as error:
        raise Unavailable(f"{away}: {error}") from error
    if data.digest == trained.digest:
        return data
    if not data.items:
        raise Unavailable(f"{away}: it is empty")
    missing = [problem for problem in data.problems if problem.reason == INACCESSIBLE]
    if missing:
        first = f"{missing[0].path}: {missing[0].detail}"
        raise Unavailable(f"{away}: {len(missing)} files or folders are inaccessible, such as {first}")
    return data


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
    comparison: Comparison | None,
) -> dict[str, Any]:
    tags = tags_of(run)
    compared_with = None
    if comparison is not None:
        compared_with = {"version": comparison.version, "digest": comparison.bundle_digest}
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
