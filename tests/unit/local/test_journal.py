"""The journal: whole records survive, torn ones go, broken ones are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import IntegrityError
from workflows.local.journal import Journal, read_journal

_RECORDS = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(records=_RECORDS, cut=st.integers(0, 400))
def test_whatever_is_cut_off_the_rest_is_read_and_goes_on(
    tmp_path: Path, records: list[Any], cut: int
) -> None:
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for record in records:
        journal.append([record])
    journal.close()
    data = path.read_bytes()[: cut or None]
    path.write_bytes(data)
    whole = records[: data.count(b"\n")]
    assert read_journal(path) == whole
    journal = Journal(path)
    journal.append([{"after": "1"}])
    journal.close()
    assert read_journal(path) == [*whole, {"after": "1"}]


@pytest.mark.parametrize("line", [b"{broken\n", b"[1]\n", b"\xff\n"])
def test_a_broken_line_is_an_error_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'{"b": 1}\n')
    with pytest.raises(IntegrityError, match="line 2"):
        read_journal(path)


def test_no_journal_is_empty(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none") == []
