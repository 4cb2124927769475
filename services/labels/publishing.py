"""From what people said to a new version of the dataset: which items, in which split, with whose word."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.common.digest import canonical_json, digest_bytes
from services.data.dataset import Dataset
from services.data.splits import Split, position
from services.data.versions import FOLDER, parse_version, version_content, version_name
from services.data.versions import Version as File
from services.labels.agreement import consensus
from services.labels.book import Kept
from services.labels.task import Answer, Task
from services.monitor.objects import Objects

_NUMBER = re.compile(r"([0-9]{6})\.json")
_FEWEST_IN_TRAINING = 3


@dataclass(frozen=True)
class Placing:
    """Where new items go.

    Attributes:
        holdout: part of the random share that is kept for evaluation.
        validation: part of the random share for validation; the rest of it, and all that was chosen for other
            reasons, is for training.
        class_items: a class that the base does not have needs as many items.
    """

    holdout: float = 0.5
    validation: float = 0.2
    class_items: int = 10


@dataclass
class Items:
    """What comes of the accepted answers.

    Attributes:
        items: as a version lists them, by path.
        splits: group → split, for groups that had none.
        left_out: digest → why it is no item.
        offered: names that people gave and that are no class, with how many inputs.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    splits: dict[str, Split] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    offered: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Version:
    """A version that was published.

    Attributes:
        source: as `load_dataset` takes it.
        digest: of its items and its base.
        items, new: how many it has, and how many of them the version before had not.
    """

    application: str
    number: int
    source: str
    digest: str
    items: int
    new: int


def truths(kept: Iterable[Kept], tasks: Mapping[str, Task]) -> dict[str, Answer | None]:
    """Digest → what is accepted of it; None: people do not agree. Inputs that others are still asked about lack."""
    said: dict[str, dict[str, Kept]] = defaultdict(dict)
    for one in kept:
        said[one.annotation.digest][one.annotation.annotator] = one
    found: dict[str, Answer | None] = {}
    for digest, people in said.items():
        task = tasks.get(digest)
        accepted = [one.annotation.answer for one in people.values() if one.fate == "accepted"]
        if task is not None and accepted and len(people) >= task.overlap:
            found[digest] = consensus(accepted)
    return found


def assemble(
    kept: Iterable[Kept],
    tasks: Mapping[str, Task],
    base: Dataset,
    allowed: Mapping[str, str],
    placed: Mapping[str, str],
    placing: Placing,
) -> Items:
    """The items of a version; the same answers give the same items.

    Args:
        kept: annotations, the oldest first.
        allowed: classes that the base does not have, and who allowed them.
        placed: the splits that groups are in already.
    """
    listed = list(kept)
    result = Items()
    contents = {item.sha256 for item in base.items}
    apart = {item.group for item in base.items if item.split == "evaluation"}
    agreed: list[tuple[Task, tuple[str, ...]]] = []
    for digest, answer in truths(listed, tasks).items():
        reason = _unfit(answer, tasks[digest], base, contents, apart)
        if reason is None and answer is not None:
            unknown = [name for name in answer.named if name not in base.labels and name not in allowed]
            result.offered.update(unknown)
            reason = f"no class: {', '.join(unknown)}" if unknown else None
        if reason is not None or answer is None:
            result.left_out[digest] = reason or "people do not agree"
            continue
        agreed.append((tasks[digest], _primary_first(answer.named, tasks[digest])))
    agreed = _without_small_classes(agreed, base, placing.class_items, result)
    agreed.sort(key=lambda pair: (pair[0].record.time, pair[0].digest))
    words = defaultdict(list)
    for one in listed:
        if one.fate == "accepted":
            words[one.annotation.digest].append(one)
    trained = Counter(item.primary for item in base.split("training"))
    splits = dict(placed)
    shown = set[str]()
    for task, names in agreed:
        if task.content in shown:
            result.left_out[task.digest] = "another input is the same picture"
            continue
        shown.add(task.content)
        group = task.record.group
        fresh = group not in splits
        split = splits.setdefault(group, _split(task, names[0], trained, placing))
        if split == "evaluation" and task.reason != "random":
            result.left_out[task.digest] = "its group is in the holdout"
            continue
        if fresh:
            result.splits[group] = split  # type: ignore[assignment]
        trained[names[0]] += split == "training"
        result.items.append(_listed(task, names, split, words[task.digest]))
    result.items.sort(key=lambda item: str(item["path"]))
    return result


def carry_over(objects: Objects, kept: Iterable[Kept], found: Items) -> None:
    """Keep the items of the newest version whose answers have changed and are not judged yet, as they were."""
    fates: dict[str, set[str]] = defaultdict(set)
    for one in kept:
        fates[one.annotation.digest].add(one.fate)
    waiting = {digest for digest, those in fates.items() if "new" in those and "accepted" not in those}
    newest = newest_file(objects) if waiting else None
    if newest is None:
        return
    listed = json.loads(objects.get(version_name(newest.number)))["items"]
    found.items += [item for item in listed if item.get("input", item["sha256"]) in waiting]
    found.items.sort(key=lambda item: str(item["path"]))


