"""Why a version is where it is: the record that every release commit carries as evidence.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.bundle.manifest import Digest
from services.common.errors import IntegrityError, InvalidInput
from workflows.release.component import component_path, image_of, release_folder
from workflows.release.names import check_token, check_version
from workflows.release.tree import ReadTree

Action = Literal["release", "promote", "rollback", "revert"]


def timestamp() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(_Strict):
    """The number that people compare versions by, on the evaluation split."""

    name: str
    value: float


class Gate(_Strict):
    """What the gate was given and what it said, as gate.json has it."""

    decision: Literal["accepted", "refused"]
    reasons: list[str] = Field(default_factory=list)
    checks: list[dict[str, Any]] = Field(default_factory=list)
    policy_digest: str
    metrics: dict[str, Any] = Field(default_factory=dict)
    compared_with: dict[str, Any] | None = None

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> Gate:
        """The gate in the content of gate.json; keys that are no evidence are left out."""
        try:
            return cls.model_validate({key: report[key] for key in cls.model_fields if key in report})
        except ValidationError as error:
            raise InvalidInput(f"this is no verdict of a gate: {error.errors()[0]['msg']}") from error


class Evidence(_Strict):
    """The content of evidence.json: one identity from the data to the image, and who let it in."""

    schema_: Literal["rookery.evidence/1"] = Field("rookery.evidence/1", alias="schema")
    application: str
    environment: str
    action: Action = "release"
    model_name: str
    model_version: str
    run_id: str
    dataset_digest: Digest
    bundle_digest: Digest
    image_digest: Digest
    image_name: str = Field(description="repository of the image, without tag or digest")
    code_revision: str
    metric: Metric
    gate: Gate
    source_environment: str | None = None
    source_verification: dict[str, Any] | None = Field(
        None, description="how the version was verified where it ran before"
    )
    stands_on: dict[str, Any] | None = Field(
        None,
        description="promotion: golden inputs alone, or the judge's verdict with the requests it rests on",
    )
    requested_by: str
    workflow: str
    released_at: str = Field(default_factory=timestamp, description="UTC, ISO 8601")
    serving_base: Digest | None = Field(
        None, description="release-code: the serving base that the bundle was put on"
    )
    rebased_from: Digest | None = Field(
        None, description="release-code: the image with the same bundle on the base before"
    )
    restored_from: str | None = Field(
        None, description="rollback and revert: the commit whose release this is"
    )

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def version(self) -> int:
        """The model version as a number."""
        return check_version(self.model_version)

    def checked(self) -> Evidence:
        """The evidence itself when everything in it may stand in paths and trailers.

        Raises:
            InvalidInput: a name, version or identifier that may not.
        """
        release_folder(self.application, self.environment)
        check_version(self.model_version)
        for what in ("model_name", "run_id", "image_name", "workflow"):
            check_token(getattr(self, what), what.replace("_", " "))
        return self

    def to_bytes(self) -> bytes:
        """Indented JSON with sorted keys, so that git shows what changed."""
        content = self.model_dump(mode="json", by_alias=True)
        return (
            json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> Evidence:
        """The evidence in a file.

        Raises:
            IntegrityError: it is not what a release writes.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise IntegrityError(f"{path} is no evidence of a release: {where}: {problem['msg']}") from error


@dataclass(frozen=True)
class Released:
    """What a tree says an environment should run."""

    component: bytes
    evidence: Evidence

    @property
    def image_digest(self) -> str:
        return self.evidence.image_digest


def evidence_path(application: str, environment: str) -> str:
    """Path of an environment's evidence.json."""
    return f"{release_folder(application, environment)}/evidence.json"


def released(tree: ReadTree, application: str, environment: str) -> Released | None:
    """What an environment should run, or nothing when nothing is released.

    Raises:
        IntegrityError: component and evidence do not fit together, as after a change by hand.
    """
    path, proof = component_path(application, environment), evidence_path(application, environment)
    component = tree.read(path)
    digest = image_of(component, path)
    if component is None or digest is None:
        return None
    data = tree.read(proof)
    if data is None:
        raise IntegrityError(f"{path} names an image for which there is no evidence", value=digest)
    evidence = Evidence.from_bytes(data, proof)
    place = (evidence.application, evidence.environment, evidence.image_digest)
    if place != (application, environment, digest):
        raise IntegrityError(
            f"{path} and evidence.json beside it do not fit", value=digest, allowed=" ".join(place)
        )
    return Released(component, evidence)
