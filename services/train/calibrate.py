"""Temperature scaling. Source: Guo et al., On calibration of modern neural networks, 2017."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from services.train.scoring import by_item, probabilities

_LOWEST, _HIGHEST = 0.05, 20.0
_PRIOR_DEVIATION = 0.5


def fit_temperature(
    logits: NDArray[np.float32],
    item_of: NDArray[np.int64],
    targets: NDArray[np.float32],
    *,
    multi_label: bool,
) -> float:
    """The temperature, from 0.05 to 20, with the least negative log-likelihood of items.

    An item of several windows is served with the highest probability of each class over them, which add up to more
    than one. The likelihood of its true class would then reward any window that names it, and never punish one that is
    sure of another; so what counts for it is whether the class named first is right, which is what is shown to people.

    The logarithm has a normal prior around 0 with deviation 0.5, worth one item: where a small validation split
    has no error, the likelihood alone would make every answer certain.

    Args:
        logits: of windows, float32 [n, classes].
        item_of: int64 [n].
        targets: of items, zeros and ones, float32 [items, classes].
    """
    several = bool(np.any(np.bincount(item_of, minlength=len(targets)) > 1))

    def loss(log_temperature: float) -> float:
        found = probabilities(logits, multi_label=multi_label, temperature=float(np.exp(log_temperature)))
        clipped = np.clip(by_item(found, item_of, len(targets)).astype(np.float64), 1e-7, 1 - 1e-7)
        wanted = targets
        if several and not multi_label:
            first = clipped.argmax(axis=1)[:, None]
            clipped = np.take_along_axis(clipped, first, axis=1)
            wanted = np.take_along_axis(targets, first, axis=1)
        likelihood = wanted * np.log(clipped)
        if multi_label or several:
            likelihood = likelihood + (1 - wanted) * np.log(1 - clipped)
        prior = 0.5 * (log_temperature / _PRIOR_DEVIATION) ** 2
        return float(prior - likelihood.sum())

    bounds = (float(np.log(_LOWEST)), float(np.log(_HIGHEST)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3})
    return round(float(np.exp(found.x)), 4)
