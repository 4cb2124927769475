"""The loop from a served prediction to drift and a verdict, with real servers, a real MinIO, and bad days."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.bundle.reader import read_bundle
from services.common.errors import InvalidInput
from services.media.prepare import prepare
from services.monitor import skew
from services.monitor.writers import server_token
from services.serve.log import BATCH
from tests.support import web
from tests.support.bundles import digit_label, digit_png, tiny_audio_bundle, tiny_image_bundle, tone_wav
from tests.support.monitoring import minio, monitor
from tests.support.servers import Server
from tests.support.serving import serve

TOKEN = "a-token-for-tests"


@pytest.fixture
def started() -> Iterator[Callable[[Server], Server]]:
    with ExitStack() as stack:

        def start(server: Server) -> Server:
            stack.callback(server.stop)
            return server.start()

        yield start


def logged(folder: Path, **settings: str) -> dict[str, str]:
    return {
        "log_dir": str(folder / "spool"),
        "environment": "production",
        "log_segment_seconds": "0.5",
    } | settings


def ask(server: Server, data: bytes, query: str = "") -> dict[str, Any]:
    answer = web.post(server.url + "/predict" + query, content=data, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def drift(server: Server, application: str = "digits") -> dict[str, Any]:
    asked, known = f"{server.url}/drift?application={application}", {"Authorization": f"Bearer {TOKEN}"}
    answer = web.get(asked, headers=known, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def wait_for(what: str, found: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.1)


def counter(server: Server, name: str) -> float:
    text = web.get(server.url + "/metrics", timeout=30).text
    return float(re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)[0])


def test_predictions_arrive_with_their_features_and_their_source(
    tmp_path: Path, started: Callable[[Server], Server]
) -> None:
    server = started(serve(tiny_audio_bundle(tmp_path), tmp_path, **logged(tmp_path, log_inputs="true")))
    watcher = started(monitor(tmp_path, spools=json.dumps([str(tmp_path / "spool")])))
    for number in range(30):
        ask(server, tone_wav(400.0 + number, 1.0), "?source=marsh" if number % 2 else "?top=1&source=wood")
    wait_for("the arrival of 30 predictions", lambda: drift(watcher, "birds")["predictions"] == 30)
    found = drift(watcher, "birds")
    assert {name: item["predictions"] for name, item in found["sources"].items()} == {"marsh": 15, "wood": 15}
    assert found["state"] == "not enough evidence"
    page = web.get(watcher.url + "/report?application=birds", timeout=30)
    assert page.status_code == 200
    assert "script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    inputs = tmp_path / "store" / "inputs"
    wait_for("the arrival of 30 inputs", lambda: len(list(inputs.rglob("*"))) >= 31)
    assert len(list(inputs.rglob("*"))) == 31


def test_feedback_reaches_the_judge_and_forged_feedback_does_not(
    tmp_path: Path, started: Callable[[Server], Server]
) -> None:
    bundle = tiny_image_bundle(tmp_path)
    production = started(serve(bundle, tmp_path, **logged(tmp_path)))
    canary = started(
        serve(bundle, tmp_path, **logged(tmp_path, environment="canary", log_dir=str(tmp_path / "two")))
    )
    for server in (production, canary):
        for number in range(40):
            answer = ask(server, digit_png(number))
            body = {"request_id": answer["request_id"], "labels": [digit_label(number)]}
            assert web.post(server.url + "/feedback", json=body, timeout=30).status_code == 202
            forged = {**body, "request_id": answer["request_id"][:-4] + "0000"}
            other = production if server is canary else canary
            for where, wrong in ((server, forged), (other, body)):
                refused = web.post(where.url + "/feedback", json=wrong, timeout=30)
                assert refused.status_code == 409
                assert "no prediction with this request id" in refused.json()["message"]
    watcher = started(monitor(tmp_path, spools=json.dumps([str(tmp_path / "spool"), str(tmp_path / "two")])))

    def verdict() -> dict[str, Any]:
        return dict(web.get(watcher.url + "/judge?application=digits", timeout=30).json())

    wait_for("the arrival of both logs", lambda: verdict()["requests"] == {"canary": 40, "production": 40})
    found = verdict()
    assert found["verdict"] == "not enough evidence"
    counts = {item["name"]: item["count"] for item in found["questions"]}
    assert counts["disagreement"] == counts["wrong"] == 40


def test_a_normal_stop_loses_nothing(tmp_path: Path, started: Callable[[Server], Server]) -> None:
    server = started(
        serve(tiny_image_bundle(tmp_path), tmp_path, **logged(tmp_path, log_segment_seconds="3600"))
    )
    for number in range(57):
        ask(server, digit_png(number))
    server.stop()
    watcher = started(monitor(tmp_path, spools=json.dumps([str(tmp_path / "spool")])))
    wait_for("the arrival of 57 predictions", lambda: drift(watcher)["predictions"] == 57)


def test_a_killed_server_loses_at_most_one_batch(tmp_path: Path, started: Callable[[Server], Server]) -> None:
    bundle = tiny_image_bundle(tmp_path)
    settings = logged(tmp_path, log_segment_seconds="3600")
    server = started(serve(bundle, tmp_path, **settings))
    answered = 3 * BATCH + 20
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        for number in range(answered):
            client.post("/predict", content=digit_png(number % 100)).raise_for_status()
    server.kill()
    started(serve(bundle, tmp_path, **settings))
    (path,) = (tmp_path / "spool").glob("*.jsonl")
    lines = path.read_bytes().count(b'["p"')
    assert answered - BATCH <= lines <= answered
    watcher = started(monitor(tmp_path, spools=json.dumps([str(tmp_path / "spool")])))
    wait_for("the arrival of the adopted segment", lambda: drift(watcher)["predictions"] == lines)


def test_over_http_into_minio_with_the_store_away_for_a_while(
    tmp_path: Path, started: Callable[[Server], Server]
) -> None:
    store, client = minio(tmp_path)
    started(store)
    from minio import Minio

    keys = (client["ROOKERY_S3_ACCESS_KEY"], client["ROOKERY_S3_SECRET_KEY"])
    Minio(client["ROOKERY_S3_ENDPOINT"], *keys, secure=False).make_bucket("rookery")
    watcher = started(monitor(tmp_path, store="s3://rookery/monitor", token=TOKEN, environment=client))
    said = server_token(SecretStr(TOKEN), "digits-production")
    settings = logged(tmp_path, log_url=watcher.url, log_token=said)
    server = started(serve(tiny_image_bundle(tmp_path), tmp_path, **settings))
    for number in range(20):
        ask(server, digit_png(number))
    wait_for("the arrival of 20 predictions", lambda: drift(watcher)["predictions"] == 20)
    assert web.get(watcher.url + "/readyz", timeout=60).status_code == 200

    store.kill()
    assert web.get(watcher.url + "/readyz", timeout=60).status_code == 503
    for number in range(30):
        ask(server, digit_png(number))
    time.sleep(2)
    wait_for("a segment that waits", lambda: any((tmp_path / "spool").glob("*.jsonl")))
    assert counter(server, "rookery_serve_log_dropped_total") == 0
    store.start()
    wait_for("the arrival of the rest", lambda: drift(watcher)["predictions"] == 50, 90)

    watcher.kill()
    for number in range(10):
        ask(server, digit_png(number))
    watcher.start()
    wait_for("the arrival after a restart", lambda: drift(watcher)["predictions"] == 60, 90)
    assert counter(server, "rookery_serve_log_refused_total") == 0


def test_the_spool_is_bounded_while_nobody_takes_it(
    tmp_path: Path, started: Callable[[Server], Server]
) -> None:
    settings = logged(
        tmp_path, log_bytes=str(1 << 16), log_url="http://127.0.0.1:9", log_segment_bytes="8192"
    )
    server = started(serve(tiny_image_bundle(tmp_path), tmp_path, **settings))
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        for number in range(600):
            client.post("/predict", content=digit_png(number % 50)).raise_for_status()
    wait_for("a drop", lambda: counter(server, "rookery_serve_log_dropped_total") > 0)
    assert counter(server, "rookery_serve_log_records_total") == 600
    # A segment may be closed, and so renamed, between the look into the folder and that at the file.
    server.kill()
    assert sum(path.stat().st_size for path in (tmp_path / "spool").iterdir()) <= 1 << 16


@pytest.mark.parametrize("make", [tiny_image_bundle, tiny_audio_bundle])
def test_training_and_serving_see_the_same(
    tmp_path: Path,
    started: Callable[[Server], Server],
    make: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = read_bundle(make(tmp_path))
    server = started(serve(bundle.folder, tmp_path, **logged(tmp_path)))
    started(monitor(tmp_path, spools=json.dumps([str(tmp_path / "spool")])))
    asked = ["--bundle", str(bundle.folder), "--url", server.url, "--store", str(tmp_path / "store")]
    assert skew.main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["agrees"]
    assert found["logged"] == found["compared"] == len(bundle.golden.inputs)
    digest = hashlib.sha256(bundle.golden.inputs[0]).hexdigest()
    other = prepare(bundle.golden.inputs[0], bundle.manifest.preprocessing).features
    assert skew.check_skew(bundle, server.url, lambda: {digest: other}).agrees
    name = next(iter(other))
    louder = skew.check_skew(bundle, server.url, lambda: {digest: {**other, name: other[name] + 1.0}})
    assert louder.worst == [f"golden input 0: {name} {louder.feature:.2g}"]


def test_another_model_is_no_skew_but_a_refusal(tmp_path: Path, started: Callable[[Server], Server]) -> None:
    server = started(serve(tiny_image_bundle(tmp_path), tmp_path))
    with pytest.raises(InvalidInput, match="another bundle"):
        skew.check_skew(read_bundle(tiny_audio_bundle(tmp_path)), server.url)
