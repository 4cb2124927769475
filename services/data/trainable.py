"""Is there enough to train on? Said before a run starts, with the reason."""

from __future__ import annotations

from collections import Counter

from services.common.errors import DatasetError
from services.data.dataset import Dataset

FEWEST_CLASSES = 2
FEWEST_ITEMS = 3
MOST_CLASSES = 10_000
_NAMED = 5


def check_trainable(dataset: Dataset) -> None:
    """Refuse a dataset that no model could be trained and judged with.

    Raises:
        DatasetError: nothing in it can be read, pictures and sounds are mixed, it has fewer than two classes,
            a class has fewer than three items or none for training, or a split has no items.
    """
    if not dataset.items:
        raise DatasetError("the dataset has no item that can be used" + _why(dataset), value=dataset.source)
    _refuse_mixed(dataset)
    _refuse_classes(dataset)
    for name, count in dataset.split_sizes().items():
        if count == 0:
            raise DatasetError(
                f"the dataset has no {name} items",
                value=dataset.split_sizes(),
                allowed="more recordings or pictures, of more authors, or a folder for each split",
            )


def _refuse_mixed(dataset: Dataset) -> None:
    other = [problem for problem in dataset.problems if problem.reason == "other-kind"]
    if other:
        raise DatasetError(
            f"the dataset mixes pictures and sounds: {len(other)} files are not {dataset.kind}",
            value=[problem.path for problem in other[:_NAMED]],
            allowed="one kind in a dataset",
        )


def _refuse_classes(dataset: Dataset) -> None:
    empty = [problem.path for problem in dataset.problems if problem.reason == "empty-class"]
    if not FEWEST_CLASSES <= len(dataset.labels) <= MOST_CLASSES:
        raise DatasetError(
            f"the dataset has {len(dataset.labels)} classes with usable items",
            value=dataset.labels[:_NAMED],
            allowed=f"{FEWEST_CLASSES} to {MOST_CLASSES}, one folder for each (or is the data one folder deeper?)",
        )
    primary = Counter(item.primary for item in dataset.items)
    small = [f"{label}: {primary[label]}" for label in dataset.labels if primary[label] < FEWEST_ITEMS]
    small += [f"{label}: 0" for label in empty]
    if small:
        raise DatasetError(
            f"{len(small)} classes have too few usable items" + _why(dataset),
            value=", ".join(small[:_NAMED]) + (", …" if len(small) > _NAMED else ""),
            allowed=f"at least {FEWEST_ITEMS} each, or ?min_items={FEWEST_ITEMS} to leave such classes out",
        )
    trained = Counter(item.primary for item in dataset.split("training"))
    missing = [label for label in dataset.labels if not trained[label]]
    if missing:
        raise DatasetError("classes have no training items", value=missing[:_NAMED])


def _why(dataset: Dataset) -> str:
    """The most frequent reasons for which files were skipped."""
    reasons = Counter(problem.reason for problem in dataset.problems if problem.skipped).most_common(3)
    if not reasons:
        return ""
    return " (skipped files: " + ", ".join(f"{count} {reason}" for reason, count in reasons) + ")"
