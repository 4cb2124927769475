"""What counts as the same answer."""

from __future__ import annotations

import http.server
import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from services.bundle.reader import Bundle, read_bundle
from tests.support.bundles import tiny_image_bundle
from workflows.release import verify
from workflows.release.verify import verify_golden

Answer = dict[str, Any]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(tiny_image_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(autouse=True)
def _a_predecessor_is_soon_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_PREDECESSOR_SECONDS", 1.0)


@contextmanager
def server(
    bundle: Bundle,
    change: Callable[[Answer], Any],
    status: int = 200,
    first: Callable[[Answer], Any] = lambda _: None,
) -> Iterator[str]:
    """Answers each golden input as expected, after `change`, and after `first` on the first connection."""
    first_client: dict[str, Any] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            at = bundle.golden.inputs.index(data)
            row = bundle.golden.probabilities[at].tolist()
            labels = [
                {"label": n, "probability": p} for n, p in zip(bundle.manifest.labels, row, strict=True)
            ]
            labels.sort(key=lambda entry: -float(entry["probability"]))
            answer = {
                "label": labels[0]["label"],
                "labels": labels,
                "novelty": float(bundle.golden.novelty[at]),
                "bundle_digest": bundle.digest,
            }
            change(answer)
            if self.client_address == first_client.setdefault("address", self.client_address):
                first(answer)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()
        thread.join()


def shift(by: float) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer["labels"][-1]["probability"] += by

    return change


def test_the_expected_answers_pass(bundle: Bundle) -> None:
    with server(bundle, lambda answer: None) as url:
        result = verify_golden(url, bundle)
    assert result.passed and result.max_difference < 1e-7
    assert result.labels_equal == result.items == len(bundle.golden.inputs)


@pytest.mark.parametrize(("by", "passed"), [(0.0005, True), (0.002, False), (math.nan, False)])
def test_probabilities_have_a_stated_tolerance(bundle: Bundle, by: float, passed: bool) -> None:
    with server(bundle, shift(by)) as url:
        result = verify_golden(url, bundle)
    assert result.passed is passed
    assert result.tolerance == 1e-3
    if not passed:
        assert "a probability differs" in result.reasons[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a.update(label=a["labels"][-1]["label"]), "the label is"),
        (lambda a: a.update(novelty=a["novelty"] + 0.1), "the novelty score differs"),
        (lambda a: a.update(bundle_digest="sha256:" + "0" * 64), "another bundle"),
        (lambda a: a["labels"].pop(), "the labels are others"),
        (lambda a: a.pop("labels"), "KeyError"),
        (lambda a: a.update(label="no such label"), "ValueError"),
    ],
)
def test_any_other_answer_fails_with_its_reason(
    bundle: Bundle, change: Callable[[Answer], Any], reason: str
) -> None:
    with server(bundle, change) as url:
        result = verify_golden(url, bundle)
    assert not result.passed
    assert reason in result.reasons[0]


def test_an_error_is_a_failed_verification(bundle: Bundle) -> None:
    with server(bundle, lambda answer: None, status=500) as url:
        result = verify_golden(url, bundle)
    assert not result.passed
    assert "500" in result.reasons[0]
    assert result.p95_ms == math.inf


def test_a_predecessor_at_the_end_of_the_first_connection_is_not_asked_for_ever(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Service of a cluster keeps a connection with the pod it was opened to, while that pod drains."""
    monkeypatch.setattr(verify, "_PREDECESSOR_SECONDS", 60.0)
    with server(
        bundle, lambda _: None, first=lambda answer: answer.update(bundle_digest="sha256:old")
    ) as url:
        result = verify_golden(url, bundle)
    assert result.passed, result.reasons
