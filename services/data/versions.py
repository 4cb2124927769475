"""A dataset that grew by labelling: `versions/<number>.json` lists what people labelled over another source, its base.

The files lie in `files/` under their digest and are shared by all versions. `?version=7` names one; without it the
newest is meant. What the base has, and what belongs to its holdout, is left out with the reason, however the base has
changed since the version was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import DatasetError, NotFound
from services.data.checks import FileCheck, check_files
from services.data.dataset import Dataset, Item, Problem, make_dataset
from services.data.options import Options
from services.data.scan import Found, scan
from services.data.splits import Split

FOLDER, FILES = "versions", "files"
SCHEMA = "rookery.labels/1"
_NAME = re.compile(r"versions/([0-9]{6})\.json")
_MOST_BYTES = 512 << 20
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Base(BaseModel):
    """The source that the labels were added to, and its digest at that time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1, max_length=1000)
    digest: str


class Labelled(BaseModel):
    """One labelled file; who labelled it, and why it was chosen, is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: Annotated[str, Field(pattern=r"^files/[0-9a-f]{64}\.(wav|ogg|flac|mp3|png|jpeg)$")]
    labels: list[Name] = Field(min_length=1, max_length=100)
    group: Name
    split: Split


class Version(BaseModel):
    """One version."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    schema_: Literal["rookery.labels/1"] = Field(alias="schema")
    number: int = Field(ge=1, le=999_999)
    digest: str = ""
    base: Base
    items: list[Labelled] = Field(max_length=2_000_000)


def is_versioned(folder: Path) -> bool:
    """Whether the folder has versions of labels."""
    return any(_NAME.fullmatch(f"{FOLDER}/{path.name}") for path in folder.glob(f"{FOLDER}/*.json"))


def version_name(number: int) -> str:
    """Path of a version in its dataset."""
    return f"{FOLDER}/{number:06d}.json"


def parse_version(data: bytes) -> Version:
    """Read a version. Raises DatasetError that names the field."""
    try:
        return Version.model_validate_json(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in found["loc"]) or "the whole file"
        raise DatasetError(f"this is no version of a labelled dataset: {place}: {found['msg']}") from error


def load_version(
    source: str,
    root: Path,
    options: Options,
    cache: Path,
    load_base: Callable[[str], Dataset],
    known_problems: Iterable[Problem] = (),
) -> Dataset:
    """The base with the labelled files of a version.

    Raises:
        NotFound: there is no such version.
        DatasetError: the version cannot be read, or its base is of this layout too.
        InvalidInput: an option is unknown or out of bounds.
    """
    number = options.integer("version", 0, 0, 999_999)
    options.finish()
    found, problems = scan(root.resolve())
    problems += known_problems
    version = _read(root, found, number)
    base = load_base(version.base.source)
    if base.digest != version.base.digest:
        detail = "the base has changed since this version was made"
        problems.append(Problem(version.base.source, "base-changed", detail, skipped=False))
    files = {file.id: file for file in found}
    wanted = [files[item.path] for item in version.items if item.path in files]
    checks = check_files(root.resolve(), wanted, cache)
    usable = _usable(version.items, checks, base, problems)
    known = {*base.labels, *(item.labels[0] for item, _ in usable)}
    items = [
        Item(
            id=f"labelled/{item.path.removeprefix(FILES + '/')}",
            labels=_known(item, known, problems),
            group=item.group,
            split=item.split,
            media_type=check.media_type,
            sha256=check.sha256,
            content=files[item.path].path,
            seconds=check.seconds,
        )
        for item, check in usable
    ]
    return make_dataset(
        source, base.kind, base.task, [*base.items, *items], [*base.problems, *problems], base.defaults
    )


def _read(root: Path, found: Iterable[Found], number: int) -> Version:
    numbers = {int(match[1]): file for file in found if (match := _NAME.fullmatch(file.id))}
    file = numbers.get(number or max(numbers, default=0))
    if file is None:
        allowed = f"1 to {max(numbers)}" if numbers else "none"
        raise NotFound("there is no such version of the dataset", value=number, allowed=allowed)
    if file.size > _MOST_BYTES:
        raise DatasetError("the list of a version is too large", value=file.size)
    return parse_version((root / file.id).read_bytes())


def _usable(
    items: Iterable[Labelled], checks: dict[str, FileCheck], base: Dataset, problems: list[Problem]
) -> list[tuple[Labelled, FileCheck]]:
    """Those that can be read, are new, and touch no holdout of the base."""
    contents = {item.sha256 for item in base.items}
    apart = {item.group for item in base.items if item.split == "evaluation"}
    taken, usable = set[str](), []
    for item in items:
        check = checks.get(item.path)
        problem = _unfit(item, check, base, contents, apart)
        if problem is None and item.path in taken:
            problem = ("duplicate", "the version lists it twice")
        if problem is not None or check is None:
            problems.append(Problem(item.path, *(problem or ("missing-file", "listed but not there"))))
            continue
        taken.add(item.path)
        usable.append((item, check))
    return usable


def _unfit(
    item: Labelled, check: FileCheck | None, base: Dataset, contents: set[str], apart: set[str]
) -> tuple[str, str] | None:
    if check is None:
        return None
    if check.fault:
        return check.fault, check.detail
    if check.sha256 != item.path.removeprefix(FILES + "/")[:64]:
        return "changed", "its bytes are not those that were labelled"
    if check.kind != base.kind:
        return "other-kind", f"{check.kind} in a dataset of {base.kind}"
    if check.sha256 in contents:
        return "duplicate", "the base has the same bytes"
    if item.group in apart and item.split != "evaluation":
        return "in-holdout", "its group is in the holdout of the base"
    return None


def _known(item: Labelled, known: set[str], problems: list[Problem]) -> tuple[str, ...]:
    """Secondary labels of which there is no recording of their own cannot be learned; the item stays."""
    unknown = sorted(set(item.labels) - known)
    if unknown:
        detail = "no recordings of " + ", ".join(unknown)[:200]
        problems.append(Problem(item.path, "unknown-secondary-label", detail, skipped=False))
    return tuple(label for label in item.labels if label in known)


def version_content(fields: dict[str, Any]) -> dict[str, Any]:
    """A version as it is written: the fields with the schema."""
    return {"schema": SCHEMA, **fields}
