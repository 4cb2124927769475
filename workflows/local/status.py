"""What each environment should run, what it has in memory, and how it feels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from services.common.digest import short
from services.common.errors import RookeryError, Unavailable
from services.common.trust import trust_for
from workflows.local.desired import read_tip
from workflows.local.members import HOST
from workflows.local.processes import read_json
from workflows.local.settings import PlatformSettings
from workflows.release.application import ApplicationFacts, list_applications, load_application
from workflows.release.evidence import Evidence
from workflows.release.git import Git
from workflows.release.history import Why, why
from workflows.release.running import RunningModel, fetch_running
from workflows.release.tree import Tree

_ASK_SECONDS = 3.0
Explain = Callable[..., Why]


@dataclass(frozen=True)
class EnvironmentStatus:
    """One line of `rookery status`.

    Attributes:
        phase: of the deployer: empty, starting, running, restarting, failed; `unknown` when none has looked.
        digest: of the image that git names; empty when nothing is released.
        memory: digest of the image that the server says it runs; empty when nobody answers.
        version: that git names; that of memory when git cannot be read.
        health: ok, down, or empty when nothing should run.
        drift: empty when memory is what git says, else what differs.
        quarantined: why the digest that git names may be released nowhere any more; empty when it may.
        since: when git named this digest, UTC, ISO 8601.
    """

    application: str
    environment: str
    phase: str
    version: str
    digest: str
    memory: str
    metric: str
    metric_value: float | None
    since: str
    health: str
    drift: str
    reason: str
    url: str
    commit: str
    run_id: str
    quarantined: str = ""

    @property
    def good(self) -> bool:
        """Whether it is as git says, or empty as git says."""
        return not self.drift and self.phase != "failed" and self.health in ("ok", "")

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def environment_statuses(
    settings: PlatformSettings, application: str | None = None, *, explain: Explain = why
) -> list[EnvironmentStatus]:
    """Every environment of one application, or of all.

    Args:
        explain: `why`, or one that remembers what it said of a commit.

    Raises:
        NotFound: there is no such application, or no GitOps remote yet.
    """
    tip = read_tip(settings.gitops)
    tree = Tree(Git(settings.gitops), tip)
    places = environments_in(tree, application)
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as pool:
        return list(pool.map(lambda place: _status(settings, tip, place[0], place[1], explain), places))


def environments_in(tree: Tree, application: str | None = None) -> list[tuple[ApplicationFacts, str]]:
    """The environments of one application, or of all, with its facts; NotFound when there is none of that name."""
    names = [application] if application else list_applications(tree)
    found = [load_application(tree, name) for name in names]
    return [(facts, environment) for facts in found for environment in facts.environments]


def is_healthy(url: str) -> bool:
    """Whether the server answers its health check."""
    try:
        return httpx.get(
            f"{url}/healthz", timeout=_ASK_SECONDS, trust_env=False, verify=trust_for(url)
        ).is_success
    except httpx.HTTPError:
        return False


def _status(
    settings: PlatformSettings, tip: str, facts: ApplicationFacts, environment: str, explain: Explain
) -> EnvironmentStatus:
    deployed = read_json(settings.deploy / facts.name / environment / "status.json")
    port = facts.ports.get(environment, 0)
    url = f"http://{HOST}:{port}" if port else ""
    found, problem = _wanted(settings, tip, facts.name, environment, explain)
    evidence, since = (found.evidence, found.since) if found else (None, None)
    memory = _memory(url) if url and (evidence or problem) else None
    if evidence is None and memory and (memory.application, memory.environment) != (facts.name, environment):
        memory = None
    expected = evidence is not None or memory is not None
    return EnvironmentStatus(
        application=facts.name,
        environment=environment,
        phase=str(deployed.get("phase", "unknown")),
        version=evidence.model_version if evidence else memory.model_version if memory else "",
        digest=evidence.image_digest if evidence else "",
        memory=memory.image_digest if memory else "",
        metric=evidence.metric.name if evidence else "",
        metric_value=evidence.metric.value if evidence else None,
        since=since.at if since else "",
        health=("ok" if memory and is_healthy(url) else "down") if expected else "",
        drift="git is not readable" if problem else drift_of(evidence, memory),
        reason=problem or str(deployed.get("reason", "")),
        url=url if expected else "",
        commit=since.commit if since else "",
        run_id=evidence.run_id if evidence else "",
        quarantined=found.quarantined.reason if found and found.quarantined else "",
    )


def _wanted(
    settings: PlatformSettings, tip: str, application: str, environment: str, explain: Explain
) -> tuple[Why | None, str]:
    """What git says, or what is wrong with it."""
    try:
        return explain(settings.gitops, application, environment, revision=tip), ""
    except RookeryError as error:
        return None, error.message


def _memory(url: str) -> RunningModel | None:
    try:
        return fetch_running(url, timeout_seconds=_ASK_SECONDS)
    except Unavailable:
        return None


def drift_of(evidence: Evidence | None, memory: RunningModel | None) -> str:
    """What differs between git and memory; empty when nothing does."""
    if evidence is None:
        return ""
    if memory is None:
        return "nobody answers"
    if memory.image_digest != evidence.image_digest:
        return f"memory has image {short(memory.image_digest) or 'unknown'}"
    if memory.bundle_digest != evidence.bundle_digest:
        return f"memory has bundle {short(memory.bundle_digest)}"
    return ""
