from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from services.common.errors import DatasetError, InvalidInput
from services.train import preflight
from services.train.preflight import Preflight, check_key, default_application
from services.train.settings import TrainSettings


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("digits", "digits"),
        ("synthetic-birds?seed=1", "synthetic-birds"),
        ("/data/My Food 11/", "my-food-11"),
        ("s3://b/x", "x"),
    ],
)
def test_an_application_is_named_after_the_data(source: str, expected: str) -> None:
    assert default_application(source) == expected


def test_keys_that_could_change_a_search_are_refused() -> None:
    assert check_key(None) == ""
    assert check_key("wf-1:start/2") == "wf-1:start/2"
    for key in ("", "a'b", "a`b", "x" * 201, "a\nb"):
        with pytest.raises(InvalidInput, match="Idempotency-Key"):
            check_key(key)


def test_checks_that_take_long_are_few_and_nobody_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    go_on = threading.Event()

    def load(source: str, **_: object) -> None:
        started.append(source)
        go_on.wait(120)
        raise DatasetError("seen to the end")

    monkeypatch.setattr(preflight, "load_dataset", load)
    checks = Preflight(TrainSettings(state_dir=tmp_path, cache_dir=tmp_path, check_seconds=0.01))
    for number in range(6):
        assert checks.request("a", "cnn", f"/data/{number}", {}).data_source == f"/data/{number}"
    deadline = time.monotonic() + 60
    while len(started) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(started) == 2
    assert [t.daemon for t in threading.enumerate() if t.name == "preflight"] == [True, True]
    go_on.set()
    deadline = time.monotonic() + 60
    while any(t.name == "preflight" for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    patient = Preflight(TrainSettings(state_dir=tmp_path, cache_dir=tmp_path, check_seconds=20))
    for _ in range(4):
        with pytest.raises(DatasetError, match="seen to the end"):
            patient.request("a", "cnn", "/data/x", {})
