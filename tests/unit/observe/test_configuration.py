from __future__ import annotations

import os
from pathlib import Path

from services.observe.configuration import Places, alertmanager, prometheus, write
from services.observe.rules import Limits
from tests.support.observing import programs, promtool
from tests.unit.observe.support import run

PLACES = Places("127.0.0.1:9099", "127.0.0.1:4000", "127.0.0.1:4093", "http://127.0.0.1:9097/")


def test_the_servers_own_tools_take_what_is_written(tmp_path: Path) -> None:
    write(tmp_path, PLACES, Limits(), 5, token="geheim")
    done = promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule files found" in done.stdout
    done = run([programs() / "amtool", "check-config", "alertmanager.yml"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "notify-token").read_text() == "geheim"
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_what_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    write(tmp_path, PLACES, Limits(), 5)
    # Two writes of one moment have one time.
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    write(tmp_path, PLACES, Limits(), 5)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    write(tmp_path, PLACES, Limits(), 7)
    assert (tmp_path / "prometheus.yml").stat().st_mtime_ns > before[tmp_path / "prometheus.yml"]


def test_alertmanager_tells_notify_or_nobody() -> None:
    (receiver,) = alertmanager(PLACES, token=False)["receivers"]
    assert receiver["webhook_configs"][0]["url"] == "http://127.0.0.1:9097/alerts"
    (deaf,) = alertmanager(Places("a:1", "b:1", "c:1"), token=False)["receivers"]
    assert "webhook_configs" not in deaf


def test_a_process_cannot_fill_the_disk() -> None:
    (rookery, _) = prometheus(PLACES, 5)["scrape_configs"]
    assert rookery["sample_limit"] == 20_000 and rookery["body_size_limit"] == "16MB"
