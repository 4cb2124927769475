"""What git says of the pipeline: releases, how long they took, how many were taken back.

The four figures are those of the DORA research programme (dora.dev/guides/dora-metrics): how often production is
deployed to, how long a version takes to get there, which share of deployments had to be taken back, how long that took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from workflows.release.application import ApplicationFacts, list_applications, load_application
from workflows.release.component import release_folder
from workflows.release.history import Step, steps
from workflows.release.tree import Tree

ACTIONS = ("release", "promote", "rollback", "revert", "by-hand")
_BACK = ("rollback", "revert")
WINDOW_SECONDS = 90 * 86_400.0


@dataclass(frozen=True)
class Deployment:
    """A version that came to the last environment.

    Attributes:
        at: seconds since 1970.
        lead: seconds since the version was first released to the first environment; None when it never was.
        restored: seconds until it was taken back; None when it was not.
    """

    at: float
    lead: float | None
    restored: float | None


@dataclass(frozen=True)
class Now:
    """What an environment should run: since when, and since when the model exists."""

    version: str
    image_digest: str
    since: float
    born: float


@dataclass(frozen=True)
class Pipeline:
    """The figures of one application."""

    facts: ApplicationFacts
    actions: Mapping[tuple[str, str], int]
    now: Mapping[str, Now]
    deployments: Sequence[Deployment] = field(repr=False)

    def lead(self, since: float) -> float | None:
        """Median seconds from the first release to production, of deployments since then."""
        return _median(one.lead for one in self._recent(since))

    def restore(self, since: float) -> float | None:
        """Median seconds until a bad deployment was taken back."""
        return _median(one.restored for one in self._recent(since))

    def failure_share(self, since: float) -> float | None:
        """Share of deployments that were taken back."""
        recent = self._recent(since)
        return sum(one.restored is not None for one in recent) / len(recent) if recent else None

    def count(self, since: float) -> int:
        """Deployments since then."""
        return len(self._recent(since))

    def _recent(self, since: float) -> list[Deployment]:
        return [one for one in self.deployments if one.at >= since]


def read_pipelines(tree: Tree) -> list[Pipeline]:
    """The figures of every application at a commit."""
    return [read_pipeline(tree, load_application(tree, name)) for name in list_applications(tree)]


def read_pipeline(tree: Tree, facts: ApplicationFacts) -> Pipeline:
    """The figures of one application: two git processes for each environment."""
    past = {
        environment: steps(
            tree.git, tree.revision, release_folder(facts.name, environment), facts.name, environment
        )[::-1]
        for environment in facts.environments
    }
    actions: Counter[tuple[str, str]] = Counter()
    for environment, found in past.items():
        before = None
        for step in found:
            if step.image_digest != before:
                action = step.action if step.action in ACTIONS else "by-hand"
                actions[(environment, action)] += 1
            before = step.image_digest
    born = _born(past.values())
    now = {}
    for environment, found in past.items():
        if found and found[-1].image_digest and (proof := found[-1].evidence):
            since = _since(found)
            now[environment] = Now(
                proof.model_version, proof.image_digest, since, born.get(proof.bundle_digest, since)
            )
    return Pipeline(
        facts, actions, now, _deployments(past[facts.environments[-1]], past[facts.environments[0]])
    )


def _since(past: Sequence[Step]) -> float:
    """When the image that is there came."""
    came = past[-1]
    for step in reversed(past):
        if step.image_digest != came.image_digest:
            break
        came = step
    return _seconds(came.at)


def _deployments(last: Sequence[Step], first: Sequence[Step]) -> list[Deployment]:
    begun: dict[str, float] = {}
    for step in first:
        if step.model_version and step.action == "release":
            begun.setdefault(step.model_version, _seconds(step.at))
    found: list[Deployment] = []
    current: tuple[str, float, float | None] | None = None
    for step in last:
        if current is not None and step.image_digest == current[0]:
            continue
        if current is not None:
            at = _seconds(step.at)
            restored = at - current[1] if step.action in _BACK else None
            found.append(Deployment(current[1], current[2], restored))
            current = None
        if step.image_digest and step.action in ("release", "promote", "by-hand"):
            at = _seconds(step.at)
            start = begun.get(step.model_version or "")
            current = (step.image_digest, at, at - start if start is not None and at >= start else None)
    if current is not None:
        found.append(Deployment(current[1], current[2], None))
    return found


def _born(pasts: Iterable[Sequence[Step]]) -> dict[str, float]:
    """Bundle digest → its first release anywhere."""
    found: dict[str, float] = {}
    for past in pasts:
        for step in past:
            if step.evidence and step.image_digest:
                digest, at = step.evidence.bundle_digest, _seconds(step.at)
                found[digest] = min(at, found.get(digest, at))
    return found


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None
