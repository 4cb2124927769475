from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.serve.spool import Spool

LINE = b'["p",1]\n'


def spool(folder: Path, **changes: float) -> Spool:
    sizes = {"most_bytes": 1 << 20, "segment_bytes": 1 << 16, "segment_seconds": 3600} | changes
    return Spool(folder, {"application": "birds"}, **sizes)  # type: ignore[arg-type]


def closed(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def test_a_segment_is_whole_lines_after_its_head(tmp_path: Path) -> None:
    made = spool(tmp_path)
    made.write([LINE, LINE])
    made.write([LINE])
    assert closed(tmp_path) == []
    made.close()
    (path,) = closed(tmp_path)
    head, *lines = path.read_bytes().splitlines(keepends=True)
    assert lines == [LINE] * 3
    assert json.loads(head)["application"] == "birds"
    assert json.loads(head)["segment"] == path.stem


def test_size_and_age_close_a_segment(tmp_path: Path) -> None:
    spool(tmp_path, segment_bytes=100).write([LINE] * 20)
    spool(tmp_path, segment_seconds=0).write([LINE])
    assert len(closed(tmp_path)) == 2


def test_a_full_spool_drops_and_counts_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    made = spool(tmp_path, most_bytes=1000, segment_bytes=500)
    for _ in range(100):
        made.write([LINE] * 5)
    assert made.dropped > 300
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    assert not made.put("x.input", b"0" * 900)
    for path in closed(tmp_path):
        path.unlink()
    before = made.dropped
    made.write([LINE] * 5)
    assert made.dropped == before


def test_what_is_written_to_a_folder_that_is_gone_is_counted(tmp_path: Path) -> None:
    made = spool(tmp_path / "spool")
    (tmp_path / "spool").rmdir()
    made.write([LINE] * 3)
    assert made.dropped == 3


def test_inputs_leave_half_of_the_spool_to_records(tmp_path: Path) -> None:
    made = spool(tmp_path, most_bytes=10_000)
    kept = [made.put(f"{number}.input", b"0" * 1000) for number in range(10)]
    assert kept == [True] * 5 + [False] * 5
    made.write([LINE] * 100)
    assert made.dropped == 0
    assert made.put("b.reference", b"0" * 3000)


def test_a_head_that_is_not_whole_leaves_no_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, write = spool(tmp_path), os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:20]))
        made.write([LINE])
    assert (made.dropped, list(tmp_path.iterdir())) == (1, [])
    made.write([LINE])
    made.close()
    (path,) = closed(tmp_path)
    assert json.loads(path.read_bytes().splitlines()[0])["segment"] == path.stem


def test_the_segment_of_a_killed_process_is_adopted_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from services.serve.spool import Spool\n"
        "s = Spool(Path(sys.argv[1]), {}, most_bytes=1<<20, segment_bytes=1<<16, segment_seconds=99)\n"
        "s.write([b'[1]\\n']); print('written', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        spool(tmp_path)
        assert closed(tmp_path) == []
        child.kill()
        child.wait()
    spool(tmp_path)
    assert len(closed(tmp_path)) == 1


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: a write that does not fit is taken back."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from services.serve.spool import Spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "s = Spool(Path(sys.argv[1]), {}, most_bytes=1<<20, segment_bytes=1<<16, segment_seconds=99)\n"
        "for _ in range(20): s.write([b'[\"0123456789012345\"]\\n'] * 3)\n"
        "s.close(); print(s.dropped)"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    lines = b"".join(path.read_bytes().partition(b"\n")[2] for path in closed(tmp_path)).splitlines()
    assert int(done.stdout) == 60 - len(lines) > 0
    assert set(lines) == {b'["0123456789012345"]'}


def test_other_files_are_kept_once(tmp_path: Path) -> None:
    made = spool(tmp_path)
    assert made.put("a.input", b"first")
    assert made.put("a.input", b"second")
    assert (tmp_path / "a.input").read_bytes() == b"first"


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be used"):
        spool(tmp_path / "file" / "spool")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
