"""A recording cut into windows of equal length."""

from __future__ import annotations

import math

import numpy as np

from services.common.errors import InvalidInput
from services.media.audio import Samples

_TAIL = 0.01


def split_windows(
    samples: Samples, sample_rate: int, window_seconds: float, hop_seconds: float
) -> tuple[list[float], list[Samples]]:
    """Windows that together cover the recording.

    The last one ends with the recording, so it begins earlier where the recording is no multiple of the hop: zeros
    after the sound would be unlike all that a model has heard. Only a recording shorter than one window is padded.
    A tail under 1 % of a window, such as codecs leave, gets none.

    Args:
        samples: float32 [n].
        sample_rate: Hz.
        window_seconds: length of a window.
        hop_seconds: distance of two windows, at most their length.

    Returns:
        The starts in seconds, and the windows in turn, each a view float32 [samples in one].

    Raises:
        InvalidInput: no samples, or a hop that would leave gaps.
    """
    length, hop = round(window_seconds * sample_rate), round(hop_seconds * sample_rate)
    if not 1 <= hop <= length:
        raise InvalidInput(
            "the hop of the windows is out of range", value=hop_seconds, allowed=f"up to {window_seconds} s"
        )
    if len(samples) == 0:
        raise InvalidInput("the sound has no samples")
    count = count_windows(len(samples), length, hop)
    if len(samples) < length:
        samples = np.concatenate([samples, np.zeros(length - len(samples), np.float32)])
    starts = [min(index * hop, len(samples) - length) for index in range(count)]
    return [start / sample_rate for start in starts], [samples[start : start + length] for start in starts]


def count_windows(samples: int, length: int, hop: int) -> int:
    """How many windows `split_windows` makes of so many samples."""
    beyond = samples - length - int(_TAIL * length)
    return 1 + max(0, math.ceil(beyond / hop))
