"""Prepared inputs of a dataset, computed once and kept on disk as one array that is mapped, not read."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.bundle.manifest import Preprocessing
from services.common.digest import canonical_json, digest_bytes, short
from services.common.errors import DatasetError, InvalidInput, RookeryError, TooLarge, UnsupportedMedia
from services.data.dataset import Dataset, Item
from services.data.lock import locked
from services.media.prepare import Prepared, prepare

_SPLITS = ("training", "validation")
_AHEAD = 8
_WINDOWS = "the last window ends with the recording"
_UNFINISHED = ".making"


@dataclass(frozen=True)
class Split:
    """The windows of one split (a picture is one window).

    Attributes:
        windows: float32 [n, channels, height, width], mapped from disk, not normalised.
        item_of: int64 [n], which of `items` a window belongs to; never decreases.
        items: those that could be prepared.
        features: what each item is like, by name float32 [items].
    """

    windows: NDArray[np.float32]
    item_of: NDArray[np.int64]
    items: list[Item]
    features: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Features:
    """Both splits that a training uses, and the files that could not be prepared with the reason."""

    training: Split
    validation: Split
    skipped: dict[str, str]


def load_features(
    dataset: Dataset, raw: Preprocessing, cache: Path, *, limit_gib: float, tell: Callable[[int, int], None]
) -> Features:
    """The features of the training and validation splits, from the cache or computed into it.

    Args:
        raw: preprocessing without normalisation.
        tell: called with how many items of how many are done.

    Raises:
        DatasetError: no item of a split could be prepared.
        NotFound, IntegrityError: a file is not what it was when the dataset was scanned.
    """
    key = short(digest_bytes(canonical_json([_WINDOWS, dataset.digest, raw.model_dump(mode="json")])))
    folder = cache / "features" / key
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            _compute(dataset, raw, folder, tell)
            _prune(folder, limit_gib)
    os.utime(folder)
    facts = json.loads((folder / "facts.json").read_text())
    training, validation = (_open(dataset, folder, name, facts[name]) for name in _SPLITS)
    return Features(training, validation, facts["skipped"])


def statistics(split: Split, *, most: int = 4096) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel over at most `most` evenly spread windows."""
    chosen = split.windows[:: max(1, len(split.windows) // most)]
    mean = chosen.mean(axis=(0, 2, 3), dtype=np.float64)
    std = chosen.std(axis=(0, 2, 3), dtype=np.float64)
    return [round(float(m), 6) for m in mean], [round(max(float(s), 1e-3), 6) for s in std]


def _compute(dataset: Dataset, raw: Preprocessing, folder: Path, tell: Callable[[int, int], None]) -> None:
    """Write into a folder of this name alone: what a killed training left there is begun anew, not kept for ever."""
    work = folder.with_suffix(_UNFINISHED)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        facts: dict[str, Any] = {"skipped": {}}
        total = sum(len(dataset.split(name)) for name in _SPLITS)
        done = itertools.count(1)
        for name in _SPLITS:
            facts[name] = _compute_split(
                dataset.split(name),
                raw,
                work / f"{name}.f32",
                facts["skipped"],
                lambda: tell(next(done), total),
            )
            if not facts[name]["ids"]:
                raise DatasetError(f"no item of the {name} split can be prepared", value=dataset.source)
        (work / "facts.json").write_text(json.dumps(facts))
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compute_split(
    items: Sequence[Item], raw: Preprocessing, path: Path, skipped: dict[str, str], tell: Callable[[], None]
) -> dict[str, Any]:
    ids: list[str] = []
    counts: list[int] = []
    features: dict[str, list[float]] = {}
    shape: list[int] = []
    with path.open("wb") as file:
        for item, prepared in _prepare_all(items, raw):
            tell()
            if isinstance(prepared, RookeryError):
                skipped[item.id] = str(prepared)
                continue
            shape = list(prepared.tensor.shape[1:])
            file.write(np.ascontiguousarray(prepared.tensor, dtype="<f4").tobytes())
            ids.append(item.id)
            counts.append(len(prepared.tensor))
            for name, value in prepared.features.items():
                features.setdefault(name, []).append(float(value))
    return {"ids": ids, "counts": counts, "shape": shape, "features": features}


def _prepare_all(items: Sequence[Item], raw: Preprocessing) -> Iterator[tuple[Item, Prepared | RookeryError]]:
    """In order, on every core, with a bounded number of results waiting."""

    def one(item: Item) -> Prepared | RookeryError:
        try:
            return prepare(item.read(), raw)
        except (InvalidInput, TooLarge, UnsupportedMedia) as error:
            return error

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[tuple[Item, Future[Prepared | RookeryError]]] = []
        for item in items:
            waiting.append((item, pool.submit(one, item)))
            if len(waiting) >= workers * _AHEAD:
                first, future = waiting.pop(0)
                yield first, future.result()
        for last, future in waiting:
            yield last, future.result()


def _open(dataset: Dataset, folder: Path, name: str, facts: dict[str, Any]) -> Split:
    by_id = {item.id: item for item in dataset.split(name)}
    counts = np.asarray(facts["counts"], dtype=np.int64)
    windows = np.memmap(
        folder / f"{name}.f32", dtype="<f4", mode="r", shape=(int(counts.sum()), *facts["shape"])
    )
    return Split(
        windows=windows,
        item_of=np.repeat(np.arange(len(counts)), counts),
        items=[by_id[item_id] for item_id in facts["ids"]],
        features={key: np.asarray(values, np.float32) for key, values in facts["features"].items()},
    )


def _prune(newest: Path, limit_gib: float) -> None:
    """Drop the features that were used or begun longest ago until the rest fits, never the newest."""
    folders = [path for path in newest.parent.iterdir() if path.is_dir()]
    used = {path: _last_use(path) for path in folders}
    sizes = {path: sum(size for _, size in _files(path)) for path in folders}
    total = sum(sizes.values())
    for path in sorted(folders, key=lambda path: used[path]):
        if total <= limit_gib * 2**30:
            return
        if path != newest:
            shutil.rmtree(path, ignore_errors=True)
            total -= sizes[path]


def _last_use(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return max([folder.stat().st_mtime, *(changed for changed, _ in _files(folder))])
    return 0.0


def _files(folder: Path) -> list[tuple[float, int]]:
    """Time of change and size of each file; nothing of a folder that another training renames just now."""
    with contextlib.suppress(OSError):
        return [(facts.st_mtime, facts.st_size) for facts in (file.stat() for file in folder.iterdir())]
    return []
