from __future__ import annotations

import heapq
import io
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from services.common.errors import NotFound
from services.monitor.archive import Archive
from services.monitor.objects import FolderObjects
from services.monitor.pictures import picture_of
from services.monitor.report import shadow_page
from services.monitor.segment import parse_segment
from services.monitor.shadow import EXAMPLES, Comparison, compare_shadow
from tests.support.bundles import tone_wav
from tests.support.predictions import NOON, prediction, segment

BEGIN = datetime.fromtimestamp(NOON / 1000, UTC)
END = BEGIN + timedelta(hours=2)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(FolderObjects(tmp_path))


def put(archive: Archive, environment: str, records: list[list[Any]], **changes: Any) -> None:
    archive.put(parse_segment(segment(records, environment=environment, **changes)))


def copy(number: int, label: str, confidence: float = 0.8, **changes: Any) -> list[Any]:
    return ["s", *prediction(number, labels=[[label, confidence]], **changes)[1:]]


def compare(archive: Archive, **changes: Any) -> Comparison:
    return compare_shadow(archive, "birds", "canary", "production", BEGIN, END, **changes)


def test_pairs_by_input_and_ranks_by_class_pair(archive: Archive) -> None:
    put(archive, "production", [prediction(n) for n in range(100)])
    said = ["owl"] * 80 + ["wren"] * 15 + ["jay"] * 5
    put(archive, "canary", [copy(n, said[n], 0.3 + n / 200) for n in range(100)])
    found = compare(archive).as_dict()
    assert (found["copies"], found["pairs"], found["disagreements"], found["share"]) == (100, 100, 20, 0.2)
    assert [(one["production"], one["canary"], one["count"]) for one in found["classes"]] == [
        ("owl", "wren", 15),
        ("owl", "jay", 5),
    ]
    assert found["by_class"] == [{"production": "owl", "pairs": 100, "disagreements": 20}]
    examples = found["classes"][0]["examples"]
    assert len(examples) == EXAMPLES
    assert examples[0]["input_digest"] == f"{94:064x}"
    assert examples[0]["canary"] == {"label": "wren", "confidence": pytest.approx(0.77), "version": "7"}


def test_of_a_large_file_a_part_at_a_time_is_read(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    batches = pa.Table.to_batches

    class Watched:
        def __init__(self, table: pa.Table) -> None:
            self._table = table

        def to_batches(self, **given: int) -> list[pa.RecordBatch]:
            found = batches(self._table, **given)
            sizes.extend(len(one) for one in found)
            return found

    served = archive.served
    monkeypatch.setattr(archive, "served", lambda *given: map(Watched, served(*given)))
    monkeypatch.setattr("services.monitor.shadow.ROWS", 30)
    put(archive, "production", [prediction(n) for n in range(100)])
    put(archive, "canary", [copy(n, "owl" if n % 2 else "jay") for n in range(100)])
    found = compare(archive).as_dict()
    assert (found["pairs"], found["disagreements"]) == (100, 50)
    assert sizes == [30, 30, 30, 10] * 2


def test_examples_are_the_surest_of_all_and_few_are_held(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    largest = heapq.nlargest

    def counting(count: int, items: list[Any], **more: Any) -> list[Any]:
        held.append(len(items))
        return largest(count, items, **more)

    monkeypatch.setattr(heapq, "nlargest", counting)
    put(archive, "production", [prediction(n, labels=[["owl", 0.99]]) for n in range(250)])
    put(archive, "canary", [copy(n, "wren", (n * 7 % 250) / 300) for n in range(250)])
    (difference,) = compare(archive).differences
    assert difference.count == 250
    sure = [one["canary"]["confidence"] for one in difference.examples]
    assert sure == pytest.approx([n / 300 for n in range(249, 249 - EXAMPLES, -1)])
    assert max(held) <= 100


def test_what_clients_sent_to_both_is_not_counted_and_an_input_counts_once(archive: Archive) -> None:
    put(archive, "production", [prediction(n, digest=f"{n % 10:064x}") for n in range(50)])
    put(archive, "canary", [prediction(n, labels=[["jay", 0.9]]) for n in range(10)])
    put(archive, "canary", [copy(n, "wren", digest=f"{n % 10:064x}") for n in range(50)], opened=NOON + 1)
    found = compare(archive)
    assert (found.copies, found.inputs, found.disagreements) == (50, 10, 10)


def test_one_version_of_the_canary(archive: Archive) -> None:
    put(archive, "production", [prediction(n) for n in range(20)])
    put(archive, "canary", [copy(n, "wren") for n in range(20)], version="8")
    put(archive, "canary", [copy(n, "owl") for n in range(20)], version="9", opened=NOON + 1)
    assert compare(archive, version="8").disagreements == 20
    assert compare(archive, version="9").disagreements == 0
    assert compare(archive).versions == {"8": 20, "9": 20}


def test_nothing_is_no_division_by_nothing(archive: Archive) -> None:
    found = compare(archive).as_dict()
    assert (found["pairs"], found["share"], found["classes"]) == (0, None, [])
    assert "ROOKERY_SERVE_SHADOW_URL" in shadow_page(found)


def test_the_page_shows_inputs_and_escapes_names(archive: Archive) -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8), 90).save(file, format="PNG")
    picture, sound = file.getvalue(), tone_wav(1000.0, 1.0)
    digests = [sha256(data).hexdigest() for data in (picture, sound)]
    for digest, data in zip(digests, (picture, sound), strict=True):
        archive.put_input(digest, data, today=BEGIN.date())
    evil = "<script>alert(1)</script>"
    put(archive, "production", [prediction(n, digest=digests[n]) for n in range(2)])
    put(archive, "canary", [copy(n, evil, digest=digests[n]) for n in range(2)])
    facts = compare(archive).as_dict()
    for one in facts["classes"][0]["examples"]:
        one["picture"] = picture_of(archive, one["input_digest"], datetime.fromisoformat(one["time"]))
        assert one["picture"].startswith("data:image/png;base64,")
    page = shadow_page(facts)
    assert "<script" not in page
    assert page.count("<img") == 2


def test_what_was_not_kept_has_no_picture(archive: Archive) -> None:
    assert picture_of(archive, "a" * 64, BEGIN) == ""
    with pytest.raises(NotFound):
        archive.get_input("a" * 64, BEGIN)
    archive.put_input("b" * 64, b"other bytes", today=BEGIN.date())
    assert picture_of(archive, "b" * 64, BEGIN) == ""
