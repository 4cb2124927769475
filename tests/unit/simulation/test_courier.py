from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from services.common.errors import Unavailable
from services.data.store import ObjectStoreSettings
from services.monitor.app import create_app
from services.monitor.settings import MonitorSettings
from tests.support.asgi import serving
from tests.support.predictions import NOON, prediction, reference, segment
from tests.support.servers import free_port
from workflows.simulation import courier as module
from workflows.simulation.courier import Courier

THEN = int(datetime(2025, 3, 10, 8, tzinfo=UTC).timestamp() * 1000)
DATA = b"an input"


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(create_app(MonitorSettings(store=str(tmp_path / "store")), ObjectStoreSettings())) as client:
        yield client


def spool(tmp_path: Path, environment: str = "production") -> Path:
    folder = tmp_path / "spool" / f"birds-{environment}"
    folder.mkdir(parents=True)
    digest = sha256(DATA).hexdigest()
    records = [prediction(n, digest=digest) for n in range(60)]
    (folder / "1.jsonl").write_bytes(segment(records, environment=environment))
    (folder / f"{digest}.input").write_bytes(DATA)
    (folder / f"{'a' * 64}.input").write_bytes(b"of a segment that is not closed yet")
    (folder / "b.reference").write_text(reference().model_dump_json(by_alias=True))
    return folder


def test_the_log_arrives_at_the_simulated_time_with_its_inputs(tmp_path: Path, http: httpx.Client) -> None:
    folder = spool(tmp_path)
    courier = Courier(tmp_path / "spool", str(http.base_url), tmp_path / "store")
    carried = courier.carry(lambda at: THEN + at - NOON, until=("production", 60))
    courier.close()
    assert carried["production"] == 60
    assert [path.name for path in folder.iterdir()] == ["a" * 64 + ".input"]
    span = {"from": "2025-03-10T08:00:00Z", "to": "2025-03-10T09:00:00Z"}
    found = http.get("/drift", params={"application": "birds", **span}).json()
    assert found["predictions"] == 60
    assert found["findings"]
    assert (tmp_path / "store" / "inputs" / "2025-03-10" / sha256(DATA).hexdigest()).read_bytes() == DATA


def test_an_input_that_is_written_after_its_record_comes_too(tmp_path: Path, http: httpx.Client) -> None:
    name = sha256(DATA).hexdigest() + ".input"
    folder = spool(tmp_path)
    (folder / name).unlink()
    courier = Courier(tmp_path / "spool", str(http.base_url), tmp_path / "store")
    late = threading.Timer(0.5, (folder / name).write_bytes, (DATA,))
    late.start()
    courier.carry(lambda at: THEN + at - NOON, until=("production", 60))
    late.join()
    courier.close()
    assert (tmp_path / "store" / "inputs" / "2025-03-10" / sha256(DATA).hexdigest()).read_bytes() == DATA


def test_a_copy_that_is_answered_days_later_does_not_hide_the_input(
    tmp_path: Path, http: httpx.Client
) -> None:
    spool(tmp_path)
    digest = sha256(DATA).hexdigest()
    copies = [["s", *prediction(n, digest=digest, time=NOON + 10_000_000 + n)[1:]] for n in range(60)]
    folder = tmp_path / "spool" / "birds-shadow"
    folder.mkdir()
    (folder / "2.jsonl").write_bytes(segment(copies, environment="canary"))
    courier = Courier(tmp_path / "spool", str(http.base_url), tmp_path / "store")
    courier.carry(lambda at: THEN + (at - NOON) * (100 if at > NOON + 5_000_000 else 1))
    courier.close()
    assert (tmp_path / "store" / "inputs" / "2025-03-10" / digest).read_bytes() == DATA


def test_it_goes_on_until_nothing_more_comes(tmp_path: Path, http: httpx.Client) -> None:
    spool(tmp_path, "canary")
    courier = Courier(tmp_path / "spool", str(http.base_url), tmp_path / "store")
    assert courier.carry(lambda at: THEN)["canary"] == 60
    assert courier.carry(lambda at: THEN)["canary"] == 0
    courier.close()


def test_a_log_that_does_not_come_is_said(
    tmp_path: Path, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.2)
    courier = Courier(tmp_path / "spool", str(http.base_url), tmp_path / "store")
    with pytest.raises(Unavailable, match="did not come"):
        courier.carry(lambda at: at, until=("production", 1))
    courier.close()


def test_a_monitor_that_is_away_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = spool(tmp_path)
    before = sorted(path.name for path in folder.iterdir())
    courier = Courier(tmp_path / "spool", f"http://127.0.0.1:{free_port()}", tmp_path / "store")
    with pytest.raises(Unavailable, match="does not take"):
        courier.carry(lambda at: at)
    courier.close()
    assert sorted(path.name for path in folder.iterdir()) == before
