"""Segments of a prediction log, made without a server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.bundle.manifest import Histogram
from services.monitor.reference import Reference

BUNDLE = "sha256:" + "b" * 64
NOON = 1_780_315_200_000  # 2026-06-01T12:00:00Z, in milliseconds
EDGES = np.linspace(-90.0, 0.0, 19)


def head(opened: int = NOON, **changes: Any) -> dict[str, Any]:
    """The first line."""
    return {
        "schema": "rookery.predictions/1",
        "segment": f"{opened:013d}-{uuid.uuid4().hex[:12]}",
        "opened": opened,
        "application": "birds",
        "environment": "production",
        "version": "7",
        "bundle_digest": BUNDLE,
    } | changes


def prediction(number: int, **changes: Any) -> list[Any]:
    """One answered prediction; `changes` by name."""
    fields: dict[str, Any] = {
        "time": NOON + number,
        "request_id": f"{number:032x}",
        "digest": f"{number:064x}",
        "labels": [["owl", 0.9], ["wren", 0.1]],
        "novelty": 0.2,
        "novel": False,
        "seconds": 0.01,
        "source": "",
        "features": {"loudness_dbfs": -40.0},
    } | changes
    return ["p", *fields.values()]


def failure(time: int, status: int = 500) -> list[Any]:
    """One that the server owed."""
    return ["f", time, status, 0.5]


def feedback(number: int, labels: Sequence[str], time: int = NOON + 3_600_000) -> list[Any]:
    """What somebody says of prediction `number`."""
    return ["b", time, f"{number:032x}", list(labels)]


def segment(records: Sequence[Any], **changes: Any) -> bytes:
    """The file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in [head(**changes), *records])


def reference(
    values: Sequence[float] | None = None, labels: dict[str, int] | None = None, golden: Sequence[int] = ()
) -> Reference:
    """Loudness around -40 dBFS, mostly owls, sure of itself; `golden` are numbers of predictions."""
    random = np.random.default_rng(1)
    loudness = random.normal(-40, 6, 2000) if values is None else np.asarray(values)
    counts = labels or {"owl": 1400, "wren": 500, "jay": 100}
    sure = np.histogram(random.beta(9, 1, 2000), np.linspace(0, 1, 21))
    return Reference(
        schema_="rookery.reference/1",
        bundle_digest=BUNDLE,
        labels=list(counts),
        novelty_threshold=1.0,
        reference={
            "loudness_dbfs": Histogram(
                edges=EDGES.tolist(), counts=np.histogram(loudness, EDGES)[0].tolist()
            ),
            "confidence": Histogram(edges=sure[1].tolist(), counts=sure[0].tolist()),
            "label": Histogram(edges=list(range(len(counts) + 1)), counts=list(counts.values())),
        },
        golden=[f"{number:064x}" for number in golden],
    )


def drawn(
    count: int, *, loudness: float = -40.0, seed: int = 2, start: int = 0, **changes: Any
) -> list[list[Any]]:
    """Predictions like the reference, but for what is given."""
    random = np.random.default_rng(seed)
    words = random.choice(["owl", "wren", "jay"], count, p=[0.7, 0.25, 0.05])
    levels, sure = random.normal(loudness, 6, count), random.beta(9, 1, count)
    return [
        prediction(
            start + n,
            labels=[[str(words[n]), float(sure[n])]],
            features={"loudness_dbfs": float(levels[n])},
            **changes,
        )
        for n in range(count)
    ]
