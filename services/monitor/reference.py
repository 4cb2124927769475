"""What a bundle says that its inputs and answers look like, as the serving process hands it over."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.bundle.manifest import Histogram
from services.common.digest import short
from services.common.errors import InvalidInput, NotFound
from services.monitor.objects import Objects

_MOST_BYTES = 4 << 20
Label = Annotated[str, Field(min_length=1, max_length=200)]
Feature = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class Reference(BaseModel):
    """Histograms of the validation split by name: confidence, novelty, label (by index) and features.

    `golden`: digests of the inputs by which a release is verified; whoever sends them, they say nothing of what is
    asked in earnest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["rookery.reference/1"] = Field("rookery.reference/1", alias="schema")
    bundle_digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    labels: list[Label] = Field(min_length=1, max_length=10_000)
    novelty_threshold: float
    reference: dict[Feature, Histogram] = Field(max_length=100)
    golden: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(
        default_factory=list, max_length=1000
    )

    def numeric(self) -> dict[str, Histogram]:
        """All but the labels, where the edges rise."""
        return {
            name: histogram
            for name, histogram in self.reference.items()
            if name != "label" and len(histogram.edges) > 1 and bool(np.all(np.diff(histogram.edges) > 0))
        }

    def label_counts(self) -> dict[str, int] | None:
        """How often each label was the likeliest; None when the bundle does not say."""
        histogram = self.reference.get("label")
        if histogram is None or len(histogram.counts) != len(self.labels):
            return None
        return dict(zip(self.labels, histogram.counts, strict=True))


def parse_reference(data: bytes) -> Reference:
    """Read a reference. Raises InvalidInput that names the field."""
    if len(data) > _MOST_BYTES:
        raise InvalidInput("the reference is too large", value=len(data), allowed=f"{_MOST_BYTES} bytes")
    try:
        return Reference.model_validate_json(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in found["loc"]) or "the whole file"
        raise InvalidInput(f"this is no reference of a bundle: {place}: {found['msg']}") from error


class References:
    """References by bundle digest, read from the store once."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: dict[str, Reference] = {}

    def add(self, reference: Reference) -> None:
        """Keep one."""
        self._objects.put(_key(reference.bundle_digest), reference.model_dump_json(by_alias=True).encode())
        self._known[reference.bundle_digest] = reference

    def find(self, bundle_digest: str) -> Reference | None:
        """The one of a bundle, or nothing."""
        if bundle_digest not in self._known:
            try:
                data = self._objects.get(_key(bundle_digest))
            except NotFound:
                return None
            self._known[bundle_digest] = parse_reference(data)
        return self._known[bundle_digest]


def _key(bundle_digest: str) -> str:
    return f"references/{short(bundle_digest)}.json"
