"""Digests that may run nowhere any more, with the reason: quarantine.json in a release/ folder.

An entry in any environment of an application counts for all of them, and names the image and the bundle in
it, so that the same model does not come back packed anew. After `release-code` it names the image alone: the bundle
has served on the base before.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.bundle.manifest import Digest
from services.common.digest import short
from services.common.errors import IntegrityError, NotFound, Refused
from workflows.release.application import APPS, load_application
from workflows.release.component import release_folder
from workflows.release.evidence import Evidence, timestamp
from workflows.release.gitops import Commit, GitOps, Message
from workflows.release.names import check_name, check_token, one_line
from workflows.release.tree import ReadTree, Tree


class Entry(BaseModel):
    """One digest and why it was shut out.

    Attributes:
        bundle_digest: nothing when the model itself is not to blame, but the serving base that it was put on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_digest: Digest
    bundle_digest: Digest | None = None
    model_version: str
    environment: str
    reason: str
    requested_by: str
    workflow: str
    at: str


class Quarantine(BaseModel):
    """The content of quarantine.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["rookery.quarantine/1"] = Field("rookery.quarantine/1", alias="schema")
    entries: list[Entry] = Field(default_factory=list)

    def to_bytes(self) -> bytes:
        """Indented JSON with sorted keys."""
        content = self.model_dump(mode="json", by_alias=True)
        return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def quarantine_path(application: str, environment: str) -> str:
    """Path of an environment's quarantine.json."""
    return f"{release_folder(application, environment)}/quarantine.json"


def read_quarantine(tree: ReadTree, application: str, environment: str) -> Quarantine:
    """One environment's list; empty when there is no file.

    Raises:
        IntegrityError: the file cannot be understood, so nothing may be released past it.
    """
    path = quarantine_path(application, environment)
    data = tree.read(path)
    if data is None:
        return Quarantine()
    try:
        return Quarantine.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{path} is no quarantine list: {error.errors()[0]['msg']}") from error


def all_entries(tree: ReadTree, application: str) -> list[Entry]:
    """The entries of every environment folder of an application, named in application.yaml or not."""
    entries: list[Entry] = []
    for name in tree.names(f"{APPS}/{check_name(application)}"):
        if not name.endswith((".yaml", ".json", ".md")):
            entries += read_quarantine(tree, application, name).entries
    return entries


def find(tree: ReadTree, application: str, *digests: str) -> Entry | None:
    """The entry that shuts out one of these image or bundle digests."""
    for entry in all_entries(tree, application):
        if entry.image_digest in digests or entry.bundle_digest in digests:
            return entry
    return None


def refuse_quarantined(tree: ReadTree, evidence: Evidence) -> None:
    """Pass when neither image nor bundle is shut out.

    Raises:
        Refused: one is; the message gives the reason.
    """
    entry = find(tree, evidence.application, evidence.image_digest, evidence.bundle_digest)
    if entry is not None:
        raise Refused(
            f"version {evidence.model_version} is in quarantine since {entry.at} "
            f"({entry.environment}): {entry.reason}",
            value=short(evidence.image_digest),
        )


def add(
    tree: Tree,
    bad: Evidence,
    environment: str,
    *,
    reason: str,
    requested_by: str,
    workflow: str,
    image_only: bool = False,
) -> None:
    """Stage an entry for what `bad` describes; a digest that is listed stays listed once.

    Args:
        image_only: the bundle may go on in other images.
    """
    listed = read_quarantine(tree, bad.application, environment)
    if any(entry.image_digest == bad.image_digest for entry in listed.entries):
        return
    entry = Entry(
        image_digest=bad.image_digest,
        bundle_digest=None if image_only else bad.bundle_digest,
        model_version=bad.model_version,
        environment=environment,
        reason=one_line(reason) or "no reason given",
        requested_by=one_line(requested_by, 200),
        workflow=workflow,
        at=timestamp(),
    )
    changed = Quarantine(entries=[*listed.entries, entry])
    tree.write(quarantine_path(bad.application, environment), changed.to_bytes())


def lift(
    gitops: GitOps, application: str, image_digest: str, *, reason: str, requested_by: str, workflow: str
) -> Commit:
    """Take a digest out of the quarantine of every environment, in one commit.

    Raises:
        NotFound: it is not in quarantine.
    """
    check_token(workflow, "workflow")

    def change(tree: Tree) -> Message:
        found = []
        for environment in load_application(tree, application).environments:
            listed = read_quarantine(tree, application, environment)
            kept = [entry for entry in listed.entries if entry.image_digest != image_digest]
            if len(kept) != len(listed.entries):
                found.append(environment)
                tree.write(quarantine_path(application, environment), Quarantine(entries=kept).to_bytes())
        if not found:
            raise NotFound(f"nothing of {application} with this digest is in quarantine", value=image_digest)
        return Message(
            f"release: {application}: {short(image_digest)} leaves the quarantine",
            {
                "Application": application,
                "Action": "lift",
                "Image": image_digest,
                "Workflow": workflow,
                "Requested-By": requested_by,
            },
            (f"Reason: {one_line(reason)}",),
        )

    return gitops.commit(change)
