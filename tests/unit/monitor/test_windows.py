from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.monitor.archive import Archive
from services.monitor.objects import FolderObjects
from services.monitor.segment import parse_segment
from services.monitor.windows import Thresholds, Window, compare_window
from tests.support.predictions import NOON, drawn, prediction, reference, segment

BEGIN = datetime.fromtimestamp(NOON / 1000, UTC)
USUAL = Thresholds(0.01, 0.1, 50)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(FolderObjects(tmp_path))
    made.references.add(reference())
    return made


def put(archive: Archive, records: list[list[object]], **changes: object) -> None:
    archive.put(parse_segment(segment(records, **changes)))


def look(archive: Archive, **changes: object) -> Window:
    span = (BEGIN, BEGIN + timedelta(hours=2))
    return compare_window(archive, "birds", "production", *span, USUAL, **changes)  # type: ignore[arg-type]


def test_a_window_like_the_validation_split_is_steady(archive: Archive) -> None:
    put(archive, drawn(1000))
    window = look(archive)
    assert window.state == "steady"
    assert {finding.name for finding in window.findings} == {"loudness_dbfs", "confidence", "label"}
    assert window.as_dict()["predictions"] == 1000


def test_a_louder_microphone_is_drift_of_loudness_alone(archive: Archive) -> None:
    put(archive, drawn(1000, loudness=-30))
    assert look(archive).as_dict()["drifting"] == ["loudness_dbfs"]


def test_another_mix_of_species_is_drift_of_the_labels(archive: Archive) -> None:
    put(archive, [prediction(n, labels=[["jay", 0.9]], features={}) for n in range(500)])
    assert "label" in look(archive).as_dict()["drifting"]


def test_nothing_was_logged(archive: Archive) -> None:
    window = look(archive)
    assert window.state == "not enough evidence"
    assert window.as_dict()["novel_share"] is None
    assert window.findings == []


def test_one_source_among_many_is_found(archive: Archive) -> None:
    for number in range(5):
        put(archive, drawn(400, seed=number, source=f"site-{number}", loudness=-28 if number == 3 else -40))
    sources = look(archive).as_dict()["sources"]
    assert {name for name, found in sources.items() if found["state"] == "drift"} == {"site-3"}
    assert sources["site-3"]["drifting"] == ["loudness_dbfs"]


def test_the_window_is_about_one_version(archive: Archive) -> None:
    put(archive, drawn(300, loudness=-20), version="6")
    put(archive, drawn(500, seed=9), version="7")
    window = look(archive)
    assert (window.version, window.state, window.versions) == ("7", "steady", {"7": 500, "6": 300})
    assert look(archive, version="6").state == "drift"


def test_a_bundle_that_promised_nothing_can_be_held_against_last_week(archive: Archive) -> None:
    other = "sha256:" + "c" * 64
    week = 7 * 86_400_000
    put(archive, drawn(500, time=NOON - week), bundle_digest=other, opened=NOON - week)
    put(archive, [prediction(n, labels=[["owl", 0.2]]) for n in range(500)], bundle_digest=other)
    assert look(archive).state == "not enough evidence"
    before = BEGIN - timedelta(days=7)
    window = look(archive, baseline=(before, before + timedelta(hours=1)))
    assert window.against == "another window"
    assert "confidence" in window.as_dict()["drifting"]


@pytest.mark.parametrize("length", [timedelta(0), timedelta(days=-1), timedelta(days=400)])
def test_a_window_has_a_length(archive: Archive, length: timedelta) -> None:
    with pytest.raises(InvalidInput, match="empty or too long"):
        compare_window(archive, "birds", "production", BEGIN, BEGIN + length, USUAL)
