from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.data.source import load_dataset
from services.monitor.archive import Archive
from services.monitor.objects import FolderObjects
from services.monitor.segment import parse_segment
from tests.support.predictions import prediction, segment
from workflows.local.settings import PlatformSettings
from workflows.simulation.clock import month_span
from workflows.simulation.digits import DigitWorld
from workflows.simulation.people import MANY, USUAL, People
from workflows.simulation.servers import digest_of
from workflows.simulation.world import Calendar, Input

WORLD = DigitWorld(Calendar.of(3), 6)


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path / "home")


def served(settings: PlatformSettings, number: int, right: float) -> list[Input]:
    """A month in the archive, with so many of the answers right, the others `0`."""
    inputs = WORLD.month(number)
    archive = Archive(FolderObjects(settings.home / "monitor"))
    first = int(month_span(number).begin.timestamp() * 1000)
    records = []
    for place, one in enumerate(inputs):
        label = one.truth if place % 100 < 100 * right else "0"
        when = first + 3_600_000 * (place // 4) + place
        records.append(
            prediction(place, time=when, digest=digest_of(one), labels=[[label, 0.5 + place % 50 / 100]])
        )
        archive.put_input(digest_of(one), one.data, today=datetime.fromtimestamp(when / 1000, UTC).date())
    head = {"application": "digits", "version": "1", "opened": first}
    archive.put(parse_segment(segment(records, **head)))
    return inputs


def test_labels_become_versions_of_the_dataset(settings: PlatformSettings, tmp_path: Path) -> None:
    people = People(settings, "digits", tmp_path / "world")
    base = people.start(WORLD.start())
    known = load_dataset(base, cache=tmp_path / "cache")
    assert known.labels == list("01234567")
    inputs = served(settings, 1, right=0.9)
    found = people.label(month_span(1), inputs, drift=False)
    assert found.count == USUAL
    assert found.estimate is not None and found.estimate[1] < 0.95 and found.estimate[2] > 0.75
    grown = load_dataset(found.source, cache=tmp_path / "cache")
    assert len(known.items) < len(grown.items) <= len(known.items) + USUAL
    truth = {digest_of(one): one.truth for one in inputs}
    fresh = [item for item in grown.items if item.sha256 in truth]
    assert fresh and all(item.primary == truth[item.sha256] for item in fresh)
    people.close()


def test_with_drift_more_is_labelled_and_new_classes_are_let_in(
    settings: PlatformSettings, tmp_path: Path
) -> None:
    people = People(settings, "digits", tmp_path / "world")
    people.start(WORLD.start())
    inputs = served(settings, WORLD.calendar.arrival, right=0.6)
    found = people.label(month_span(WORLD.calendar.arrival), inputs, drift=True)
    assert found.count == MANY
    grown = load_dataset(found.source, cache=tmp_path / "cache")
    assert set(grown.labels) & {"8", "9"}
    people.close()
