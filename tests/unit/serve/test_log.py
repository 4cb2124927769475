from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from services.bundle.reader import Bundle
from services.media.prepare import prepare
from services.monitor.reference import parse_reference
from services.monitor.segment import parse_segment
from services.serve.app import ServeApp, create_app
from services.serve.settings import ServeSettings
from tests.support.bundles import digit_label, digit_png


def application(bundle: Bundle, folder: Path, **changes: object) -> ServeApp:
    settings = {"bundle": bundle.folder, "log_dir": folder, "environment": "staging", "model_version": "3"}
    return create_app(bundle, ServeSettings(**(settings | changes)))  # type: ignore[arg-type]


def test_what_was_answered_is_read_back_by_the_monitor(digits: Bundle, tmp_path: Path) -> None:
    app = application(digits, tmp_path, log_inputs=True)
    answers = [json.loads(app.predict.quick(digit_png(n), 0.0)[1]) for n in range(20)]  # type: ignore[index]
    app.log.feedback(answers[0]["request_id"][:32], ["owl"])  # type: ignore[union-attr]
    app.log.failed(503, 0.25)  # type: ignore[union-attr]
    app.close()
    (path,) = tmp_path.glob("*.jsonl")
    segment = parse_segment(path.read_bytes())
    assert segment.broken == 0
    assert (segment.head.application, segment.head.environment, segment.head.version) == (
        "digits",
        "staging",
        "3",
    )
    rows = segment.predictions
    assert [labels[0] for labels in rows.labels] == [answer["label"] for answer in answers]
    assert rows.labels[3][0] == digit_label(3)
    assert rows.request_id == [answer["request_id"][:32] for answer in answers]
    assert segment.failures[0][1:] == (503, 0.25, False)
    assert segment.feedback[0][1:] == (rows.request_id[0], ["owl"])
    for digest in rows.input_digest:
        assert (tmp_path / f"{digest}.input").exists()
    (reference,) = tmp_path.glob("*.reference")
    told = parse_reference(reference.read_bytes())
    assert told.labels == digits.manifest.labels
    assert told.golden == [hashlib.sha256(data).hexdigest() for data in digits.golden.inputs]
    assert not set(told.golden) & set(rows.input_digest)


def test_copies_are_told_from_requests_of_clients_and_their_inputs_are_not_kept_twice(
    digits: Bundle, tmp_path: Path
) -> None:
    app = application(digits, tmp_path, log_inputs=True)
    app.predict.quick(digit_png(1), 0.0)
    app.predict.quick(digit_png(2), 0.0, True)
    app.log.failed(500, 0.1, copied=True)  # type: ignore[union-attr]
    app.close()
    (path,) = tmp_path.glob("*.jsonl")
    segment = parse_segment(path.read_bytes())
    assert segment.predictions.copied == [False, True]
    assert segment.failures[0][1:] == (500, 0.1, True)
    assert len(list(tmp_path.glob("*.input"))) == 1


def test_features_are_those_of_training(digits: Bundle, tmp_path: Path) -> None:
    app = application(digits, tmp_path)
    for number in range(5):
        app.predict.quick(digit_png(number), 0.0)
    app.close()
    rows = parse_segment(next(tmp_path.glob("*.jsonl")).read_bytes()).predictions
    for number in range(5):
        expected = prepare(digit_png(number), digits.manifest.preprocessing).features
        assert {name: values[number] for name, values in rows.features.items()} == pytest.approx(expected)


def test_small_pictures_are_measured_fifty_times_a_second(digits: Bundle, tmp_path: Path) -> None:
    log = application(digits, tmp_path).log
    assert log is not None
    assert 50 <= sum(log.wants_features() for _ in range(1000)) <= 150
    log.close()


def test_a_full_queue_drops_and_counts(
    digits: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.serve.log._QUEUED", 10)
    app = application(digits, tmp_path)
    assert app.log is not None
    app.log.spool.write = lambda lines: None  # type: ignore[method-assign]
    app.log._write = lambda: None  # type: ignore[method-assign]
    for _ in range(15):
        app.log.failed(500, 0.1)
    assert (app.log.records, app.log.dropped) == (10, 5)
    assert b"rookery_serve_log_dropped_total 5.0" in app.telemetry.text()
    app.close()


def test_without_a_folder_nothing_is_logged(digits: Bundle) -> None:
    app = create_app(digits, ServeSettings(bundle=digits.folder))
    answer = app.predict.quick(digit_png(1), 0.0)
    assert answer is not None
    assert "request_id" not in json.loads(answer[1])
    assert b"rookery_serve_log" not in app.telemetry.text()
    app.close()
