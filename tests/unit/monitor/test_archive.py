from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from services.common.errors import Unavailable
from services.monitor.archive import Archive
from services.monitor.objects import FolderObjects
from services.monitor.segment import parse_segment
from tests.support.predictions import NOON, drawn, failure, feedback, reference, segment

BEGIN, END = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(FolderObjects(tmp_path))
    made.references.add(reference())
    return made


def rows(archive: Archive, kind: str = "predictions", column: str = "label") -> list[object]:
    tables = archive.read(kind, "birds", "production", BEGIN, END, [column])
    return [value for table in tables for value in table[column].to_pylist()]


def count(archive: Archive) -> int:
    return archive.summary("birds", "production", BEGIN, END).total().count


def fill(archive: Archive, number: int, size: int = 10) -> list[bytes]:
    files = [
        segment([*drawn(size, seed=n, start=n * size), feedback(n * size, ["jay"])], opened=NOON + n)
        for n in range(number)
    ]
    for data in files:
        assert archive.put(parse_segment(data))
    return files


def test_what_was_put_is_read_back(archive: Archive, tmp_path: Path) -> None:
    archive.put(parse_segment(segment([*drawn(100), failure(NOON), feedback(3, ["jay", "owl"])])))
    assert len(rows(archive)) == 101
    assert rows(archive, column="status").count(500) == 1
    assert rows(archive, "feedback", "labels") == [["jay", "owl"]]
    assert archive.environments() == [("birds", "production")]
    assert count(Archive(FolderObjects(tmp_path))) == 100


def test_what_was_served_has_no_golden_inputs_of_its_bundle(tmp_path: Path) -> None:
    archive = Archive(FolderObjects(tmp_path))
    archive.references.add(reference(golden=range(5)))
    archive.put(parse_segment(segment([*drawn(20), failure(NOON)])))
    other = "sha256:" + "c" * 64
    archive.put(parse_segment(segment(drawn(20, seed=3), bundle_digest=other, opened=NOON + 1)))
    span = (BEGIN, END)
    whole = sum(
        len(t) for t in archive.read("predictions", "birds", "production", *span, ["status", "input_digest"])
    )
    tables = list(archive.served("birds", "production", *span, ["status", "input_digest"]))
    digests = [value for table in tables for value in table["input_digest"].to_pylist()]
    assert (whole, len(digests), digests.count(None)) == (41, 36, 1)
    # The same inputs to a bundle of which nothing is known are inputs like others.
    for number in range(20):
        assert digests.count(bytes.fromhex(f"{number:064x}")) == (1 if number < 5 else 2)
    assert {table.column_names[0] for table in tables} == {"status"}


def test_a_window_is_cut_at_the_millisecond(archive: Archive) -> None:
    archive.put(parse_segment(segment(drawn(100))))
    begin = datetime.fromtimestamp((NOON + 10) / 1000, UTC)
    (table,) = archive.read(
        "predictions",
        "birds",
        "production",
        begin,
        begin + timedelta(milliseconds=5),
        ["time", "feature_loudness_dbfs"],
    )
    assert len(table) == 5


def test_a_segment_that_comes_again_counts_once(archive: Archive, tmp_path: Path) -> None:
    (data,) = fill(archive, 1)
    assert not archive.put(parse_segment(data))
    assert not Archive(FolderObjects(tmp_path)).put(parse_segment(data))
    assert count(archive) == 10


def test_merging_changes_nothing_but_the_number_of_files(archive: Archive, tmp_path: Path) -> None:
    files = fill(archive, 30)
    before = archive.summary("birds", "production", BEGIN, END).as_dict()
    labels = sorted(rows(archive))  # type: ignore[type-var]
    assert archive.merge(today=date(2026, 6, 2)) == 30
    assert len(list(tmp_path.glob("predictions/birds/production/*/*.parquet"))) == 1
    for one in (archive, Archive(FolderObjects(tmp_path))):
        assert one.summary("birds", "production", BEGIN, END).as_dict() == before
        assert sorted(rows(one)) == labels  # type: ignore[type-var]
        assert len(rows(one, "feedback", "labels")) == 30
        assert not one.put(parse_segment(files[7]))
    late = parse_segment(segment(drawn(5), opened=NOON + 99))
    assert archive.put(late)
    assert archive.merge(today=date(2026, 6, 2)) == 2
    assert count(archive) == count(Archive(FolderObjects(tmp_path))) == 305
    assert not Archive(FolderObjects(tmp_path)).put(parse_segment(files[7]))


