"""The interval of a share by Wilson: good for few cases and for shares near 0 and 1.

Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
"""

from __future__ import annotations

import math

Z95 = 1.959963984540054


def wilson(share: float, count: float, z: float = Z95) -> tuple[float, float]:
    """Low and high end for a share of `count` cases, which need not be whole, as an effective number is not.

    Args:
        z: quantile of the normal distribution; the default gives 95 %.
    """
    square = z * z / count
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square * square / 4) / (1 + square)
    return max(0.0, middle - half) if share > 0 else 0.0, min(1.0, middle + half) if share < 1 else 1.0
