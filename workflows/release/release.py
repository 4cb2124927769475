"""Bring a version into an environment: one commit that changes nothing but its release/ folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.common.digest import short
from services.common.errors import Refused
from workflows.release.application import load_application
from workflows.release.component import component_path, release_folder, render_component
from workflows.release.evidence import Evidence, Gate, Released, evidence_path, released, timestamp
from workflows.release.gitops import Change, Commit, Done, GitOps, Message
from workflows.release.history import Step, steps
from workflows.release.names import check_token, check_version, one_line
from workflows.release.quarantine import refuse_quarantined
from workflows.release.running import RunningModel
from workflows.release.share import end_share
from workflows.release.tree import Tree


@dataclass(frozen=True)
class ReleaseResult:
    """What became of a release, promotion or rollback.

    Attributes:
        commit: that holds it, made now or found.
        already_done: nothing was committed; an earlier try, or somebody else, had done it.
        current: the environment still should run it; false when a later commit has replaced it meanwhile.
        tries: pushes it took.
        warning: what whoever asked should know; empty when there is nothing.
    """

    application: str
    environment: str
    model_version: str | None
    image_digest: str | None
    commit: str
    already_done: bool
    current: bool = True
    tries: int = 0
    warning: str = ""


def release(gitops: GitOps, evidence: Evidence) -> ReleaseResult:
    """Release a new version to the first environment of its application.

    Raises:
        NotFound: unknown application or environment.
        Refused: not the first environment, gate failed, digest in quarantine, or older than what is there.
    """
    evidence = evidence.checked()

    def change(tree: Tree) -> Message | Done:
        facts = load_application(tree, evidence.application)
        facts.check_environment(evidence.environment)
        first = facts.environments[0]
        if evidence.environment != first:
            raise Refused(
                "a new version enters at the first environment", value=evidence.environment, allowed=first
            )
        check_gate(evidence.gate, evidence.model_version)
        return _enter(tree, evidence)

    return _result(
        gitops, evidence, commit_confined(gitops, evidence.application, evidence.environment, change)
    )


def promote(
    gitops: GitOps,
    application: str,
    source: str,
    target: str,
    model_version: str,
    *,
    running: Callable[[], RunningModel],
    requested_by: str,
    workflow: str,
    source_verification: Mapping[str, Any] | None = None,
    gate: Gate | None = None,
    stands_on: Callable[[Evidence], Mapping[str, Any]] | None = None,
) -> ReleaseResult:
    """Promote the version that the source environment runs to the next environment.

    Checked in this order, again for every push: names and order of the environments; the version passed its
    gate; git has it in the source environment and the server there reports it; not in quarantine; not older
    than what the target has.

    Args:
        running: asks the server of the source environment what it has in memory.
        source_verification: how the version was verified there; kept as evidence.
        gate: the verdict as the registry has it now; by default the one in the source environment's evidence.
        stands_on: asked last, what the promotion stands on beside the gate; it may refuse.

    Raises:
        NotFound: unknown application or environment.
        Refused: a check said no.
        Unavailable: the server or the remote does not answer.
    """
    version = str(check_version(model_version))
    check_token(workflow, "workflow")
    made: list[Evidence] = []

    def change(tree: Tree) -> Message | Done:
        load_application(tree, application).check_transition(source, target)
        own = _own_commit(tree, application, target, workflow, version)
        if own is not None and own.evidence is not None:
            refuse_quarantined(tree, own.evidence)
            made[:] = [own.evidence]
            return Done(own.commit)
        proof = _check_source(tree, application, source, version, running, gate)
        standing = stands_on(proof) if stands_on is not None else None
        evidence = proof.model_copy(
            update={
                "environment": target,
                "action": "promote",
                "source_environment": source,
                "source_verification": dict(source_verification) if source_verification else None,
                "stands_on": dict(standing) if standing else None,
                "gate": gate or proof.gate,
                "requested_by": one_line(requested_by, 200),
                "workflow": workflow,
                "released_at": timestamp(),
                "restored_from": None,
            }
        ).checked()
        made[:] = [evidence]
        return _enter(tree, evidence)

    commit = commit_confined(gitops, application, target, change)
    return _result(gitops, made[0], commit)


def check_promotion(
    gitops: GitOps,
    application: str,
    source: str,
    target: str,
    model_version: str,
    *,
    running: Callable[[], RunningModel],
    gate: Gate | None = None,
) -> Evidence:
    """Make every check of `promote` at the tip and commit nothing; returns the evidence of the source environment.

    Raises:
        NotFound, Refused, Unavailable: as `promote`.
    """
    version = str(check_version(model_version))
    tree = gitops.tree()
    load_application(tree, application).check_transition(source, target)
    proof = _check_source(tree, application, source, version, running, gate)
    refuse_quarantined(tree, proof)
    there = released(tree, application, target)
    refuse_stale(proof.model_copy(update={"environment": target}), there)
    return proof


def _enter(tree: Tree, evidence: Evidence) -> Message | Done:
    refuse_quarantined(tree, evidence)
    application, environment = evidence.application, evidence.environment
    own = _own_commit(tree, application, environment, evidence.workflow, evidence.model_version)
    if own is not None and own.image_digest == evidence.image_digest:
        return Done(own.commit)
    there = released(tree, application, environment)
    if there is not None and there.image_digest == evidence.image_digest:
        return Done(_since(tree, application, environment))
    refuse_stale(evidence, there)
    write_release(tree, evidence)
    return describe(evidence, there)


def refuse_stale(evidence: Evidence, there: Released | None) -> None:
    """Pass when the environment has nothing newer than `evidence`.

    Raises:
        Refused: it has.
    """
    if there is not None and there.evidence.version > evidence.version:
        raise Refused(
            f"stale: {evidence.application} {evidence.environment} has a newer version",
            value=evidence.model_version,
            allowed=f"{there.evidence.model_version} or newer",
        )


def write_release(tree: Tree, evidence: Evidence) -> None:
    """Stage component and evidence of an environment."""
    component = render_component(evidence.image_name, evidence.image_digest, evidence.model_version)
    tree.write(component_path(evidence.application, evidence.environment), component)
    tree.write(evidence_path(evidence.application, evidence.environment), evidence.to_bytes())


def describe(evidence: Evidence, before: Released | None, reason: str | None = None) -> Message:
    """The commit message of a release, with the trailers that history reads."""
    verb = {"release": "release", "promote": "promote", "rollback": "roll back to", "revert": "revert to"}
    subject = (
        f"release: {evidence.application} {evidence.environment}: "
        f"{verb[evidence.action]} version {evidence.model_version}{_new_base(evidence)} "
        f"({short(evidence.image_digest)})"
    )
    former = f"version {before.evidence.model_version}" if before else "nothing"
    body = (
        f"{evidence.metric.name} {evidence.metric.value:.6g}; gate {evidence.gate.decision}; "
        f"replaces {former}; requested by {one_line(evidence.requested_by, 200)}.",
    )
    return Message(subject, trailers(evidence, before, reason), body)


def _new_base(evidence: Evidence) -> str:
    if evidence.action != "release" or evidence.serving_base is None:
        return ""
    return f" on serving base {short(evidence.serving_base)}"


def trailers(evidence: Evidence, before: Released | None, reason: str | None = None) -> dict[str, str]:
    """Model, Model-Version, Run, Image, From, To, Application, Action, Workflow; Reason when there is one.

    From is the environment in which the version was before, or train-model when it is new, or release-code when
    its bundle was put on another serving base.
    """
    found = {
        "Application": evidence.application,
        "Action": evidence.action,
        "Model": evidence.model_name,
        "Model-Version": evidence.model_version,
        "Run": evidence.run_id,
        "Image": evidence.image_digest,
        "From": evidence.source_environment or ("release-code" if evidence.rebased_from else "train-model"),
        "To": evidence.environment,
        "Workflow": evidence.workflow,
        "Requested-By": one_line(evidence.requested_by, 200),
    }
    if evidence.serving_base is not None:
        found["Serving-Base"] = evidence.serving_base
    if before is not None:
        found["Replaces"] = before.image_digest
    if reason:
        found["Reason"] = one_line(reason)
    return found


def check_gate(gate: Gate, version: str) -> None:
    """Pass when the gate accepted the version.

    Raises:
        Refused: it did not.
    """
    if gate.decision != "accepted":
        raise Refused(
            f"version {version} did not pass its gate: {'; '.join(gate.reasons) or 'no reason recorded'}"
        )


def _check_source(
    tree: Tree,
    application: str,
    source: str,
    version: str,
    running: Callable[[], RunningModel],
    gate: Gate | None,
) -> Evidence:
    origin = released(tree, application, source)
    if origin is None:
        raise Refused(f"nothing is released to {application} {source}", value=version)
    proof = origin.evidence
    if proof.model_version != version:
        raise Refused(
            f"{application} {source} has another version", value=version, allowed=proof.model_version
        )
    check_gate(gate or proof.gate, version)
    check_running(proof, running(), source)
    return proof


def check_running(proof: Evidence, running: RunningModel, source: str) -> None:
    """Pass when a server has in memory what git says of its environment.

    Raises:
        Refused: it has another bundle, or was started from another image.
    """
    place = f"the server of {proof.application} {source}"
    if running.bundle_digest != proof.bundle_digest:
        raise Refused(f"{place} runs another bundle than git says", value=running.bundle_digest,
                      allowed=proof.bundle_digest)  # fmt: skip
    if running.image_digest and running.image_digest != proof.image_digest:
        raise Refused(f"{place} runs another image than git says", value=running.image_digest,
                      allowed=proof.image_digest)  # fmt: skip


def _own_commit(tree: Tree, application: str, environment: str, workflow: str, version: str) -> Step | None:
    folder = release_folder(application, environment)
    for step in steps(tree.git, tree.revision, folder, application, environment):
        entered = step.action in ("release", "promote")
        if entered and step.trailers.get("Workflow") == workflow and step.model_version == version:
            return step
    return None


def _since(tree: Tree, application: str, environment: str) -> str:
    folder = release_folder(application, environment)
    past = steps(tree.git, tree.revision, folder, application, environment)
    same = [step.commit for step in past if step.image_digest == past[0].image_digest] if past else []
    return same[0] if same else tree.revision


def commit_confined(gitops: GitOps, application: str, environment: str, change: Change) -> Commit:
    """One commit that changes a release/ folder alone, and ends a share of live traffic that its version got."""
    folder = release_folder(application, environment) + "/"

    def confined(tree: Tree) -> Message | Done:
        message = change(tree)
        outside = [path for path in tree.changes if not path.startswith(folder)]
        assert not outside, f"a release changes only {folder}: {outside}"
        ended = end_share(tree, application, environment)
        if ended is None or isinstance(message, Done):
            return message
        said = (
            f"The {ended[1]} % of the live traffic of {ended[0]} that went to {environment} go there no more."
        )
        return replace(message, body=(*message.body, said), trailers={**message.trailers, "Share": "0"})

    return gitops.commit(confined)


def _result(gitops: GitOps, evidence: Evidence, commit: Commit) -> ReleaseResult:
    current = True
    if not commit.created:
        there = released(gitops.tree(), evidence.application, evidence.environment)
        current = there is not None and there.image_digest == evidence.image_digest
    return ReleaseResult(
        application=evidence.application,
        environment=evidence.environment,
        model_version=evidence.model_version,
        image_digest=evidence.image_digest,
        commit=commit.revision,
        already_done=not commit.created,
        current=current,
        tries=commit.tries,
    )
