from __future__ import annotations

import subprocess
import sys
import time

import pytest

from services.common.errors import Unavailable
from services.evaluate.files import RunFiles, encode, is_run_id

HOLD = """
import sys, time, pathlib
from services.evaluate.files import RunFiles
with RunFiles(pathlib.Path(sys.argv[1]), "run").locked(60):
    print("held", flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("text", ["0" * 32, "a", "run_1-b"])
def test_ids(text):
    assert is_run_id(text)


@pytest.mark.parametrize("text", ["", "..", "a/b", "-a", "a" * 65, "a\n", "a b", "ä", "_a"])
def test_what_is_no_id(text):
    assert not is_run_id(text)


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path):
    files = RunFiles(tmp_path, "run")
    assert files.json("gate.json") is None
    files.write("gate.json", {"a": 1})
    files.write("gate.json", {"a": [float("nan"), float("inf"), 0.5]})
    assert files.json("gate.json") == {"a": [None, None, 0.5]}
    assert [path.name for path in files.folder.iterdir()] == ["gate.json"]
    files.remove("gate.json")
    files.remove("gate.json")
    assert files.read("gate.json") is None


def test_text_of_labels_stays_text():
    assert encode({"label": "Ärger\u2028"}) == '{\n "label": "Ärger\u2028"\n}'.encode()


def test_one_process_at_a_time_and_the_kernel_lets_go_of_a_killed_one(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match="another process"), RunFiles(tmp_path, "run").locked(0.3):
            pass
        with RunFiles(tmp_path, "other").locked(0.3):
            pass
        holder.kill()
        start = time.monotonic()
        with RunFiles(tmp_path, "run").locked(60):
            assert time.monotonic() - start < 40
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
