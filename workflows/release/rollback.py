"""Go back: one new commit that restores what an environment had before. History is never rewritten."""

from __future__ import annotations

from dataclasses import replace

from services.common.digest import is_digest, short
from services.common.errors import InvalidInput, NotFound, Refused
from workflows.release import quarantine
from workflows.release.application import load_application
from workflows.release.component import EMPTY, component_path, release_folder
from workflows.release.evidence import Action, Evidence, evidence_path, released, timestamp
from workflows.release.gitops import Change, Done, GitOps, Message
from workflows.release.history import Step, steps
from workflows.release.names import check_token, one_line
from workflows.release.release import ReleaseResult, commit_confined, describe, write_release
from workflows.release.tree import Tree


def rollback(
    gitops: GitOps,
    application: str,
    environment: str,
    *,
    reason: str,
    requested_by: str,
    workflow: str,
    shut_out: bool = False,
) -> ReleaseResult:
    """Restore the previous good release of an environment.

    Good is what the environment ran before what it has now, unless it is in quarantine. One that was promoted without
    a record that it had passed its verification is taken only when there is no other; the result warns of it then.

    Args:
        shut_out: also put the digest that is left into quarantine, in the same commit.

    Raises:
        NotFound: unknown application or environment.
        Refused: nothing is released, or there is nothing good to go back to.
    """

    warnings: list[str] = []

    def change(tree: Tree) -> Message | Done:
        warnings.clear()
        facts = load_application(tree, application)
        facts.check_environment(environment)
        past = _steps(tree, application, environment)
        own = _own(past, workflow, "rollback")
        if own is not None:
            return Done(own.commit)
        if released(tree, application, environment) is None:
            raise Refused(f"nothing is released to {application} {environment}")
        return _leave(
            tree, past, environment, "rollback", reason, requested_by, workflow, warnings, shut_out=shut_out
        )

    return _run(gitops, application, environment, workflow, change, warnings)


def revert(
    gitops: GitOps,
    application: str,
    environment: str,
    *,
    image_digest: str,
    reason: str,
    requested_by: str,
    workflow: str,
) -> ReleaseResult:
    """Take back a release whose verification failed, and put its digest into quarantine in the same commit.

    When the environment has moved on to another digest meanwhile, only the quarantine is written.

    Raises:
        NotFound: unknown application or environment, or the digest was never released there.
    """
    if not is_digest(image_digest):
        raise InvalidInput("this is no image digest", value=image_digest, allowed="sha256: and 64 hex digits")

    warnings: list[str] = []

    def change(tree: Tree) -> Message | Done:
        warnings.clear()
        load_application(tree, application).check_environment(environment)
        past = _steps(tree, application, environment)
        bad = next((s.evidence for s in past if s.image_digest == image_digest and s.evidence), None)
        if bad is None:
            raise NotFound(f"this was never released to {application} {environment}", value=image_digest)
        there = released(tree, application, environment)
        if there is not None and there.image_digest == image_digest:
            return _leave(
                tree, past, environment, "revert", reason, requested_by, workflow, warnings, shut_out=True
            )
        quarantine.add(tree, bad, environment, reason=reason, requested_by=requested_by, workflow=workflow,
                       image_only=bad.rebased_from is not None)  # fmt: skip
        return (
            _only_quarantine(bad, reason, requested_by, workflow)
            if tree.changes
            else Done((_own(past, workflow, "revert") or past[0]).commit)
        )

    return _run(gitops, application, environment, workflow, change, warnings)


def previous_good(tree: Tree, application: str, environment: str) -> Step | None:
    """The release to which a rollback would go now."""
    return _previous(tree, _steps(tree, application, environment), None)


def _leave(
    tree: Tree,
    past: list[Step],
    environment: str,
    action: Action,
    reason: str,
    requested_by: str,
    workflow: str,
    warnings: list[str],
    *,
    shut_out: bool,
) -> Message:
    application = (
        past[0].trailers.get("Application", "") if not past[0].evidence else past[0].evidence.application
    )
    there = released(tree, application, environment)
    assert there is not None
    # A verification that failed on a new serving base says nothing against the bundle, which passed on the old one.
    base_is_to_blame = action == "revert" and there.evidence.rebased_from is not None
    left = there.evidence.bundle_digest if shut_out and not base_is_to_blame else None
    good = _previous(tree, past, left)
    # A person who rolls back wants something that serves; a release that failed its verification must go at once.
    if good is None and action == "rollback":
        raise Refused(f"{application} {environment} has no earlier good release to go back to")
    if shut_out:
        quarantine.add(tree, there.evidence, environment, reason=reason, requested_by=requested_by,
                       workflow=workflow, image_only=base_is_to_blame)  # fmt: skip
    if good is None or good.evidence is None:
        tree.write(component_path(application, environment), EMPTY)
        tree.delete(evidence_path(application, environment))
        return _emptied(there.evidence, action, reason, requested_by, workflow)
    restored = good.evidence.model_copy(
        update={
            "action": action,
            "requested_by": one_line(requested_by, 200),
            "workflow": workflow,
            "released_at": timestamp(),
            "restored_from": good.commit,
        }
    )
    write_release(tree, restored)
    warnings += _doubts(tree, good.evidence)
    message = describe(restored, there, reason)
    return replace(message, body=(*message.body, *warnings))


