"""Whether a probability means what it says: reliability and expected calibration error (ECE).

Source: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.evaluate.metrics import Answers, Floats

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Items by what was said, in bins of equal width.

    Attributes:
        counts: int [bins].
        said: float [bins], mean probability in the bin, NaN when it is empty.
        happened: float [bins], share that was right, NaN when it is empty.
        ece: Σ counts/n · |happened - said|.
    """

    counts: NDArray[np.int64]
    said: Floats
    happened: Floats
    ece: float


def reliability(answers: Answers, bins: int = BINS) -> Reliability:
    """Reliability of the first guess, or (multi-label) of every yes-or-no answer that a label is present."""
    if answers.multi_label:
        said, right = answers.probabilities.ravel(), answers.truth.ravel()
    else:
        said, right = answers.probabilities.max(axis=1), answers.hits
    index = np.clip((said * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_said = np.bincount(index, weights=said, minlength=bins) / counts
        mean_right = np.bincount(index, weights=right.astype(np.float64), minlength=bins) / counts
    gaps = np.nan_to_num(np.abs(mean_right - mean_said))
    return Reliability(counts, mean_said, mean_right, float((counts * gaps).sum() / max(len(said), 1)))


def probabilities(logits: NDArray[np.floating[Any]], temperature: float, *, multi_label: bool) -> Floats:
    """Softmax or sigmoid of logits [..., classes] / temperature, in float64."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if multi_label:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * scaled)))
    raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
