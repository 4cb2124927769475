"""The HTTP interface of the monitor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from services.data.store import ObjectStoreSettings
from services.monitor.__main__ import main
from services.monitor.app import create_app
from services.monitor.settings import MonitorSettings
from services.monitor.writers import server_token
from tests.support.asgi import serving
from tests.support.predictions import drawn, prediction, reference, segment

SPAN = "&from=2026-06-01T12:00:00Z&to=2026-06-01T13:00:00Z"
TOKEN = "a-token-for-tests"


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(
        create_app(MonitorSettings(store=str(tmp_path), token=TOKEN), ObjectStoreSettings())
    ) as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client


def put(http: httpx.Client, data: bytes) -> httpx.Response:
    return http.put("/segments/any", content=data)


def test_a_segment_becomes_a_comparison_and_a_page(http: httpx.Client) -> None:
    assert http.put("/references/x", content=reference().model_dump_json(by_alias=True)).status_code == 201
    assert put(http, segment(drawn(500, loudness=-25))).status_code == 201
    found = http.get(f"/drift?application=birds{SPAN}").json()
    assert (found["state"], found["drifting"]) == ("drift", ["loudness_dbfs"])
    page = http.get(f"/report?application=birds{SPAN}")
    assert page.text.count("<svg") == 3
    assert http.get("/environments").json() == [{"application": "birds", "environment": "production"}]
    assert "birds, production" in http.get("/").text


def test_the_numbers_of_the_charts_on_request(http: httpx.Client) -> None:
    http.put("/references/x", content=reference().model_dump_json(by_alias=True))
    put(http, segment(drawn(500, loudness=-25)))
    assert "histograms" not in http.get(f"/drift?application=birds{SPAN}").json()
    found = http.get(f"/drift?application=birds&histograms=true{SPAN}").json()["histograms"]
    assert sorted(found) == ["confidence", "label", "loudness_dbfs"]
    assert sorted(found["label"]["labels"]) == ["jay", "owl", "wren"]
    assert found["loudness_dbfs"]["labels"] is None
    assert len(found["loudness_dbfs"]["edges"]) == len(found["loudness_dbfs"]["window"]) + 1
    assert all(sum(item["window"]) == pytest.approx(1) for item in found.values())


def test_the_same_segment_twice_counts_once(http: httpx.Client) -> None:
    data = segment(drawn(60))
    assert put(http, data).status_code == put(http, data).status_code == 201
    assert http.get(f"/drift?application=birds{SPAN}").json()["predictions"] == 60
    assert "rookery_monitor_repeated_total 1.0" in http.get("/metrics").text


def test_what_a_shadow_said_and_its_page(http: httpx.Client) -> None:
    put(http, segment([prediction(n) for n in range(30)]))
    copies = [["s", *prediction(n, labels=[["wren" if n < 3 else "owl", 0.8]])[1:]] for n in range(30)]
    put(http, segment(copies, environment="canary", version="8"))
    found = http.get(f"/shadow?application=birds&version=8{SPAN}").json()
    assert (found["pairs"], found["disagreements"]) == (30, 3)
    assert found["classes"][0]["canary"] == "wren"
    page = http.get(f"/shadow/report?application=birds{SPAN}")
    assert page.status_code == 200
    assert "not to be shown" in page.text
    assert "img-src data:" in page.headers["content-security-policy"]
    long = "&from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z"
    assert http.get(f"/shadow?application=birds{long}").status_code == 422


def test_questions_that_do_not_count(http: httpx.Client) -> None:
    put(http, segment([prediction(n) for n in range(900)]))
    other = [prediction(n, labels=[["wren", 0.9]]) for n in range(900)]
    put(http, segment(other, environment="canary"))
    assert http.get(f"/judge?application=birds{SPAN}").json()["verdict"] == "roll back"
    found = http.get(f"/judge?application=birds&without=disagreement{SPAN}").json()
    assert found["verdict"] == "promote"
    assert http.get(f"/judge?application=birds&without=slow{SPAN}").status_code == 422


def test_the_verdict_and_its_page(http: httpx.Client) -> None:
    put(http, segment([prediction(n) for n in range(900)]))
    put(http, segment([prediction(n) for n in range(900)], environment="canary"))
    found = http.get(f"/judge?application=birds{SPAN}").json()
    assert found["verdict"] == "promote"
    assert "promote" in http.get(f"/judge/report?application=birds{SPAN}").text
    assert http.get("/judge?application=birds").json()["verdict"] == "not enough evidence"


@pytest.mark.parametrize("path", ["/segments/x", "/references/x", "/inputs/" + "a" * 64])
@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer wrong", "Bearer a-token-for-testsx", "Basic x", "Bearer \xfc"]
)
def test_who_does_not_know_the_token_writes_nothing(
    http: httpx.Client, path: str, said: str, tmp_path: Path
) -> None:
    answer = http.put(path, content=segment(drawn(5)), headers={"authorization": said.encode("latin-1")})
    assert answer.status_code == 401
    assert TOKEN not in answer.text
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("/drift?application=../x", "no name"),
        ("/drift?application=birds&environment=A", "no name"),
        ("/drift", "application"),
        ("/drift?application=birds&from=yesterday", "from"),
        ("/drift?application=birds&from=2026-06-02T00:00:00Z&to=2026-06-01T00:00:00Z", "empty or too long"),
        ("/drift?application=birds&from=1990-01-01T00:00:00Z", "out of range"),
        ("/drift?application=birds&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "empty or too long"),
        ("/drift?application=birds&baseline-from=2026-01-01T00:00:00Z", "baseline"),
        ("/judge?application=birds&canary=../..", "no name"),
        ("/judge?application=birds&canary=production", "same environment"),
        ("/shadow/report?application=birds&canary=production", "same environment"),
        ("/judge?application=birds&from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z", "31 days"),
    ],
)
def test_what_is_wrong_is_said(http: httpx.Client, query: str, message: str) -> None:
    answer = http.get(query)
    assert answer.status_code == 422
    assert message in answer.json()["message"] + str(answer.json()["allowed"])


def test_times_without_a_zone_are_utc(http: httpx.Client) -> None:
    put(http, segment(drawn(60)))
    query = "/drift?application=birds&from=2026-06-01T12:00:00&to=2026-06-01T13:00:00"
    assert http.get(query).json()["predictions"] == 60
    shifted = "/drift?application=birds&from=2026-06-01T14:00:00%2B02:00&to=2026-06-01T15:00:00%2B02:00"
    assert http.get(shifted).json()["predictions"] == 60


def test_the_metrics_tell_of_drift(http: httpx.Client) -> None:
    now = int(time.time() * 1000)
    http.put("/references/x", content=reference().model_dump_json(by_alias=True))
    put(http, segment(drawn(500, loudness=-25, time=now), opened=now))
    http.get("/drift?application=birds")
    text = http.get("/metrics").text
    assert 'rookery_monitor_drift{application="birds",environment="production"} 1.0' in text
    assert 'feature="loudness_dbfs"' in text
    for other in ("from=2026-06-01T13:00:00Z", "version=of-nobody"):
        http.get(f"/drift?application=birds&{other}")
        assert http.get("/metrics").text.count('drift{application="birds",environment="production"} 1.0'), (
            other
        )


def test_a_server_whose_clock_is_wrong_is_noticed(http: httpx.Client) -> None:
    ahead = int(time.time() * 1000) + 7_200_000
    put(http, segment(drawn(5, time=ahead), opened=ahead))
    skew = float(http.get("/metrics").text.split("\nrookery_monitor_clock_skew_seconds ")[1].split()[0])
    assert 7000 < skew < 7300


def test_who_does_not_know_the_token_reads_nothing(http: httpx.Client) -> None:
    put(http, segment(drawn(5)))
    del http.headers["authorization"]
    asked = f"?application=birds{SPAN}"
    for path in ("/drift", "/judge", "/shadow", "/report", "/judge/report", "/shadow/report"):
        assert http.get(path + asked).status_code == 401, path
        assert http.get(path + asked, auth=("ann", "wrong")).status_code == 401, path
        assert http.get(path + asked, auth=("ann", TOKEN)).status_code == 200, path
    for path in ("/", "/environments"):
        answer = http.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (
            401,
            'Basic realm="rookery", charset="UTF-8"',
        )
        assert "birds" not in answer.text
    # A browser sends a password along with what other pages ask for, so it is none for what changes something.
    answer = http.put("/segments/any", content=segment(drawn(5)), auth=("ann", TOKEN))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="rookery"')
    for path in ("/healthz", "/readyz", "/metrics"):
        assert http.get(path).status_code == 200


def test_a_store_that_is_away_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    settings = MonitorSettings(store="s3://bucket/log")
    store = ObjectStoreSettings(endpoint="127.0.0.1:9", secure=False)
    with serving(create_app(settings, store)) as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/readyz").status_code == 503
        assert put(http, segment(drawn(5))).status_code == 503


def test_a_window_of_now_is_the_default(http: httpx.Client) -> None:
    found = http.get("/drift?application=birds").json()
    assert abs((datetime.fromisoformat(found["to"]) - datetime.now(UTC)).total_seconds()) < 60


def test_a_servers_token_hands_over_its_own_log_and_does_nothing_else(http: httpx.Client) -> None:
    http.headers["authorization"] = f"Bearer {server_token(SecretStr(TOKEN), 'birds-canary')}"
    assert put(http, segment(drawn(60), environment="canary")).status_code == 201
    answer = put(http, segment(drawn(60), environment="production"))
    assert (answer.status_code, answer.json()["value"]) == (401, "'birds-production'")
    for path in ("/environments", "/drift?application=birds", "/"):
        assert http.get(path).status_code == 401
    http.headers["authorization"] = f"Bearer {TOKEN}"
    assert http.get("/environments").json() == [{"application": "birds", "environment": "canary"}]


@pytest.mark.parametrize("said", ["birds-canary.", "birds-production.{}", ".{}", "{}", "birds-canary.{}."])
def test_nobody_makes_a_servers_token_for_another_environment(http: httpx.Client, said: str) -> None:
    code = server_token(SecretStr(TOKEN), "birds-canary").rpartition(".")[2]
    http.headers["authorization"] = f"Bearer {said.format(code)}"
    assert put(http, segment(drawn(60), environment="canary")).status_code == 401


def test_what_servers_say_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--server-token", "birds-canary"]) == 1
    assert "set ROOKERY_MONITOR_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("ROOKERY_MONITOR_TOKEN", TOKEN)
    assert main(["--server-token", "birds-canary"]) == 0
    assert capsys.readouterr().out == server_token(SecretStr(TOKEN), "birds-canary") + "\n"
