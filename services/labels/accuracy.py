"""An idea of accuracy in production, with its interval, from the random share.

Each drawn input stands for 1 / p others of its window, p being its recorded probability. Where not all of a window's
draws are answered, those that are stand for the others of the window. The estimate is the weighted share of right
answers (Hájek). Its interval is Wilson's (1927) with the effective number of draws (Σw)² / Σw² (Kish, 1965) in place of
their number. `services.labels.simulate` measures how often it covers the truth.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.common.wilson import Z95, wilson


@dataclass(frozen=True, slots=True)
class Draw:
    """One input of the random share.

    Attributes:
        window: name of the window that it was drawn from.
        right: whether the model's first answer is what people say; None: nobody has said.
    """

    window: str
    probability: float
    right: bool | None


@dataclass(frozen=True)
class Accuracy:
    """The estimate. `count` draws were answered of `drawn`, standing for `inputs` distinct inputs."""

    estimate: float | None
    low: float | None
    high: float | None
    count: int
    drawn: int
    inputs: float

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def estimate(draws: Iterable[Draw], *, z: float = Z95) -> Accuracy:
    """The estimate from all draws of one or many windows."""
    windows: dict[str, list[Draw]] = defaultdict(list)
    for draw in draws:
        windows[draw.window].append(draw)
    weights: list[tuple[float, bool]] = []
    drawn, inputs = 0, 0.0
    for members in windows.values():
        answered = [draw for draw in members if draw.right is not None]
        drawn += len(members)
        inputs += sum(1 / draw.probability for draw in members)
        if answered:
            share = len(members) / len(answered)
            weights += [(share / draw.probability, bool(draw.right)) for draw in answered]
    if not weights:
        return Accuracy(None, None, None, 0, drawn, inputs)
    total = math.fsum(weight for weight, _ in weights)
    mean = math.fsum(weight for weight, right in weights if right) / total
    effective = total**2 / math.fsum(weight**2 for weight, _ in weights)
    low, high = wilson(min(mean, 1.0), effective, z)
    return Accuracy(min(mean, 1.0), low, high, len(weights), drawn, inputs)
