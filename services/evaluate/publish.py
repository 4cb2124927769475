"""What MLflow is told of a verdict: artifacts, metrics, one registered version, tags. Each step can be repeated."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from services.common.errors import NotFound
from services.common.mlflow_rest import MlflowClient, tags_of
from services.evaluate.files import ANSWER, GATE, METRICS, REPORT, RunFiles
from services.evaluate.gate import ACCEPTED

_MAX_ARTIFACT = 64 << 20
_MAX_TAG = 4000


def recover(client: MlflowClient, run: Mapping[str, Any], files: RunFiles) -> bool:
    """Take over a verdict that MLflow has and this disk has lost; whether there was one."""
    try:
        gate = client.download(run, f"evaluation/{GATE}", max_bytes=_MAX_ARTIFACT)
    except NotFound:
        return False
    for name in (REPORT, METRICS):
        files.write(name, client.download(run, f"evaluation/{name}", max_bytes=_MAX_ARTIFACT))
    files.write(GATE, gate)
    return True


def publish(client: MlflowClient, run: Mapping[str, Any], files: RunFiles) -> dict[str, Any]:
    """Bring the verdict on disk to MLflow and give the answer that every caller gets.

    gate.json is uploaded last, after the rest, so an `evaluation/gate.json` in MLflow stands for a whole verdict.
    """
    gate, metrics = files.json(GATE), files.json(METRICS)
    assert gate is not None and metrics is not None
    run_id = str(run["info"]["run_id"])
    for name in (REPORT, METRICS):
        content = files.read(name)
        assert content is not None
        client.upload(run, f"evaluation/{name}", content)
    for name, table in _tables(metrics).items():
        client.upload(run, f"evaluation/{name}", table)
    content = files.read(GATE)
    assert content is not None
    client.upload(run, f"evaluation/{GATE}", content)
    version = ""
    if gate["decision"] == ACCEPTED:
        version = tags_of(run).get("rookery.model_version") or register(client, run, gate)
        _point_candidate(client, gate["application"], version)
    tags = {
        "rookery.decision": gate["decision"],
        "rookery.reasons": "; ".join(gate["reasons"])[:_MAX_TAG],
        "rookery.model_version": version,
        "rookery.policy_digest": gate["policy_digest"],
    }
    values = {f"evaluation.{key}": value for key, value in gate["metrics"].items() if value is not None}
    client.log(run_id, tags=tags, metrics=values)
    answer = _answer(gate, version)
    files.write(ANSWER, answer)
    return answer


def register(client: MlflowClient, run: Mapping[str, Any], gate: Mapping[str, Any]) -> str:
    """The one version of this run in the registry, made when there is none.

    Should two exist all the same, the lower one is the version of the run.

    Raises:
        Unavailable: MLflow is away.
    """
    application, run_id = str(gate["application"]), str(run["info"]["run_id"])
    client.ensure_registered_model(application)
    tags = {
        "rookery.run_id": run_id,
        "rookery.bundle_digest": str(gate["bundle_digest"]),
        "rookery.dataset_digest": str(gate["dataset_digest"]),
        "rookery.policy_digest": str(gate["policy_digest"]),
        "rookery.model_name": str(gate["model_name"]),
        "gate": ACCEPTED,
    }
    return _version_of(client, application, run_id) or client.create_version(
        application, f"{run['info']['artifact_uri']}/bundle", run_id, tags
    )


def _version_of(client: MlflowClient, application: str, run_id: str) -> str:
    own = [v for v in client.versions(application) if v["tags"].get("rookery.run_id") == run_id]
    return min((str(v["version"]) for v in own), key=int, default="")


def _point_candidate(client: MlflowClient, application: str, version: str) -> None:
    """Point the alias `candidate` here unless a later version has it."""
    now = client.version_by_alias(application, "candidate")
    if now is None or int(now["version"]) < int(version):
        client.set_alias(application, "candidate", version)


def _answer(gate: Mapping[str, Any], version: str) -> dict[str, Any]:
    metrics = gate["metrics"]
    compared = gate["compared_with"] or {}
    return {
        "run_id": gate["run_id"],
        "new_model_version": version,
        "decision": gate["decision"],
        "reasons": gate["reasons"],
        "application": gate["application"],
        "model_name": gate["model_name"],
        "model_name_registered": gate["application"] if version else "",
        "bundle_digest": gate["bundle_digest"],
        "dataset_digest": gate["dataset_digest"],
        "policy_digest": gate["policy_digest"],
        "compared_with_version": compared.get("version", ""),
        **{
            name: metrics.get(name)
            for name in ("accuracy", "macro_f1", "map", "ece", "p95_ms", "bundle_bytes", "holdout_items")
        },
        "report": f"/reports/{gate['run_id']}",
        "judged_at": gate["judged_at"],
    }


def _tables(metrics: Mapping[str, Any]) -> dict[str, bytes]:
    if "classes" not in metrics:
        return {}
    labels = metrics["labels"]
    slices = [{**row, **row["interval"]} for row in metrics["slices"]]
    for row in slices:
        del row["interval"]
    confusion = [
        {"true": label, **dict(zip(labels, row, strict=True))}
        for label, row in zip(labels, metrics["confusion"], strict=True)
    ]
    bins = metrics["calibration"]["bins"]
    named = {"classes": metrics["classes"], "slices": slices, "confusion": confusion, "calibration": bins}
    return {f"{name}.csv": _csv(rows) for name, rows in named.items() if rows}


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
