from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

from services.monitor.archive import Archive
from services.monitor.judge import judge
from services.monitor.objects import FolderObjects
from services.monitor.report import drift_page, index_page, judge_page
from services.monitor.segment import parse_segment
from services.monitor.windows import Thresholds, compare_window
from tests.support.predictions import NOON, drawn, prediction, reference, segment

BEGIN = datetime.fromtimestamp(NOON / 1000, UTC)
EVIL = '"><script>alert(1)</script>'


class Tags(HTMLParser):
    """Counts the elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def page(tmp_path: Path, records: list[list[object]], **changes: object) -> str:
    archive = Archive(FolderObjects(tmp_path))
    archive.references.add(reference(labels={"owl": 1400, "wren": 500, EVIL: 100}))
    archive.put(parse_segment(segment(records, **changes)))
    window = compare_window(
        archive, "birds", "production", BEGIN, BEGIN + timedelta(hours=2), Thresholds(0.01, 0.1, 50)
    )
    return drift_page(window)


def test_drifting_things_come_first_with_their_pictures(tmp_path: Path) -> None:
    text = page(tmp_path, drawn(500, loudness=-25))
    tags = Tags()
    tags.feed(text)
    assert tags.names.count("svg") == 3
    assert text.index("loudness dbfs") < text.index("<b>confidence")
    assert len(re.findall(r'<rect class="bar"', text)) == 18 + 20 + 4
    assert "drift" in text


def test_names_from_outside_are_text(tmp_path: Path) -> None:
    records = [prediction(n, labels=[[EVIL, 0.9]], source="a:b") for n in range(200)]
    text = page(tmp_path, records, version=EVIL)
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.names
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "&lt;script&gt;" in text


def test_an_empty_window_is_a_page_too(tmp_path: Path) -> None:
    text = page(tmp_path, [])
    assert "not enough evidence" in text
    assert "nan" not in text


def test_a_verdict_and_the_index() -> None:
    facts = {
        "application": "birds",
        "canary": "canary",
        "production": "production",
        "from": BEGIN.isoformat(),
        "to": BEGIN.isoformat(),
        "version": EVIL,
        "requests": {"canary": 1, "production": 2},
        "slow_seconds": 0.1,
        "same_inputs": 0,
        **judge({"errors": {0: 500}, "slow": {0: 500}}).as_dict(),
    }
    text = judge_page(facts)
    assert "promote" in text
    assert "<script" not in text
    assert "Nothing was logged" in index_page([])
    assert "birds" in index_page([("birds", "production")])