def test_the_day_that_is_still_written_is_merged_later(archive: Archive) -> None:
    fill(archive, 30)
    assert archive.merge(today=date(2026, 6, 1)) == 0


def test_what_is_merged_at_once_is_bounded(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.monitor.archive._LARGE_ROWS", 40)
    fill(archive, 30)
    sizes = []
    while archive.merge(today=date(2026, 6, 2)):
        content = [
            json.loads(path.read_bytes())
            for path in (tmp_path / "summaries" / "birds" / "production" / "2026-06-01").iterdir()
        ]
        sizes.append(max(one["rows"] for one in content))
    assert sizes == [80] * 4
    for one in (archive, Archive(FolderObjects(tmp_path))):
        assert len(rows(one)) == count(one) == 300


class Dying(FolderObjects):
    """Dies before its nth change."""

    left = 10**9

    def _change(self, action: Callable[[], None]) -> None:
        if self.left == 0:
            raise Unavailable("killed")
        self.left -= 1
        action()

    def put(self, key: str, data: bytes) -> None:
        self._change(lambda: FolderObjects.put(self, key, data))

    def delete(self, key: str) -> None:
        self._change(lambda: FolderObjects.delete(self, key))


@pytest.mark.parametrize("changes", range(0, 32, 3))
def test_a_merge_that_dies_anywhere_counts_nothing_twice_and_loses_nothing(
    tmp_path: Path, changes: int
) -> None:
    objects = Dying(tmp_path)
    archive = Archive(objects)
    archive.references.add(reference())
    files = fill(archive, 8)
    objects.left = changes
    with suppress(Unavailable):
        archive.merge(today=date(2026, 6, 2))
    again = Archive(FolderObjects(tmp_path))
    assert count(again) == 80
    assert len(rows(again)) == 80
    assert len(rows(again, "feedback", "labels")) == 8
    assert not again.put(parse_segment(files[0]))
    again.merge(today=date(2026, 6, 2))
    assert count(again) == len(rows(again)) == 80
    (name,) = again._day("birds", "production", "2026-06-01").summaries
    assert [path.stem for path in tmp_path.glob("predictions/*/*/*/*")] == [name]


def test_who_reads_while_files_are_merged_is_told_to_ask_again(archive: Archive) -> None:
    fill(archive, 8)
    reading = archive.read("predictions", "birds", "production", BEGIN, END, ["label"])
    next(reading)
    archive.merge(today=date(2026, 6, 2))
    with pytest.raises(Unavailable, match="ask again"):
        list(reading)
    assert len(rows(archive)) == 80


@pytest.mark.parametrize("changes", range(3))
def test_a_put_that_dies_is_put_again(tmp_path: Path, changes: int) -> None:
    objects = Dying(tmp_path)
    archive = Archive(objects)
    objects.left = changes
    data = segment([*drawn(10), feedback(1, ["owl"])])
    with pytest.raises(Unavailable):
        archive.put(parse_segment(data))
    assert count(archive) == 0
    objects.left = 99
    assert archive.put(parse_segment(data))
    assert count(archive) == len(rows(archive)) == 10


def test_what_is_too_old_goes(archive: Archive, tmp_path: Path) -> None:
    fill(archive, 3)
    archive.put(parse_segment(segment(drawn(10), opened=NOON + 40 * 86_400_000)))
    archive.put_input("a" * 64, b"old", today=date(2026, 6, 1))
    archive.put_input("b" * 64, b"new", today=date(2026, 7, 10))
    assert archive.expire(keep_days=30, keep_input_days=10, today=date(2026, 7, 11)) == 10
    assert len(list(tmp_path.glob("predictions/*/*/*/*.parquet"))) == 1
    assert [path.name for path in tmp_path.glob("inputs/*/*")] == ["b" * 64]
    assert count(archive) == 0
