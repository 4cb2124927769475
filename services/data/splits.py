"""Which split an item belongs to: by the hash of its group, so that the answer is stable when data grows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

Split = Literal["training", "validation", "evaluation"]
SPLITS: tuple[Split, ...] = ("training", "validation", "evaluation")
VALIDATION_FROM = 0.70
EVALUATION_FROM = 0.85


def position(group: str) -> float:
    """Where a group lies in [0, 1): the first 53 bits of the SHA-256 of its name."""
    return (int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") >> 11) / 2**53


def hashed_split(group: str) -> Split:
    """The split that the hash alone gives."""
    at = position(group)
    if at < VALIDATION_FROM:
        return "training"
    return "validation" if at < EVALUATION_FROM else "evaluation"


def assign_splits(groups: Mapping[str, str]) -> dict[str, Split]:
    """The split of each group, given the class of each group.

    The hash decides. Only in a class that the hash leaves without a split are single groups moved: the
    highest position to evaluation, the next to validation, the lowest to training. So a class with three
    groups or more is in every split, one with two in training and evaluation, one with one in training. When
    a class of three groups or more grows, a group leaves training only where the hash had put none there.
    """
    by_class: dict[str, list[str]] = {}
    for group, label in groups.items():
        by_class.setdefault(label, []).append(group)
    splits: dict[str, Split] = {}
    for members in by_class.values():
        splits.update(_assign_class(sorted(members, key=lambda group: (position(group), group))))
    return splits


def _assign_class(ordered: list[str]) -> dict[str, Split]:
    if len(ordered) == 1:
        return {ordered[0]: "training"}
    if len(ordered) == 2:
        return {ordered[0]: "training", ordered[1]: "evaluation"}
    splits = {group: hashed_split(group) for group in ordered}
    if "evaluation" not in splits.values():
        splits[ordered[-1]] = "evaluation"
    if "training" not in splits.values():
        splits[ordered[0]] = "training"
    if "validation" not in splits.values():
        splits[_next_to_evaluation(ordered, splits)] = "validation"
    return splits


def _next_to_evaluation(ordered: list[str], splits: Mapping[str, Split]) -> str:
    """For validation: the lowest of evaluation if it can spare one, else the highest of training."""
    evaluation = [group for group in ordered if splits[group] == "evaluation"]
    if len(evaluation) > 1:
        return evaluation[0]
    return [group for group in ordered if splits[group] == "training"][-1]
