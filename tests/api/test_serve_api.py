"""The HTTP interface of the serving process, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from services.bundle.reader import read_bundle
from services.serve.models import PredictionBody
from tests.support import web
from tests.support.bundles import digit_label, digit_png, tiny_audio_bundle, tiny_image_bundle, tone_wav
from tests.support.serving import serve


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def digits(folder: Path) -> Iterator[httpx.Client]:
    facts = {
        "model_version": "7",
        "environment": "canary",
        "application": "digits",
        "image_digest": "sha256:i",
    }
    server = serve(tiny_image_bundle(folder), folder, **facts).start()
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client
    server.stop()


@pytest.fixture(scope="module")
def tones(folder: Path) -> Iterator[httpx.Client]:
    server = serve(tiny_audio_bundle(folder), folder, workers="1", waiting="1").start()
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client
    server.stop()


def test_a_raw_body_and_a_form_get_the_same_answer(digits: httpx.Client) -> None:
    raw = digits.post("/predict", content=digit_png(3))
    form = digits.post("/predict", files={"file": ("3.png", digit_png(3), "image/png")})
    assert raw.status_code == form.status_code == 200
    assert raw.json() == form.json()
    assert raw.json()["label"] == digit_label(3)
    assert raw.json()["version"] == "7"
    PredictionBody.model_validate(raw.json())


def test_golden_inputs_are_answered_as_promised(digits: httpx.Client, folder: Path) -> None:
    bundle = read_bundle(folder / "digits-bundle")
    for data, expected in zip(bundle.golden.inputs, bundle.golden.probabilities, strict=True):
        answer = digits.post("/predict", content=data).json()
        found = {entry["label"]: entry["probability"] for entry in answer["labels"]}
        assert answer["label"] == bundle.manifest.labels[int(expected.argmax())]
        np.testing.assert_allclose([found[name] for name in bundle.manifest.labels], expected, atol=1e-5)


def test_the_short_way_and_the_usual_way_agree(digits: httpx.Client) -> None:
    short = digits.post("/predict", content=digit_png(8)).json()
    usual = digits.post("/predict?top=10", content=digit_png(8)).json()
    chunked = digits.post("/predict", content=iter([digit_png(8)[:50], digit_png(8)[50:]])).json()
    assert short == usual == chunked


def test_top_bounds_the_labels(digits: httpx.Client) -> None:
    assert len(digits.post("/predict?top=2", content=digit_png(0)).json()["labels"]) == 2
    refused = digits.post("/predict?top=none", content=digit_png(0))
    assert refused.status_code == 422
    assert "`top`" in refused.json()["message"]


def test_version_names_what_is_in_memory(digits: httpx.Client, folder: Path) -> None:
    version = digits.get("/version").json()
    bundle = read_bundle(folder / "digits-bundle")
    assert version["bundle_digest"] == bundle.digest
    assert version["model_digest"] == bundle.model_digest
    assert version["novelty_digest"] == bundle.novelty_digest
    assert version["run_id"] == bundle.manifest.run_id
    assert {version[name] for name in ("model_version", "environment", "image_digest")} == {
        "7",
        "canary",
        "sha256:i",
    }
    assert digits.post("/predict", content=digit_png(1)).json()["bundle_digest"] == bundle.digest


def test_probes_labels_and_counters(digits: httpx.Client) -> None:
    assert digits.get("/healthz").json() == {"status": "ok"}
    assert digits.get("/readyz").status_code == 200
    assert digits.get("/labels").json()["labels"] == [str(digit) for digit in range(10)]
    before = _answers(digits)
    digits.post("/predict", content=digit_png(2))
    assert _answers(digits) == before + 1


def _answers(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    answers = [line for line in lines if line.startswith("rookery_serve_requests_total{")]
    (given,) = (line for line in answers if 'status="200"' in line)
    assert 'environment="canary"' in given and 'model_version="7"' in given
    return float(given.rsplit(" ", 1)[1])


def test_the_interface_is_described_without_foreign_files(digits: httpx.Client) -> None:
    paths = digits.get("/openapi.json").json()["paths"]
    assert {"/predict", "/version", "/healthz", "/readyz", "/metrics", "/labels"} <= set(paths)
    docs = digits.get("/docs")
    assert all(path in docs.text for path in paths)
    assert "https://" not in docs.text


def test_pages_forbid_everything_foreign(digits: httpx.Client) -> None:
    page = digits.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in page.text.replace("http://www.w3.org", "")
    assert digits.get("/static/app.js").status_code == 200
    assert digits.get("/static/%2e%2e/index.html").status_code == 404
    assert digits.get("/examples/99").status_code == 404


def test_long_sounds_become_a_timeline(tones: httpx.Client) -> None:
    answer = tones.post("/predict", content=tone_wav([400.0, 400.0, 6000.0] * 20, 1.0)).json()
    PredictionBody.model_validate(answer)
    assert len(answer["timeline"]) == 60
    assert len(answer["segments"]) == 40
    assert answer["duration"] == pytest.approx(60)


def test_the_spectrogram_is_a_picture(tones: httpx.Client) -> None:
    picture = tones.post("/spectrogram", content=tone_wav(2000.0, 2.0))
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert tones.post("/spectrogram", content=b"nothing").status_code == 415


def test_more_than_fits_is_refused_and_health_answers_meanwhile(tones: httpx.Client) -> None:
    clip = tone_wav([400.0] * 400, 1.0)
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(_post, tones, clip) for _ in range(8)]
        slowest = max(tones.get("/healthz").elapsed.total_seconds() for _ in range(10))
        answers = [future.result() for future in sent]
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"] == "unavailable"
    # Had they been in each other's way, health would have waited for a prediction.
    assert (
        slowest < min(answer.elapsed for answer in answers if answer.status_code == 200).total_seconds() / 2
    )
    assert tones.post("/predict", content=tone_wav(400.0, 1.0)).status_code == 200


def _post(client: httpx.Client, data: bytes) -> httpx.Response:
    return web.post(client.base_url.join("/predict"), content=data, timeout=60)


def test_wrong_methods_and_paths_are_named(digits: httpx.Client) -> None:
    assert digits.get("/predict").status_code == 405
    assert digits.get("/nothing").status_code == 404
    assert json.loads(digits.post("/predict", content=b"").text)["error"] == "invalid-input"
