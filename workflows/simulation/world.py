"""What the simulated year brings: inputs month by month, each with the truth that only the simulation knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from services.common.errors import InvalidInput

FEWEST_MONTHS = 3
MOST_MONTHS = 24
GROUP_MARK = "--"


@dataclass(frozen=True)
class Input:
    """Something that is seen or heard.

    Attributes:
        name: what stands before `--` in it names what was recorded; several inputs may show the same.
        truth: the label.
        source: the device.
        data: the encoded file.
    """

    name: str
    truth: str
    source: str
    data: bytes

    @property
    def group(self) -> str:
        """What was recorded."""
        return self.name.rpartition(GROUP_MARK)[0]


@dataclass(frozen=True)
class Calendar:
    """When what happens, in months from 1.

    Attributes:
        shift: from here on another device records, with noise.
        arrival: from here on there are classes that nobody had seen before.
    """

    months: int
    shift: int
    arrival: int

    @classmethod
    def of(cls, months: int) -> Calendar:
        """The shift comes near the middle, the new classes some months later.

        Raises:
            InvalidInput: too few months for a story, or too many for the data.
        """
        if not FEWEST_MONTHS <= months <= MOST_MONTHS:
            raise InvalidInput(
                "a simulation of so many months is not possible",
                value=months,
                allowed=f"{FEWEST_MONTHS} to {MOST_MONTHS}",
            )
        return cls(months, shift=months * 5 // 12 + 1, arrival=months * 8 // 12 + 1)

    def news(self, month: int, device: str, classes: str) -> str:
        """What is new in a month, in words; empty when nothing is."""
        found = {self.shift: f"{device} replaces the old one", self.arrival: f"{classes} are seen"}
        return found.get(month, "")


class World(Protocol):
    """A source of inputs. All of it follows from the seed; no recording of one month is seen in another."""

    application: str
    calendar: Calendar

    def start(self) -> Iterator[Input]:
        """What is labelled before the year begins."""

    def month(self, number: int) -> list[Input]:
        """What is asked in a month, in the order in which it is asked."""

    def news(self, number: int) -> str:
        """What is new in a month, for people; empty when nothing is."""


def open_world(application: str, months: int, seed: int) -> World:
    """The world of an application.

    Raises:
        InvalidInput: there is none for it, or the number of months is out of bounds.
    """
    from workflows.simulation.birds import BirdWorld
    from workflows.simulation.digits import DigitWorld

    worlds: dict[str, Callable[[Calendar, int], World]] = {
        DigitWorld.application: DigitWorld,
        BirdWorld.application: BirdWorld,
    }
    if application not in worlds:
        raise InvalidInput("there is no simulated world for", value=application, allowed=", ".join(worlds))
    return worlds[application](Calendar.of(months), seed)
