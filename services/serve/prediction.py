"""The answer to one file: labels with probabilities, a timeline for sounds, and how unlike the training data it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from services.bundle.manifest import AudioPreprocessing, BundleManifest

if TYPE_CHECKING:
    from services.media.prepare import Prepared
    from services.serve.predictor import Scores

_TOP = 5


@dataclass(frozen=True)
class Prediction:
    """What is said of one file.

    Attributes:
        probabilities: float32 [classes]; for a sound the maximum over its windows.
        novelty: the autoencoder's score; for a sound the maximum over its windows.
        novel: the score is above the bundle's threshold.
        labels: every label with its probability, likeliest first.
        timeline: for sounds one entry for each window, times in seconds.
        segments: for sounds, neighbouring windows with one label joined; times in seconds.
        duration: seconds; None for pictures.
        features: loudness, bandwidth, brightness and so on of the input, for monitoring.
    """

    probabilities: NDArray[np.float32]
    novelty: float
    novel: bool
    novelty_threshold: float
    labels: list[dict[str, Any]]
    timeline: list[dict[str, Any]] | None = None
    segments: list[dict[str, Any]] | None = None
    duration: float | None = None
    features: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The body of `/predict`, without what names the server."""
        best = self.labels[0]
        body: dict[str, Any] = {
            "label": best["label"],
            "probability": best["probability"],
            "labels": self.labels,
            "novel": self.novel,
            "novelty": self.novelty,
            "novelty_threshold": self.novelty_threshold,
        }
        if self.timeline is not None:
            body |= {"timeline": self.timeline, "segments": self.segments, "duration": self.duration}
        return body


def describe(manifest: BundleManifest, scores: Scores, prepared: Prepared) -> Prediction:
    """Put scores of windows into words: labels, timeline, segments, novelty."""
    threshold = manifest.novelty.threshold
    sound = isinstance(manifest.preprocessing, AudioPreprocessing)
    if sound or len(scores.novelty) > 1:
        probabilities, novelty = scores.probabilities.max(axis=0), float(scores.novelty.max())
    else:
        probabilities, novelty = scores.probabilities[0], float(scores.novelty[0])
    labels = ranked(manifest.labels, probabilities)
    if not sound:
        return Prediction(
            probabilities, novelty, novelty > threshold, threshold, labels, features=prepared.features
        )
    timeline = _timeline(manifest, scores, prepared.starts, prepared.duration)
    return Prediction(
        probabilities,
        novelty,
        novelty > threshold,
        threshold,
        labels,
        timeline=timeline,
        segments=merge(timeline, None if manifest.task == "single-label" else manifest.threshold),
        duration=prepared.duration,
        features=prepared.features,
    )


def ranked(
    names: list[str], probabilities: NDArray[np.float32], top: int | None = None
) -> list[dict[str, Any]]:
    """Labels with probabilities, likeliest first; of equal ones the earlier in the bundle's order first."""
    values = probabilities.tolist()
    pairs = sorted(zip(values, names, strict=True), key=_probability, reverse=True)[:top]
    return [{"label": name, "probability": value} for value, name in pairs]


def merge(timeline: list[dict[str, Any]], threshold: float | None) -> list[dict[str, Any]]:
    """Join windows that touch or overlap and have one label.

    Args:
        timeline: entries with `start`, `end` and `labels` (likeliest first), by time.
        threshold: labels with at least this probability count; None: only the likeliest of each window.

    Returns:
        `label`, `start`, `end`, and the highest `probability` inside, ordered by start, then label.
    """
    done: list[dict[str, Any]] = []
    open_: dict[str, dict[str, Any]] = {}
    for window in timeline:
        present = window["labels"][:1] if threshold is None else window["labels"]
        for entry in present:
            if threshold is not None and entry["probability"] < threshold:
                continue
            name, last = entry["label"], open_.get(entry["label"])
            if last is not None and window["start"] <= last["end"] + 1e-6:
                last["end"] = max(last["end"], window["end"])
                last["probability"] = max(last["probability"], entry["probability"])
                continue
            segment = {"label": name, "start": window["start"], "end": window["end"]}
            open_[name] = segment | {"probability": entry["probability"]}
            done.append(open_[name])
    return sorted(done, key=lambda segment: (segment["start"], segment["label"]))


def _timeline(
    manifest: BundleManifest, scores: Scores, starts: list[float], duration: float
) -> list[dict[str, Any]]:
    preprocessing = manifest.preprocessing
    assert isinstance(preprocessing, AudioPreprocessing)
    threshold = manifest.threshold if manifest.task == "multi-label" else 2.0
    timeline = []
    for start, row, novelty in zip(starts, scores.probabilities, scores.novelty.tolist(), strict=True):
        shown = max(_TOP, int((row >= threshold).sum()))
        labels = ranked(manifest.labels, row, shown)
        timeline.append(
            {
                "start": start,
                "end": min(start + preprocessing.window_seconds, duration),
                "label": labels[0]["label"],
                "probability": labels[0]["probability"],
                "labels": labels,
                "novelty": novelty,
                "novel": novelty > manifest.novelty.threshold,
            }
        )
    return timeline


def _probability(pair: tuple[float, str]) -> float:
    return pair[0]
