"""Give the canary a share of the live traffic, or take it back: one commit, as a release is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from services.common.digest import short
from services.common.errors import InvalidInput, NotFound, Refused
from workflows.release.application import APPS, ApplicationFacts, load_application
from workflows.release.component import component_path, release_folder
from workflows.release.evidence import Evidence, released
from workflows.release.gitops import Done, GitOps, Message
from workflows.release.history import SHARE, steps
from workflows.release.names import check_token, one_line
from workflows.release.quarantine import refuse_quarantined
from workflows.release.release import commit_confined
from workflows.release.share import GATEWAY_FACT, MOST, has_gateway, share_of, sharing_pair, with_share
from workflows.release.tree import Tree

GATEWAY_COMPONENT = b"../../../serve/gateway\n"


@dataclass(frozen=True)
class Sharing:
    """How the live traffic of an application is divided.

    Attributes:
        live, canary: the environment whose traffic it is, and the one before it, which may get a share.
        share: percent that the canary gets.
        commit, at, requested_by: of the commit that said so; empty when nobody ever did.
    """

    application: str
    live: str
    canary: str
    share: int
    live_version: str
    canary_version: str
    commit: str = ""
    at: str = ""
    requested_by: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def sentence(self) -> str:
        """The same for people."""
        if not self.share:
            return (
                f"All live traffic of {self.application} goes to {self.live} (version {self.live_version})."
            )
        said = f", since {self.at} by {self.requested_by} (commit {self.commit[:12]})" if self.commit else ""
        return (
            f"{self.share} % of the live traffic of {self.application} goes to {self.canary} "
            f"(version {self.canary_version}), {100 - self.share} % to {self.live} (version {self.live_version}){said}."
        )


def read_sharing(tree: Tree, application: str) -> Sharing:
    """How the live traffic is divided at a commit.

    Raises:
        NotFound: there is no such application, or it has one environment only.
    """
    canary, live = _pair(load_application(tree, application))
    path = component_path(application, live)
    runs, gets = (_version(tree, application, name) for name in (live, canary))
    past = steps(tree.git, tree.revision, release_folder(application, live), application, live)
    last = next((step for step in past if step.action == SHARE), None)
    percent = share_of(tree.read(path), path)
    if last is None or not percent:
        return Sharing(application, live, canary, percent, runs, gets)
    by = last.trailers.get("Requested-By", "")
    return Sharing(application, live, canary, percent, runs, gets, last.commit, last.at, by)


def set_share(
    gitops: GitOps,
    application: str,
    percent: int,
    *,
    verified: Callable[[Evidence], None],
    requested_by: str,
    workflow: str,
    reason: str = "",
) -> tuple[Sharing, bool]:
    """Divide the live traffic by one commit; returns what holds now, and whether a commit was made for it.

    Args:
        percent: that the canary gets, at most 50; 0 sends all to production again and is never refused.
        verified: asked about the release of the canary before it gets anything; raises when it does not hold.

    Raises:
        InvalidInput: no such percentage.
        NotFound: unknown application.
        Refused: the site has no gateway, nothing is released to one of the two, both have the same version, the
            canary's is older or in quarantine, or `verified` says no.
    """
    if not 0 <= percent <= MOST:
        raise InvalidInput("this is no share of live traffic", value=percent, allowed=f"0 to {MOST} percent")
    check_token(workflow, "workflow")
    canary, live = _pair(load_application(gitops.tree(), application))
    sure: set[str] = set()

    def change(tree: Tree) -> Message | Done:
        path = component_path(application, live)
        component = tree.read(path)
        before = share_of(component, path)
        proof = None
        if percent:
            proof = _fit(tree, application, canary, live)
            if proof.image_digest not in sure:
                verified(proof)
                sure.add(proof.image_digest)
        if before == percent or component is None:
            return Done(tree.revision)
        tree.write(path, with_share(component, percent))
        return _message(application, (canary, live), percent, before, proof, requested_by, workflow, reason)

    commit = commit_confined(gitops, application, live, change)
    return read_sharing(gitops.tree(), application), commit.created


def _pair(facts: ApplicationFacts) -> tuple[str, str]:
    pair = sharing_pair(facts)
    if pair is None:
        raise NotFound(f"{facts.name} has no environment before {facts.environments[-1]}", value=facts.name)
    return pair


def _version(tree: Tree, application: str, environment: str) -> str:
    found = released(tree, application, environment)
    return found.evidence.model_version if found else "none"


def _fit(tree: Tree, application: str, canary: str, live: str) -> Evidence:
    """The release that may get live traffic."""
    if not has_gateway(tree):
        raise Refused(
            "this site has no gateway, so nothing can divide live traffic",
            value=GATEWAY_FACT,
            allowed="`gateway: true` in the inventory, then playbooks/platform.yml",
        )
    path = f"{APPS}/{application}/{live}/kustomization.yaml"
    if GATEWAY_COMPONENT not in (tree.read(path) or b""):
        raise Refused(
            f"{application} {live} has no gateway", value=path, allowed="the component serve/gateway"
        )
    found, there = released(tree, application, canary), released(tree, application, live)
    for name, release in ((canary, found), (live, there)):
        if release is None:
            raise Refused(f"nothing is released to {application} {name}, so there is nothing to compare")
    assert found is not None and there is not None
    proof = found.evidence
    if proof.bundle_digest == there.evidence.bundle_digest and proof.image_digest == there.image_digest:
        raise Refused(
            f"{canary} and {live} of {application} have the same version", value=proof.model_version
        )
    if proof.version < there.evidence.version:
        raise Refused(
            f"{canary} has an older version than {live} of {application}",
            value=proof.model_version,
            allowed=f"newer than {there.evidence.model_version}",
        )
    refuse_quarantined(tree, proof)
    return proof


def _message(
    application: str,
    pair: tuple[str, str],
    percent: int,
    before: int,
    proof: Evidence | None,
    requested_by: str,
    workflow: str,
    reason: str,
) -> Message:
    canary, live = pair
    place = f"release: {application} {live}"
    subject = f"{place}: all live traffic back from {canary}"
    trailers = {
        "Application": application,
        "Action": SHARE,
        "Share": str(percent),
        "From": canary,
        "To": live,
        "Workflow": workflow,
        "Requested-By": one_line(requested_by, 200),
    }
    if proof is not None:
        given = f"{percent} % of the live traffic to {canary}"
        subject = f"{place}: {given}, version {proof.model_version} ({short(proof.image_digest)})"
        trailers |= {"Model-Version": proof.model_version, "Image": proof.image_digest}
    if reason:
        trailers["Reason"] = one_line(reason)
    return Message(
        subject, trailers, (f"Before, it was {before} %; requested by {one_line(requested_by, 200)}.",)
    )
