"""What the steps have to tell people; see `services.common.notices`. None of it can fail or hold up a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.common.digest import short
from services.common.notices import tell
from workflows.release.evidence import Evidence

_HOLDERS = ("child '", "retryStrategy")
_METRICS = ("accuracy", "macro_f1", "map")


def judged(verdict: Mapping[str, Any], run_id: str, report: str) -> None:
    """The gate accepted or refused a model; `verdict` is the answer of the evaluate service."""
    application, version = str(verdict.get("application", "")), str(verdict.get("new_model_version", ""))
    reasons = [str(reason) for reason in verdict.get("reasons", [])]
    if version:
        subject = f"version {version} of {application or 'a model'} is accepted"
    else:
        subject = f"a model of {application or 'an application'} is refused: {'; '.join(reasons)}"
    measured = {
        name: f"{verdict[name]:.4g}" for name in _METRICS if isinstance(verdict.get(name), (int, float))
    }
    tell(
        "gate",
        application,
        "",
        subject,
        decision="accepted" if version else "refused",
        version=version,
        model_name=verdict.get("model_name"),
        **measured,
        reasons="\n".join(reasons),
        compared_with_version=verdict.get("compared_with_version"),
        run=run_id,
        report=report,
    )


def delivered(proof: Evidence, commit: str) -> None:
    """A release runs and is verified."""
    place = f"{proof.application} {proof.environment}"
    back = proof.action in ("rollback", "revert")
    tell(
        "rollback" if back else "promotion",
        proof.application,
        proof.environment,
        f"{place} runs version {proof.model_version}{' again' if back else ''}",
        version=proof.model_version,
        model_name=proof.model_name,
        came_from=proof.source_environment,
        metric=f"{proof.metric.name} {proof.metric.value:.4g}",
        image=short(proof.image_digest),
        commit=commit,
        asked_for_by=proof.requested_by,
        workflow=proof.workflow,
    )


def withdrawn(proof: Evidence, commit: str, reason: str, workflow: str) -> None:
    """A release did not hold and was taken back by `commit`; its image is in quarantine."""
    place = f"{proof.application} {proof.environment}"
    tell(
        "rollback",
        proof.application,
        proof.environment,
        f"version {proof.model_version} was taken back from {place}: {reason}",
        version=proof.model_version,
        reason=reason,
        image=f"{short(proof.image_digest)}, now in quarantine",
        commit=commit,
        workflow=workflow,
    )


def failed(
    template: str, workflow: str, status: str, failures: Sequence[str], given: Mapping[str, str]
) -> None:
    """A workflow did not succeed."""
    environment = given.get("target-environment") or given.get("environment") or ""
    # A node that only holds others says that one of them failed; the reason is with that one.
    reasons = [line for line in failures if not any(words in line for words in _HOLDERS)] or failures
    first = f": {reasons[0]}" if reasons else ""
    tell(
        "failure",
        given.get("application", ""),
        environment,
        f"{template} {workflow} ended {status}{first}",
        template=template,
        workflow=workflow,
        status=status,
        failures="\n".join(failures),
        parameters=", ".join(f"{name}={value}" for name, value in given.items() if value),
    )
