"""What a promotion would do and what would refuse it, without doing it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from services.common.errors import RookeryError
from workflows.release.application import load_application
from workflows.release.component import component_path, render_component
from workflows.release.evidence import Evidence, released
from workflows.release.gitops import GitOps
from workflows.release.quarantine import refuse_quarantined
from workflows.release.release import check_running, refuse_stale
from workflows.release.running import RunningModel
from workflows.release.tree import ReadTree

_SHOWN = (
    "model_version",
    "model_name",
    "metric",
    "image_digest",
    "bundle_digest",
    "dataset_digest",
    "run_id",
    "code_revision",
)


@dataclass(frozen=True)
class Difference:
    """One fact of the target and what it would become."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Plan:
    """A promotion that is not made.

    Attributes:
        model_version: that the source environment has; nothing when it has none.
        differences: facts that would change in the target; empty when it has the same already.
        refusals: every check that would refuse it now.
        diff: of the component, as git would show it.
    """

    application: str
    source: str
    target: str
    model_version: str | None
    differences: list[Difference]
    refusals: list[str]
    diff: str

    @property
    def possible(self) -> bool:
        return not self.refusals

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "possible": self.possible}


def plan(
    gitops: GitOps,
    application: str,
    source: str,
    target: str,
    *,
    running: Callable[[], RunningModel] | None = None,
) -> Plan:
    """Compare two environments at the tip and try every check of a promotion.

    Args:
        running: asks the server of the source environment; without it the server is not asked.

    Raises:
        NotFound: unknown application or environment.
    """
    return plan_in(gitops.tree(), application, source, target, running=running)


def plan_in(
    tree: ReadTree,
    application: str,
    source: str,
    target: str,
    *,
    running: Callable[[], RunningModel] | None = None,
) -> Plan:
    """As `plan`, in the files of any commit or folder."""
    facts = load_application(tree, application)
    facts.check_environment(source)
    facts.check_environment(target)
    refusals: list[str] = []
    _try(refusals, lambda: facts.check_transition(source, target))
    origin, there = released(tree, application, source), released(tree, application, target)
    if origin is None:
        refusals.append(f"nothing is released to {application} {source}")
        return Plan(application, source, target, None, [], refusals, "")
    proof = origin.evidence
    if proof.gate.decision != "accepted":
        refusals.append(f"version {proof.model_version} did not pass its gate")
    if running is not None:
        ask = running
        _try(refusals, lambda: check_running(proof, ask(), source))
    _try(refusals, lambda: refuse_quarantined(tree, proof))
    _try(refusals, lambda: refuse_stale(proof.model_copy(update={"environment": target}), there))
    differences = _differences(there.evidence if there else None, proof)
    before = tree.read(component_path(application, target)) or b""
    after = render_component(proof.image_name, proof.image_digest, proof.model_version)
    path = component_path(application, target)
    lines = difflib.unified_diff(
        before.decode().splitlines(), after.decode().splitlines(), f"a/{path}", f"b/{path}", lineterm=""
    )
    return Plan(application, source, target, proof.model_version, differences, refusals, "\n".join(lines))


def _differences(before: Evidence | None, after: Evidence) -> list[Difference]:
    found = []
    for name in _SHOWN:
        old, new = _text(before, name), _text(after, name)
        if old != new:
            found.append(Difference(name, old, new))
    return found


def _text(evidence: Evidence | None, name: str) -> str | None:
    if evidence is None:
        return None
    value = getattr(evidence, name)
    return f"{value.name} {value.value:.6g}" if name == "metric" else str(value)


def _try(refusals: list[str], check: Callable[[], None]) -> None:
    try:
        check()
    except RookeryError as error:
        refusals.append(str(error))