def publish(
    objects: Objects,
    place: str,
    application: str,
    base: Dataset,
    found: Items,
    *,
    at: datetime,
    agreement: Mapping[str, Any],
    read: Any,
) -> Version | None:
    """Write the next version when its items are not those of the newest; files first, the list last.

    Args:
        place: what `objects` is, as a source names it.
        read: digest → bytes of an input.

    Whoever dies in between writes the same again: equal items are never two versions.
    """
    digest = digest_bytes(canonical_json([base.source, found.items]))
    newest = newest_file(objects)
    before = set() if newest is None else {item.path for item in newest.items}
    if (newest is not None and newest.digest == digest) or not (found.items or before):
        return None
    there = {entry.key for entry in objects.list("files")}
    for item in found.items:
        if item["path"] not in there:
            objects.put(item["path"], read(item["sha256"]))
    number = 1 if newest is None else newest.number + 1
    content = version_content(
        {
            "application": application,
            "number": number,
            "made": at.astimezone(UTC).isoformat(timespec="seconds"),
            "digest": digest,
            "base": {"source": base.source, "digest": base.digest},
            "agreement": dict(agreement),
            "items": found.items,
        }
    )
    objects.put(version_name(number), json.dumps(content, ensure_ascii=False, indent=1).encode())
    new = len({item["path"] for item in found.items} - before)
    return Version(application, number, f"{place}?version={number}", digest, len(found.items), new)


def newest_version(objects: Objects, place: str, application: str) -> Version | None:
    """The newest version that was published."""
    newest = newest_file(objects)
    if newest is None:
        return None
    source = f"{place}?version={newest.number}"
    return Version(application, newest.number, source, newest.digest, len(newest.items), 0)


def newest_file(objects: Objects) -> File | None:
    """The list of the newest version; None before the first."""
    names = [entry.key.rpartition("/")[2] for entry in objects.list(FOLDER)]
    number = max((int(match[1]) for name in names if (match := _NUMBER.fullmatch(name))), default=0)
    return parse_version(objects.get(version_name(number))) if number else None


def _unfit(
    answer: Answer | None, task: Task, base: Dataset, contents: set[str], apart: set[str]
) -> str | None:
    if answer is None:
        return "people do not agree"
    if not answer.sure:
        return "it cannot be told"
    if not answer.named:
        return "none of the classes, and no name"
    if base.task == "single-label" and len(answer.named) > 1:
        return "more than one class"
    if {task.digest, task.content} & contents:
        return "the base has it already"
    if task.record.group in apart:
        return "its group is in the holdout of the base"
    return None


def _primary_first(names: tuple[str, ...], task: Task) -> tuple[str, ...]:
    """The label that the model thought likeliest first, if it is one of them."""
    order = {label: at for at, label in enumerate(task.record.labels)}
    return tuple(sorted(names, key=lambda name: (order.get(name, len(order)), name)))


def _without_small_classes(
    agreed: list[tuple[Task, tuple[str, ...]]], base: Dataset, fewest: int, result: Items
) -> list[tuple[Task, tuple[str, ...]]]:
    counted = Counter(names[0] for _, names in agreed)
    small = {name for name, count in counted.items() if name not in base.labels and count < fewest}
    for task, names in agreed:
        if names[0] in small:
            result.left_out[task.digest] = f"{names[0]} has {counted[names[0]]} inputs, {fewest} are needed"
    return [pair for pair in agreed if pair[1][0] not in small]


def _split(task: Task, label: str, trained: Mapping[str, int], placing: Placing) -> Split:
    if task.reason != "random" or trained.get(label, 0) < _FEWEST_IN_TRAINING:
        return "training"
    at = position(task.record.group)
    if at < placing.holdout:
        return "evaluation"
    return "validation" if at < placing.holdout + placing.validation else "training"


def _listed(task: Task, names: tuple[str, ...], split: str, words: list[Kept]) -> dict[str, Any]:
    record = task.record
    return {
        "path": f"files/{task.content}.{task.media_type}",
        "sha256": task.content,
        **({"input": task.digest} if task.shown else {}),
        "labels": list(names),
        "group": record.group,
        "split": split,
        "reason": task.reason,
        "served": datetime.fromtimestamp(record.time / 1000, UTC).isoformat(timespec="seconds"),
        "source": record.source,
        "predicted": {"version": record.version, "label": record.labels[0], "confidence": record.confidence},
        "annotations": [
            {"by": w.annotation.annotator, "at": w.annotation.at, **w.annotation.answer.as_dict()}
            for w in words
        ],
    }
