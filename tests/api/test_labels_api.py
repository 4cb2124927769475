"""The HTTP interface of the labels service, with a folder for a desk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.common.errors import InvalidInput
from services.data.store import ObjectStoreSettings
from services.labels.app import create_app
from services.labels.desk import FolderDesk
from services.labels.settings import LabelsSettings
from services.labels.task import Answer
from tests.support.asgi import serving
from tests.support.label_studio import facts
from tests.support.labelling import Log, shifted_png

TOKEN = "a-token-for-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    made = Log(tmp_path / "monitor")
    inputs = [shifted_png(n) for n in range(30)]
    made.serve(inputs, at=datetime.now(UTC) - timedelta(minutes=30), confidence=[0.5] * 30)
    return made


@pytest.fixture
def client(tmp_path: Path, log: Log) -> Iterator[httpx.Client]:
    facts(tmp_path, digits="digits?items=300")
    settings = LabelsSettings(
        token=TOKEN,  # type: ignore[arg-type]
        state_dir=tmp_path / "labels",
        cache_dir=tmp_path / "cache",
        monitor_store=str(tmp_path / "monitor"),
        applications_dir=tmp_path / "applications",
        desk=tmp_path / "desk",
        settle_seconds=0,
        per_day=20,
        overlap_share=0,
        minimum_agreement=0,
        poll_seconds=3600,
    )
    with serving(create_app(settings, ObjectStoreSettings())) as made:
        yield made


def sent(client: httpx.Client) -> dict[str, object]:
    """The queue, when the service has chosen and sent by itself."""
    end = time.monotonic() + 60
    while (found := client.get("/queue?application=digits", headers=HEADERS).json())["to_send"] or not found[
        "open"
    ]:
        assert time.monotonic() < end
        time.sleep(0.1)
    return dict(found)


def test_the_loop_by_http(client: httpx.Client, tmp_path: Path, log: Log) -> None:
    assert sent(client)["open"] == 20
    assert client.get("/applications", headers=HEADERS).json() == ["digits"]
    desk = FolderDesk(tmp_path / "desk")
    for path in (tmp_path / "desk" / "digits" / "tasks").glob("*.json"):
        desk.answer("digits", path.stem, "ann", Answer((log.truth[path.stem],)))
    done = client.post("/sync?application=digits", headers=HEADERS).json()
    assert (done["answers"], done["version"], done["new"]) == (20, 1, 20)
    queue = client.get("/queue?application=digits", headers=HEADERS).json()
    assert (queue["open"], queue["done"], queue["items"]) == (0, 20, 20)
    assert queue["accuracy"]["estimate"] == 1.0
    assert queue["url"] == ""
    metrics = client.get("/metrics").text
    assert 'rookery_labels_items{application="digits"} 20.0' in metrics
    assert "rookery_labels_answers_total 20.0" in metrics
    assert client.post("/choose?application=digits", headers=HEADERS).json()["chosen"] == 0


def test_inputs_are_shown_whole_and_in_parts_and_never_run(client: httpx.Client, tmp_path: Path) -> None:
    import json

    sent(client)
    path = next((tmp_path / "desk" / "digits" / "tasks").glob("*.json"))
    address = json.loads(path.read_text())["input"].partition(":9098")[2]
    whole = client.get(address)
    assert whole.status_code == 200
    assert whole.headers["content-type"] == "image/png"
    assert "sandbox" in whole.headers["content-security-policy"]
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = client.get(address, headers={"Range": "bytes=2-9"})
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    assert part.headers["content-range"] == f"bytes 2-9/{len(whole.content)}"
    assert client.get(address, headers={"Range": "bytes=999999-"}).status_code == 416
    assert client.get(address, headers={"Range": "bytes=-5"}).content == whole.content
    for odd in ("bytes=" + "9" * 5000 + "-", "bytes=0-" + "9" * 5000, "bytes=\xb2-"):
        assert client.get(address, headers={"Range": odd.encode("latin-1")}).content == whole.content
    assert client.get(address.replace("signature=", "signature=0")).status_code == 409
    assert client.get(f"/media/{'0' * 64}?signature=x").status_code == 409
    spectrogram = address.replace("?", "/spectrogram?")
    assert client.get(spectrogram).status_code == 404


def test_an_application_that_cannot_be_read_hides_no_figures(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InvalidInput("this is no version of a dataset")

    sent(client)
    monkeypatch.setattr("services.labels.app.standing", broken)
    answer = client.get("/metrics")
    assert (answer.status_code, "rookery_labels_answers_total" in answer.text) == (200, True)


def test_who_does_not_know_the_token_reads_nothing(client: httpx.Client) -> None:
    for path in ("/queue?application=digits", "/applications"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
        assert client.get(path, headers={"Authorization": "Bearer x"}).status_code == 401
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200


def test_who_does_not_know_the_token_changes_nothing(client: httpx.Client) -> None:
    for path in ("/choose", "/sync", "/desk"):
        answer = client.post(f"{path}?application=digits")
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert client.post("/classes", json={}, headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.post("/desk", headers=HEADERS, content=b"anything").status_code == 202
    for site in ("cross-site", "same-site"):
        headers = {**HEADERS, "Sec-Fetch-Site": site}
        assert client.post("/sync?application=digits", headers=headers).status_code == 403
    for origin in ("http://evil.example", "null", "http://["):
        headers = {**HEADERS, "Origin": origin}
        assert client.post("/sync?application=digits", headers=headers).status_code == 403


def test_a_large_body_is_refused_before_anybody_is_asked(client: httpx.Client) -> None:
    answer = client.post("/classes", content=b"x" * 70_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (413, "too-large")


def test_names_are_checked(client: httpx.Client) -> None:
    assert client.get("/queue?application=../x", headers=HEADERS).status_code == 422
    assert client.post("/sync?application=A", headers=HEADERS).status_code == 422
    answer = client.post("/choose?application=nobody", headers=HEADERS)
    assert (answer.status_code, answer.json()["allowed"]) == (404, "digits")
    body = {"application": "digits", "name": "<b>/", "by": "carol"}
    assert client.post("/classes", json=body, headers=HEADERS).status_code == 422
    body["name"] = "<b>"
    assert client.post("/classes", json=body, headers=HEADERS).json()["name"] == "<b>"


def test_it_is_ready_and_healthy(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"


def test_people_are_sent_to_label_studio_by_the_name_that_they_know(tmp_path: Path) -> None:
    given: dict[str, Any] = {"state_dir": tmp_path, "studio_url": "http://studio:5000"}
    assert LabelsSettings(**given).studio_address() == "http://studio:5000"
    known = LabelsSettings(**given, studio_public_url="https://label.example")
    assert known.studio_address() == "https://label.example"
    assert LabelsSettings(**given, desk=tmp_path).studio_address() == ""


def test_beyond_this_machine_a_token_is_needed() -> None:
    with pytest.raises(InvalidInput, match="a token is required"):
        LabelsSettings.read(host="0.0.0.0")
    with pytest.raises(InvalidInput, match="together at most 1"):
        LabelsSettings.read(holdout_share=0.8, validation_share=0.3)
