from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from services.common.errors import IntegrityError, InvalidInput, Unavailable
from services.monitor.archive import Archive
from services.monitor.keeper import Keeper
from services.monitor.objects import FolderObjects
from services.monitor.settings import MonitorSettings
from tests.support.predictions import drawn, prediction, reference, segment


def keeper(folder: Path) -> Keeper:
    settings = MonitorSettings(spools=[folder / "spool"], store=str(folder / "store"), collect_seconds=0.05)
    (folder / "spool" / "birds-production").mkdir(parents=True, exist_ok=True)
    return Keeper(Archive(FolderObjects(folder / "store")), settings)


def test_spools_and_folders_in_them_are_emptied(tmp_path: Path) -> None:
    made = keeper(tmp_path)
    spool = tmp_path / "spool"
    (spool / "a.jsonl").write_bytes(segment(drawn(10)))
    (spool / "birds-production" / "b.jsonl").write_bytes(segment(drawn(10)))
    (spool / "birds-production" / "c.reference").write_text(reference().model_dump_json(by_alias=True))
    (spool / "birds-production" / (hashlib.sha256(b"x").hexdigest() + ".input")).write_bytes(b"x")
    (spool / "birds-production" / "d.part").write_bytes(b"still written")
    (spool / "key").write_bytes(b"secret")
    assert made.collect() == 4
    left = sorted(path.name for path in spool.rglob("*") if path.is_file())
    assert left == ["d.part", "key"]
    assert made.counts["records"] == 20
    assert made.archive.references.find(reference().bundle_digest) is not None
    assert len(list((tmp_path / "store" / "inputs").rglob(hashlib.sha256(b"x").hexdigest()))) == 1


def test_the_reference_is_taken_before_the_segments_that_need_it(tmp_path: Path) -> None:
    made = keeper(tmp_path)
    (tmp_path / "spool" / "a.jsonl").write_bytes(segment(drawn(100)))
    (tmp_path / "spool" / "birds-production" / "z.reference").write_text(
        reference().model_dump_json(by_alias=True)
    )
    made.collect()
    (summary,) = (tmp_path / "store" / "summaries").rglob("*.json")
    assert "loudness_dbfs" in summary.read_text()


def test_what_can_never_be_taken_is_removed_and_counted(tmp_path: Path) -> None:
    made = keeper(tmp_path)
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "spool" / "a.jsonl").write_bytes(b"garbage")
    (tmp_path / "spool" / "b.reference").write_bytes(b"{}")
    (tmp_path / "spool" / ("a" * 64 + ".input")).write_bytes(b"has another digest")
    (tmp_path / "spool" / ("b" * 64 + ".input")).symlink_to(tmp_path / "secret")
    assert made.collect() == 4
    assert made.counts["refused"] == 4
    assert (tmp_path / "secret").exists()
    assert not list(tmp_path.glob("store/inputs/*/*"))


def test_a_file_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    made = keeper(tmp_path)
    (tmp_path / "spool" / "a.jsonl").mkdir()
    (tmp_path / "spool" / "birds-production" / "b.jsonl").write_bytes(segment(drawn(10)))
    with pytest.raises(IsADirectoryError):
        made.collect()
    assert made.counts["records"] == 10
    left = [path.name for path in (tmp_path / "spool").rglob("*.jsonl")]
    assert left == ["a.jsonl"]


def test_while_the_store_is_away_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keeper(tmp_path)
    (tmp_path / "spool" / "a.jsonl").write_bytes(segment(drawn(10)))

    def away(*_: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(FolderObjects, "put", away)
        with pytest.raises(Unavailable):
            made.collect()
    assert (tmp_path / "spool" / "a.jsonl").exists()
    assert made.counts["away"] == 1
    assert made.collect() == 1


def test_the_thread_takes_what_comes_and_the_rest_at_the_end(tmp_path: Path) -> None:
    made = keeper(tmp_path)
    made.start()
    _arrive(tmp_path, "a", 1)
    deadline = time.monotonic() + 60
    while made.counts["segments"] == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert made.counts["segments"] == 1
    _arrive(tmp_path, "b", 2)
    made.close()
    assert made.counts["segments"] == 2


def _arrive(folder: Path, name: str, number: int) -> None:
    """As servers do it: the thread would refuse half a segment."""
    part = folder / "spool" / f"{name}.part"
    part.write_bytes(segment([prediction(number)]))
    part.rename(part.with_suffix(".jsonl"))


def test_inputs_are_checked(tmp_path: Path) -> None:
    made = keeper(tmp_path)
    with pytest.raises(InvalidInput, match="digest"):
        made.take_input("../x", b"x")
    with pytest.raises(IntegrityError):
        made.take_input("a" * 64, b"x")
