"""The log of actions: only added to, and what was changed later is seen."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.board.audit import Audit
from services.common.errors import Unavailable


def filled(folder: Path, count: int = 3) -> Audit:
    audit = Audit(folder / "actions.jsonl")
    for number in range(count):
        audit.add("Ada", "127.0.0.1", f"approve {number}", {"workflow": "w"}, "done", "")
    return audit


def test_the_newest_is_first_and_the_chain_holds(tmp_path: Path) -> None:
    past = filled(tmp_path).read()
    assert [one.action for one in past.actions] == ["approve 2", "approve 1", "approve 0"]
    assert past.broken is None
    assert (tmp_path / "actions.jsonl").stat().st_mode & 0o777 == 0o600


def test_the_chain_holds_in_a_long_log_and_behind_a_long_line(tmp_path: Path) -> None:
    audit = filled(tmp_path, 5)
    fields = {f"field-{number}": "x" * 2000 for number in range(150)}
    for action in ("submit", "approve", "cancel"):
        audit.add("Ada", "127.0.0.1", action, fields, "done", "")
    past = audit.read()
    assert (len(past.actions), past.broken) == (8, None)


def test_nothing_yet(tmp_path: Path) -> None:
    assert Audit(tmp_path / "none").read().actions == []


@pytest.mark.parametrize(("line", "broken"), [(0, 2), (1, 3)])
def test_a_changed_line_is_found(tmp_path: Path, line: int, broken: int) -> None:
    audit = filled(tmp_path)
    lines = audit.path.read_text().splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | {"who": "Eve"}, sort_keys=True, separators=(",", ":"))
    audit.path.write_text("\n".join(lines) + "\n")
    assert audit.read().broken == broken


def test_a_line_that_is_gone_or_no_line_is_found(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    lines = audit.path.read_text().splitlines()
    audit.path.write_text("\n".join([lines[0], lines[2]]) + "\n")
    assert audit.read().broken == 2
    audit.path.write_text("\n".join([lines[0], "rubbish", lines[2]]) + "\n")
    assert audit.read().broken == 2


def test_many_at_once_leave_a_whole_chain(tmp_path: Path) -> None:
    audits = [Audit(tmp_path / "actions.jsonl") for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: audits[n % 4].add("a", "b", str(n), {}, "done", ""), range(40)))
    past = audits[0].read()
    assert len(past.actions) == 40 and past.broken is None


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "actions.jsonl")
    audit.add("Ada", "b", "submit", {"x": "y" * 10_000}, "refused", "z" * 10_000)
    assert audit.path.stat().st_size < 6000


def test_a_log_that_cannot_be_written_is_said_before(tmp_path: Path) -> None:
    (tmp_path / "actions.jsonl").mkdir()
    with pytest.raises(Unavailable, match="nothing is done"):
        Audit(tmp_path / "actions.jsonl").check()


def test_on_a_full_disk_it_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit(tmp_path / "actions.jsonl")
    audit.check()
    full = os.statvfs_result((4096, 4096, 1000, 0, 0, 10, 10, 10, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(Unavailable, match="nothing is done: No space left"):
        audit.check()
