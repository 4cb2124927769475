"""One identity from the data to the running memory: what each link is, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.common.digest import short
from workflows.local.status import EnvironmentStatus
from workflows.release.history import Why

HOLDS, BREAKS, UNKNOWN = "holds", "breaks", "unknown"


@dataclass(frozen=True)
class Link:
    """One place on the way.

    Attributes:
        identity: shown short; `whole` is all of it.
        state: holds, breaks or unknown.
        facts: lines beneath.
        href: where to read more; empty: nowhere.
    """

    name: str
    identity: str
    whole: str
    state: str
    facts: list[str] = field(default_factory=list)
    href: str = ""


@dataclass(frozen=True)
class Addresses:
    """Where more can be read; empty where nobody runs."""

    mlflow: str = ""
    evaluate: str = ""


def chain(
    why: Why, status: EnvironmentStatus | None, run: dict[str, Any] | None, addresses: Addresses
) -> list[Link]:
    """The way of what is released to an environment; empty when nothing is.

    Args:
        run: as MLflow has it; nothing when MLflow is away.
    """
    proof, since = why.evidence, why.since
    if proof is None:
        return []
    params = {item["key"]: str(item["value"]) for item in ((run or {}).get("data") or {}).get("params") or []}
    tags = {item["key"]: str(item["value"]) for item in ((run or {}).get("data") or {}).get("tags") or []}
    data = tags.get("rookery.dataset_digest", "")
    bundle = tags.get("rookery.bundle_digest", "")
    checks = proof.gate.checks
    passed = sum(1 for check in checks if check.get("passed"))
    verified = _verdict(proof.source_verification or {})
    before = proof.source_environment
    return [
        Link(
            "Data", short(proof.dataset_digest), proof.dataset_digest, _same(data, proof.dataset_digest),
            [text for text in (params.get("data_source", ""),) if text],
        ),
        Link(
            "Training", proof.run_id[:12], proof.run_id, HOLDS if run else UNKNOWN,
            [f"{proof.model_name}, code {proof.code_revision[:12]}", f"{proof.metric.name} {proof.metric.value:.4f}"],
            f"{addresses.mlflow}/#/experiments/{run['info']['experiment_id']}/runs/{proof.run_id}"
            if run and addresses.mlflow else "",
        ),
        Link(
            "Bundle", short(proof.bundle_digest), proof.bundle_digest, _same(bundle, proof.bundle_digest),
            ["the weights, as trained"],
        ),
        Link(
            "Gate", proof.gate.decision, proof.gate.policy_digest,
            HOLDS if proof.gate.decision == "accepted" else BREAKS,
            [f"{passed} of {len(checks)} checks passed", f"policy {short(proof.gate.policy_digest)}"],
            f"{addresses.evaluate}/reports/{proof.run_id}" if addresses.evaluate else "",
        ),
        Link(
            "Version", f"v{proof.model_version}", f"{proof.application} {proof.model_version}",
            _same(tags.get("rookery.model_version", ""), proof.model_version), ["in the registry of models"],
        ),
        Link(
            "Image", short(proof.image_digest), proof.image_digest, BREAKS if why.quarantined else HOLDS,
            [f"in quarantine: {why.quarantined.reason}"] if why.quarantined else [proof.image_name],
        ),
        Link(
            "Commit", since.commit[:12] if since else "–", since.commit if since else "",
            HOLDS if since else UNKNOWN,
            [
                f"{since.action} by {proof.requested_by}" if since else "",
                f"verified in {before}: {verified}" if before else "",
            ],
        ),
        _memory(proof.image_digest, status),
    ]  # fmt: skip


def _memory(image: str, status: EnvironmentStatus | None) -> Link:
    if status is None or not status.memory:
        return Link("Memory", "–", "", BREAKS if status and status.drift else UNKNOWN, ["nobody answers"])
    state = HOLDS if status.memory == image and not status.drift else BREAKS
    said = status.drift or "the server computed it from the weights it holds"
    return Link("Memory", short(status.memory), status.memory, state, [said])


def _same(found: str, expected: str) -> str:
    """MLflow's word against the evidence's."""
    if not found:
        return UNKNOWN
    return HOLDS if found == expected else BREAKS


def _verdict(found: dict[str, Any]) -> str:
    return "passed" if found.get("passed") else "failed" if found else "no record"