def _previous(tree: Tree, past: list[Step], left_bundle: str | None) -> Step | None:
    """What lies under the current release when releases are stacked and rollbacks take from the stack."""
    stack: list[Step] = []
    for step in reversed(past):
        if step.image_digest is None:
            stack.clear()
        elif not stack or stack[-1].image_digest != step.image_digest:
            back = step.action in ("rollback", "revert")
            depth = [at for at, old in enumerate(stack) if old.image_digest == step.image_digest]
            if back and depth:
                del stack[depth[-1] + 1 :]
            else:
                stack.append(step)
    good: list[Step] = []
    for step in reversed(stack[:-1]):
        proof = step.evidence
        if proof is None or step.image_digest != proof.image_digest or proof.bundle_digest == left_bundle:
            continue
        if step.image_digest == stack[-1].image_digest:
            continue
        if quarantine.find(tree, proof.application, proof.image_digest, proof.bundle_digest) is None:
            good.append(step)
    return next((step for step in good if not _is_doubtful(step, tree)), good[0] if good else None)


def _is_doubtful(step: Step, tree: Tree) -> bool:
    """Whether it was promoted and should have the record of its verification, but nothing in git has it."""
    proof = step.evidence
    return proof is not None and proof.source_environment is not None and not _is_verified(tree, proof)


def _is_verified(tree: Tree, proof: Evidence) -> bool:
    """Whether this release, or another of the same image, carries the record that it passed where it ran before."""
    if _has_passed(proof):
        return True
    facts = load_application(tree, proof.application)
    return any(
        step.evidence is not None
        and step.evidence.image_digest == proof.image_digest
        and _has_passed(step.evidence)
        for environment in facts.environments
        for step in _steps(tree, proof.application, environment)
    )


def _has_passed(proof: Evidence) -> bool:
    return (proof.source_verification or {}).get("passed") is True


def _doubts(tree: Tree, good: Evidence) -> list[str]:
    if _is_verified(tree, good):
        return []
    return [f"Git has no record that version {good.model_version} ever passed a verification."]


def _steps(tree: Tree, application: str, environment: str) -> list[Step]:
    return steps(tree.git, tree.revision, release_folder(application, environment), application, environment)


def _own(past: list[Step], workflow: str, action: str) -> Step | None:
    return next((s for s in past if s.action == action and s.trailers.get("Workflow") == workflow), None)


def _only_quarantine(bad: Evidence, reason: str, requested_by: str, workflow: str) -> Message:
    subject = f"release: {bad.application} {bad.environment}: quarantine version {bad.model_version}"
    return Message(subject, _trailers(bad, "quarantine", reason, requested_by, workflow))


def _emptied(bad: Evidence, action: str, reason: str, requested_by: str, workflow: str) -> Message:
    left = short(bad.image_digest)
    subject = f"release: {bad.application} {bad.environment}: {action} to nothing ({left} was bad)"
    return Message(subject, _trailers(bad, action, reason, requested_by, workflow))


def _trailers(bad: Evidence, action: str, reason: str, requested_by: str, workflow: str) -> dict[str, str]:
    return {
        "Application": bad.application,
        "Action": action,
        "To": bad.environment,
        "Replaces": bad.image_digest,
        "Workflow": workflow,
        "Requested-By": requested_by,
        "Reason": one_line(reason) or "no reason given",
    }


def _run(
    gitops: GitOps, application: str, environment: str, workflow: str, change: Change, warnings: list[str]
) -> ReleaseResult:
    check_token(workflow, "workflow")
    commit = commit_confined(gitops, application, environment, change)
    there = released(gitops.tree(), application, environment)
    return ReleaseResult(
        application=application,
        environment=environment,
        model_version=there.evidence.model_version if there else None,
        image_digest=there.image_digest if there else None,
        commit=commit.revision,
        already_done=not commit.created,
        tries=commit.tries,
        warning=" ".join(warnings),
    )
