"""A year of invented birds: short recordings by a microphone that is replaced in the middle of the year."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.data.birdsong import Scene, Species, sing, species
from services.data.encoding import encode_sound
from workflows.simulation.world import GROUP_MARK, Calendar, Input

OLD, NEW = "microphone-1", "microphone-2"
_SPECIES, _LATE = 8, 2
_START_EACH, _MONTH_EACH = 40, 20
_SECONDS, _SAMPLE_RATE = 2.0, 16_000
_QUIET, _LOUD, _SHIFT = 0.06, 0.35, 0.6


class BirdWorld:
    """Eight species; two of them are heard first in the month of arrival. The new microphone hangs beside a road."""

    application = "birds"

    def __init__(self, calendar: Calendar, seed: int) -> None:
        self.calendar = calendar
        self._seed = seed
        birds = species(_SPECIES)
        self._known, self._late = birds[:-_LATE], birds[-_LATE:]

    def start(self) -> Iterator[Input]:
        """What is labelled before the year begins."""
        for bird in self._known:
            for number in range(_START_EACH):
                yield self._record(bird, 0, number)

    def month(self, number: int) -> list[Input]:
        """What is asked in a month, in the order in which it is asked."""
        late = self._late if number >= self.calendar.arrival else []
        made = [self._record(bird, number, n) for bird in [*self._known, *late] for n in range(_MONTH_EACH)]
        order = np.random.default_rng([self._seed, 2, number]).permutation(len(made))
        return [made[index] for index in order]

    def news(self, number: int) -> str:
        """What is new in a month, for people; empty when nothing is."""
        late = " and ".join(bird.name for bird in self._late)
        return self.calendar.news(number, "a microphone beside a road", late)

    def _record(self, bird: Species, month: int, number: int) -> Input:
        new = month >= self.calendar.shift
        random = np.random.default_rng([self._seed, 3, month, number, *bird.name.encode()])
        scene = Scene(_SECONDS, _SAMPLE_RATE, _LOUD if new else _QUIET, _SHIFT if new else 0.0)
        data = encode_sound(sing([bird], scene, random), _SAMPLE_RATE, "wav")
        name = f"{bird.name}-{month:02d}-{number:03d}{GROUP_MARK}0.wav"
        return Input(name, bird.name, NEW if new else OLD, data)
