"""What somebody could do to the prediction log: forged feedback, hostile names, poisoned and huge windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from services.monitor.archive import Archive
from services.monitor.canary import judge_canary
from services.monitor.judge import Policy
from services.monitor.objects import FolderObjects
from services.monitor.segment import parse_segment
from services.serve.ids import RequestIds
from tests.support import web
from tests.support.bundles import digit_png, tiny_image_bundle
from tests.support.predictions import NOON, drawn, feedback, prediction, segment
from tests.support.servers import Server
from tests.support.serving import serve

BEGIN = datetime.fromtimestamp(NOON / 1000, UTC)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("log")
    settings = {
        "log_dir": str(folder / "spool"),
        "log_key": "a key for these tests",
        "environment": "production",
    }
    server = serve(tiny_image_bundle(folder), folder, feedback_days="0.001", **settings).start()
    yield server, folder
    server.stop()


def say(server: Server, body: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.post(server.url + "/feedback", content=content, timeout=30)


@pytest.mark.parametrize(
    ("key", "application", "environment"),
    [
        (b"another key, as long as it", "digits", "production"),
        (b"a key for these tests", "digits", "staging"),
        (b"a key for these tests", "birds", "production"),
        (b"", "digits", "production"),
    ],
)
def test_feedback_with_a_made_up_id_is_refused(
    served: tuple[Server, Path], key: bytes, application: str, environment: str
) -> None:
    made = RequestIds(key, application, environment).next(int(datetime.now(UTC).timestamp() * 1000))
    answer = say(served[0], {"request_id": made, "labels": ["owl"]})
    assert answer.status_code == 409
    assert answer.json()["error"] == "refused"


def test_feedback_for_a_prediction_of_long_ago_is_refused(served: tuple[Server, Path]) -> None:
    old = RequestIds(b"a key for these tests", "digits", "production").next(NOON)
    assert "too old" in say(served[0], {"request_id": old, "labels": ["owl"]}).json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 5000,
        b'{"request_id":' + b'"0' * 2000,
        {"request_id": ["x"], "labels": []},
        b"\x00" * 100,
    ],
)
def test_feedback_that_is_none(served: tuple[Server, Path], body: object) -> None:
    assert say(served[0], body).status_code == 422


def test_feedback_is_small(served: tuple[Server, Path]) -> None:
    assert say(served[0], b" " * (1 << 20)).status_code == 413


@pytest.mark.parametrize("source", ["<script>", "a b", "../../x", "a" * 65, "%00", "%F0%9F%90%A6"])
def test_a_source_is_a_plain_name(served: tuple[Server, Path], source: str) -> None:
    url = f"{served[0].url}/predict?source={source}"
    answer = web.post(url, content=digit_png(1))
    assert answer.status_code == 422
    assert "`source`" in answer.json()["message"]


def test_the_log_holds_no_input_unless_asked_to(served: tuple[Server, Path]) -> None:
    web.post(served[0].url + "/predict", content=digit_png(1)).raise_for_status()
    assert not list((served[1] / "spool").glob("*.input"))


def test_one_prediction_has_one_vote_however_often_it_is_said(tmp_path: Path) -> None:
    archive = Archive(FolderObjects(tmp_path))
    flood = [feedback(1, ["jay"], NOON + n) for n in range(5000)]
    for environment, words in (("production", [feedback(n, ["owl"]) for n in range(200)]), ("canary", flood)):
        records = [*(prediction(n) for n in range(200)), *words]
        archive.put(parse_segment(segment(records, environment=environment)))
    found = judge_canary(
        archive, "birds", "canary", "production", BEGIN, BEGIN + timedelta(hours=2),
        version="", slow_quantile=0.95, policy=Policy(),
    )  # fmt: skip
    (wrong,) = [item for item in found["questions"] if item["name"] == "wrong"]
    assert wrong["count"] == 1
    assert found["verdict"] != "roll back"


def test_a_segment_of_hostile_lines_costs_time_in_proportion(tmp_path: Path) -> None:
    lines = b"".join(b'["p",%d,[[[[[[]]]]]],{}]\n' % n for n in range(50_000))
    found = parse_segment(segment(drawn(10)) + lines)
    assert (found.broken, len(found.predictions.time)) == (50_000, 10)
    Archive(FolderObjects(tmp_path)).put(found)
