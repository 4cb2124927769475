"""A recording cut into windows of equal length."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from services.common.errors import InvalidInput
from services.media.audio import Samples

_TAIL = 0.01


def split_windows(
    samples: Samples, sample_rate: int, window_seconds: float, hop_seconds: float
) -> tuple[list[float], Samples]:
    """Windows that together cover the recording.

    The last one is padded with zeros. A tail under 1 % of a window, such as codecs leave, gets none.

    Args:
        samples: float32 [n].
        sample_rate: Hz.
        window_seconds: length of a window.
        hop_seconds: distance of two windows, at most their length.

    Returns:
        The starts in seconds, and the windows as a read-only view, float32 [windows, samples in one].

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
    missing = (count - 1) * hop + length - len(samples)
    if missing > 0:
        samples = np.concatenate([samples, np.zeros(missing, np.float32)])
    windows = sliding_window_view(samples, length)[::hop][:count]
    return [index * hop / sample_rate for index in range(count)], windows


def count_windows(samples: int, length: int, hop: int) -> int:
    """How many windows `split_windows` makes of so many samples."""
    beyond = samples - length - int(_TAIL * length)
    return 1 + max(0, math.ceil(beyond / hop))
