"""What an environment ran, since when and why: from a clone, bare or not, with git alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.common.digest import short
from services.common.errors import IntegrityError, NotFound, RookeryError
from workflows.release.component import component_path, image_of, release_folder
from workflows.release.evidence import Evidence, evidence_path, released
from workflows.release.git import Git, GitError
from workflows.release.quarantine import Entry, find
from workflows.release.share import share_of
from workflows.release.tree import Tree

_FIELDS = ("%H", "%ct", "%an", "%s", "%(trailers:only,unfold)")
_BY_HAND = "by-hand"
SHARE = "share"


@dataclass(frozen=True)
class Step:
    """One commit that changed what an environment should run.

    Attributes:
        at: when it was committed, UTC, ISO 8601.
        action: release, promote, rollback, revert, quarantine, lift, or by-hand without our trailers; share when
            only the share of live traffic was changed, be it by a release to another environment.
        image_digest: what the environment should run after it; nothing when nothing.
        evidence: as it was committed; nothing when there is none or it cannot be read.
        trailers: of the commit message.
    """

    commit: str
    at: str
    author: str
    subject: str
    action: str
    image_digest: str | None
    evidence: Evidence | None = field(repr=False)
    trailers: dict[str, str] = field(repr=False)

    @property
    def model_version(self) -> str | None:
        return self.evidence.model_version if self.evidence and self.image_digest else None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        shown = {key: value for key, value in asdict(self).items() if key not in ("evidence", "trailers")}
        return {
            **shown,
            "model_version": self.model_version,
            "run_id": self.evidence.run_id if self.evidence and self.image_digest else None,
            "workflow": self.trailers.get("Workflow"),
            "from": self.trailers.get("From"),
            "reason": self.trailers.get("Reason"),
        }


@dataclass(frozen=True)
class Why:
    """The answer to: what is in this environment, since when, and why.

    Attributes:
        evidence: of the release; nothing when the environment is empty.
        since: the commit that brought the digest in.
        path: the steps by which the same image came here, oldest first, over all environments.
        quarantined: an entry that shuts the running digest out, if there is one.
        share: percent of its live traffic that the environment before it gets.
    """

    application: str
    environment: str
    evidence: Evidence | None
    since: Step | None
    path: list[Step]
    quarantined: Entry | None
    share: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "application": self.application,
            "environment": self.environment,
            "evidence": self.evidence.model_dump(mode="json", by_alias=True) if self.evidence else None,
            "since": self.since.as_dict() if self.since else None,
            "path": [step.as_dict() for step in self.path],
            "quarantined": self.quarantined.model_dump(mode="json") if self.quarantined else None,
            "share": self.share,
        }

    def sentences(self) -> list[str]:
        """The same for people, one sentence a line."""
        proof, since = self.evidence, self.since
        if proof is None or since is None:
            return [f"Nothing is released to {self.application} {self.environment}."]
        lines = [
            f"{self.application} {self.environment} runs version {proof.model_version} ({proof.model_name}), "
            f"image {short(proof.image_digest)}, since {since.at}.",
            f"It came by commit {since.commit[:12]} ({since.action}) of workflow {proof.workflow}, "
            f"asked for by {proof.requested_by}.",
            f"It was trained by run {proof.run_id} on the data {short(proof.dataset_digest)} "
            f"with the code {proof.code_revision[:12]}; {proof.metric.name} {proof.metric.value:.4g}.",
            f"The gate said {proof.gate.decision} by policy {short(proof.gate.policy_digest)}: "
            f"{_checks(proof)}.",
        ]
        if proof.source_environment:
            lines.append(f"Before, it was verified in {proof.source_environment}: {_verdict(proof)}.")
        if proof.stands_on:
            lines.append(f"Its promotion stood on {_standing(proof.stands_on)}.")
        if "Reason" in since.trailers:
            lines.append(f"The reason given: {since.trailers['Reason']}")
        if self.share:
            lines.append(f"{self.share} % of its live traffic goes to the environment before it.")
        if self.quarantined:
            lines.append(
                f"Its digest is in quarantine since {self.quarantined.at}: {self.quarantined.reason}"
            )
        return lines


def history(
    repository: Path, application: str, environment: str, *, revision: str = "HEAD", limit: int | None = None
) -> list[Step]:
    """The steps of an environment, newest first.

    Args:
        repository: a clone, bare or with a work tree.
        revision: the commit or branch to look back from.

    Raises:
        NotFound: no repository, revision, application or environment of this name.
    """
    git = Git(repository)
    folder = release_folder(application, environment)
    _check_there(git, revision, application, environment)
    return steps(git, revision, folder, application, environment, limit=limit)


def steps(
    git: Git, revision: str, folder: str, application: str, environment: str, *, limit: int | None = None
) -> list[Step]:
    """The commits of one release folder, newest first, each with what it left there: two git processes."""
    bound = [] if limit is None else [f"--max-count={limit:d}"]
    output = git.run(
        "log", "-z", "--first-parent", "--no-show-signature", *bound, f"--format={'%x00'.join(_FIELDS)}",
        "--end-of-options", revision, "--", folder,
    )  # fmt: skip
    parts = output.decode(errors="replace").split("\0")
    rows = [parts[at : at + len(_FIELDS)] for at in range(0, len(parts) - len(_FIELDS) + 1, len(_FIELDS))]
    component, proof = component_path(application, environment), evidence_path(application, environment)
    blobs = _blobs(git, [f"{row[0]}:{path}" for row in rows for path in (component, proof)])
    found = []
    for at, (commit, when, author, subject, text) in enumerate(rows):
        trailers = _trailers(text)
        found.append(
            Step(
                commit=commit,
                at=datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                author=author,
                subject=subject,
                action=_action(trailers, environment),
                image_digest=_image(blobs[2 * at], component),
                evidence=_evidence(blobs[2 * at + 1], proof),
                trailers=trailers,
            )
        )
    return found


def why(repository: Path, application: str, environment: str, *, revision: str = "HEAD") -> Why:
    """What an environment should run, since when, and by which steps it came there.

    Raises:
        NotFound: no repository, revision, application or environment of this name.
        IntegrityError: component and evidence contradict each other.
    """
    past = history(repository, application, environment, revision=revision)
    git = Git(repository)
    tree = Tree(git, git.text("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"))
    now = released(tree, application, environment)
    if now is None:
        return Why(application, environment, None, None, [], None)
    since = _since(past, now.image_digest)
    path = [since] if since else []
    place = now.evidence.source_environment
    seen = {environment}
    while place and place not in seen:
        seen.add(place)
        folder = release_folder(application, place)
        before = [
            step
            for step in steps(git, revision, folder, application, place)
            if step.image_digest == now.image_digest and step.action in ("release", "promote")
        ]
        if not before:
            break
        path.append(before[0])
        place = before[0].evidence.source_environment if before[0].evidence else None
    shut_out = find(tree, application, now.image_digest, now.evidence.bundle_digest)
    share = share_of(now.component, component_path(application, environment))
    return Why(application, environment, now.evidence, since, path[::-1], shut_out, share)


def _since(past: list[Step], digest: str) -> Step | None:
    since = None
    for step in past:
        if step.image_digest != digest:
            break
        since = step
    return since


def _check_there(git: Git, revision: str, application: str, environment: str) -> None:
    if not git.folder.is_dir() or not git.succeeds("rev-parse", "--git-dir"):
        raise NotFound("there is no git repository", value=str(git.folder))
    try:
        commit = git.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GitError as error:
        raise NotFound("the repository has no such commit or branch", value=revision) from error
    tree = Tree(git, commit)
    if not tree.names(f"k8s/apps/{application}/{environment}"):
        known = ", ".join(_environments(tree, application)) or "none"
        raise NotFound("there is no such environment", value=f"{application} {environment}", allowed=known)


def _environments(tree: Tree, application: str) -> Iterable[str]:
    """Those of one application; of all when there is none of this name."""
    for place in [application] if tree.names(f"k8s/apps/{application}") else tree.names("k8s/apps"):
        for name in tree.names(f"k8s/apps/{place}"):
            if tree.names(f"k8s/apps/{place}/{name}"):
                yield f"{place} {name}"


def _blobs(git: Git, names: list[str]) -> list[bytes | None]:
    if not names:
        return []
    output = git.run("cat-file", "--batch", data="".join(f"{name}\n" for name in names).encode())
    blobs: list[bytes | None] = []
    at = 0
    for _ in names:
        end = output.index(b"\n", at)
        header = output[at:end].split(b" ")
        at = end + 1
        if header[-1] == b"missing":
            blobs.append(None)
        else:
            size = int(header[2])
            blobs.append(output[at : at + size])
            at += size + 1
    return blobs


def _action(trailers: Mapping[str, str], environment: str) -> str:
    elsewhere = trailers.get("To", environment) != environment
    return SHARE if elsewhere else trailers.get("Action", _BY_HAND)


def _trailers(text: str) -> dict[str, str]:
    pairs = (line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return {key: value.strip() for key, value in pairs}


def _image(data: bytes | None, path: str) -> str | None:
    try:
        return image_of(data, path)
    except IntegrityError:
        return None


def _evidence(data: bytes | None, path: str) -> Evidence | None:
    try:
        return Evidence.from_bytes(data, path) if data else None
    except RookeryError:
        return None


def _checks(proof: Evidence) -> str:
    passed = sum(1 for check in proof.gate.checks if check.get("passed"))
    return f"{passed} of {len(proof.gate.checks)} checks passed"


def _standing(found: Mapping[str, Any]) -> str:
    if found.get("kind") != "judge":
        return str(found.get("kind"))
    requests = found.get("requests") or {}
    return (
        f"the judge's verdict `{found.get('verdict')}` on {requests.get('canary', 0)} requests to "
        f"{found.get('canary', 'the canary')}, beside {requests.get('production', 0)}"
    )


def _verdict(proof: Evidence) -> str:
    found = proof.source_verification or {}
    if "items" not in found:
        return "no record"
    verdict = "passed" if found.get("passed") else "failed"
    return f"{verdict}, {found['items']} golden inputs, p95 {found.get('p95_ms', float('nan')):.3g} ms"
