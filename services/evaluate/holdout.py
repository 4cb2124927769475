"""A model's answers to every file of the holdout, through the predictor that also serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.common.errors import InvalidInput, TooLarge, UnsupportedMedia
from services.data.dataset import Item
from services.evaluate.calibration import probabilities
from services.evaluate.metrics import Answers, Bools, Floats
from services.media.prepare import prepare
from services.serve.predictor import Predictor

_WARM_UP = 5


@dataclass(frozen=True)
class Reply:
    """What a model says of one file: float64 [classes] with and without temperature; for a sound the maximum
    over its windows. `novelty` likewise; `features` are those of `services.media.features`.
    """

    calibrated: Floats
    raw: Floats
    novelty: float
    features: dict[str, float]


@dataclass(frozen=True)
class Scored:
    """A model's replies to the items of a holdout.

    Attributes:
        replies: one for each item; the reason as text where the file cannot be read.
        latency_ms: milliseconds of single files, bytes to answer, one thread.
    """

    replies: list[Reply | str]
    latency_ms: Floats

    @property
    def readable(self) -> Bools:
        """bool [n]: the item was answered."""
        return np.array([isinstance(reply, Reply) for reply in self.replies], dtype=bool)


def score(predictor: Predictor, items: Sequence[Item], *, threads: int, latency_items: int) -> Scored:
    """Ask for every item; a sample evenly spread over them is asked first, one at a time, and timed."""
    replies: list[Reply | str] = [""] * len(items)
    timed = np.unique(np.linspace(0, len(items) - 1, min(latency_items, len(items))).astype(int)).tolist()
    for index in timed[:_WARM_UP]:
        ask(predictor, items[index].read())
    times = []
    for index in timed:
        data = items[index].read()
        start = time.perf_counter()
        replies[index] = ask(predictor, data)
        times.append(1000 * (time.perf_counter() - start))
    rest = sorted(set(range(len(items))) - set(timed))
    with ThreadPoolExecutor(threads) as pool:
        for index, reply in zip(rest, pool.map(lambda i: ask(predictor, items[i].read()), rest), strict=True):
            replies[index] = reply
    return Scored(replies, np.array(times))


def ask(predictor: Predictor, data: bytes) -> Reply | str:
    """The reply to one file, or why it cannot be read."""
    manifest = predictor.manifest
    try:
        prepared = prepare(data, manifest.preprocessing, predictor.limits)
    except (UnsupportedMedia, TooLarge, InvalidInput) as error:
        return str(error)
    scores = predictor.scores(prepared.tensor)
    multi = manifest.task == "multi-label"
    calibrated = probabilities(scores.logits, manifest.temperature, multi_label=multi).max(axis=0)
    raw = probabilities(scores.logits, 1.0, multi_label=multi).max(axis=0)
    features = dict(prepared.features)
    if "width" in features and "height" in features:
        features["pixels"] = features["width"] * features["height"]
    return Reply(calibrated, raw, float(scores.novelty.max()), features)


def truth_of(items: Sequence[Item], labels: Sequence[str], *, multi_label: bool) -> Bools:
    """bool [n, classes]: the primary label, or all labels when multi-label; labels unknown here are left out."""
    place = {label: index for index, label in enumerate(labels)}
    truth = np.zeros((len(items), len(labels)), dtype=bool)
    for row, item in enumerate(items):
        for label in item.labels if multi_label else item.labels[:1]:
            if label in place:
                truth[row, place[label]] = True
    return truth


def answers_of(
    scored: Scored,
    truth: Bools,
    rows: NDArray[np.int64],
    *,
    multi_label: bool,
    threshold: float,
    columns: Sequence[int] | None = None,
    raw: bool = False,
) -> Answers:
    """Some items' answers, beside their truth.

    Args:
        truth: bool [n, classes], in the order of labels that is wanted.
        rows: the items; each must be readable.
        columns: for each wanted label its column in the model's answers, or -1 where the model does not know it
            (probability 0); None: the model's own order.
        raw: without temperature.
    """
    table = np.zeros((len(rows), truth.shape[1]))
    for place, row in enumerate(rows):
        reply = scored.replies[row]
        assert isinstance(reply, Reply)
        values = reply.raw if raw else reply.calibrated
        if columns is not None:
            values = np.where(np.asarray(columns) >= 0, values[np.asarray(columns)], 0.0)
        table[place] = values
    return Answers(truth[rows], table, multi_label, threshold)


def groups_of(items: Sequence[Item]) -> NDArray[np.int64]:
    """int [n], the group of each item, numbered without gaps."""
    return np.unique([item.group for item in items], return_inverse=True)[1].astype(np.int64)
