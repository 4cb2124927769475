"""Reports of real models on real folders: pictures with hostile names, sounds to look at and listen to."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from services.bundle.reader import read_bundle
from services.data.source import load_dataset
from services.evaluate import holdout, report
from services.evaluate.evaluation import _gate_json
from services.evaluate.files import encode
from services.evaluate.gate import Check, Verdict, judge
from services.evaluate.policy import Policy
from services.evaluate.report import failure_page, page
from services.evaluate.study import Production, Study
from services.serve.predictor import Predictor
from tests.support.bundles import (
    TONES,
    digit_label,
    digit_png,
    tiny_audio_bundle,
    tiny_image_bundle,
    tone_wav,
)

HOSTILE = "<script>document.title='broken'<" + "!--"
ATTRIBUTE = '" onerror="document.title=1'
RUN = {"info": {"run_id": "0" * 32}, "data": {"tags": []}}
POLICY = Policy(resamples=100)


def study_of(bundle_folder: Path, source: Path, production: Production | None = None) -> Study:
    bundle = read_bundle(bundle_folder)
    data = load_dataset(str(source), cache=source.parent / "cache")

    def score(model, items):
        return holdout.score(model, items, threads=2, latency_items=20)

    return Study(POLICY, bundle, Predictor(bundle), data, production, score)


def rendered(study: Study) -> str:
    verdict = judge(POLICY, study.measured)
    gate = _gate_json(RUN, "photos", POLICY, verdict, study.summary(), study.measured.comparison)
    return page(gate, json.loads(encode(study.document())), study)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Digits in folders named by their class, some of the names being HTML; every fifth file is in the wrong one."""
    root = tmp_path_factory.mktemp("pictures")
    for index in range(160):
        digit = int(digit_label(index))
        wrong = index % 5 == 0
        split = ("training", "validation", "evaluation", "evaluation")[index % 4]
        folder = root / split / names()[(digit + wrong) % 10]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"<b>{index}&amp;.png").write_bytes(digit_png(index))
    return root


def names() -> list[str]:
    return [HOSTILE, ATTRIBUTE, "{{ 7*7 }}", *(f"class_{digit}" for digit in range(3, 10))]


@pytest.fixture(scope="module")
def picture_study(pictures, tmp_path_factory) -> Study:
    folder = tiny_image_bundle(tmp_path_factory.mktemp("bundle"), labels=names(), temperature=1.5)
    return study_of(folder, pictures)


@pytest.fixture(scope="module")
def picture_page(picture_study) -> str:
    return rendered(picture_study)


def test_names_from_outside_are_text(picture_page):
    assert "<script" not in picture_page
    assert '" onerror=' not in picture_page
    assert HOSTILE in unescape(picture_page)
    assert "{{ 7*7 }}" in picture_page
    assert "<b>1&amp;" not in picture_page
    assert "&lt;b&gt;" in picture_page


def test_the_page_is_whole_in_itself(picture_page):
    assert not re.search(r'(?:src|href)="(?!data:)', picture_page)
    assert "url(" not in picture_page
    assert "built-in method" not in picture_page
    for heading in ("Checks", "Confusion", "Curves", "Classes", "Slices", "Worst mistakes"):
        assert f"<h2>{heading}</h2>" in picture_page
    assert picture_page.count("<svg") == 4
    assert "before temperature 1.50" in picture_page


def test_the_worst_mistakes_are_shown_as_pictures(picture_study, picture_page):
    wrong = int((~picture_study.answers.hits).sum())
    assert wrong > 5
    assert picture_page.count("data:image/png;base64,") == min(wrong, 24)


def test_everything_measured_is_in_the_document(picture_study):
    document = picture_study.document()
    assert document["bootstrap"] == {"resamples": 100, "seed": 20260101, "confidence": 0.95, "groups": 80}
    assert document["calibration"]["ece_before"] != document["calibration"]["ece_after"]
    assert {row["family"] for row in document["slices"]} == {"size", "brightness"}
    assert 0 < document["latency_ms"]["p50"] <= document["latency_ms"]["p95"]
    for name, value in document["metrics"].items():
        assert document["intervals"][name]["low"] <= value <= document["intervals"][name]["high"], name
    json.loads(encode(document))


def test_production_with_labels_in_another_order_is_compared_by_name(pictures, tmp_path):
    candidate = tiny_image_bundle(tmp_path / "a", labels=names())
    reverse = Production("3", read_bundle(tiny_image_bundle(tmp_path / "b", labels=names()[::-1])))
    found = study_of(candidate, pictures, reverse).measured.comparison
    assert found.difference > 0.3
    same = Production("3", read_bundle(tiny_image_bundle(tmp_path / "c", labels=names())))
    found = study_of(candidate, pictures, same).measured.comparison
    assert (found.difference, found.interval.low, found.interval.high) == (0, 0, 0)


def test_production_without_some_labels_answers_them_wrong(pictures, tmp_path):
    candidate = tiny_image_bundle(tmp_path / "a", labels=names())
    other = Production(
        "3", read_bundle(tiny_image_bundle(tmp_path / "b", labels=[f"x{i}" for i in range(10)]))
    )
    found = study_of(candidate, pictures, other).measured.comparison
    assert found.production < 0.05


def test_a_candidate_that_dropped_classes_is_refused_however_well_it_does(pictures, tmp_path):
    fewer = [name if index < 8 else f"x{index}" for index, name in enumerate(names())]
    production = Production("3", read_bundle(tiny_image_bundle(tmp_path / "b", labels=names())))
    study = study_of(tiny_image_bundle(tmp_path / "a", labels=fewer), pictures, production)
    assert study.measured.comparison.difference >= 0
    assert study.measured.lost_labels == names()[8:]
    reasons = judge(POLICY, study.measured).reasons
    assert any("labels" in reason and repr(names()[8]) in reason for reason in reasons), reasons


def test_sounds_are_shown_with_spectrogram_and_player(tmp_path):
    root = tmp_path / "sounds"
    wrong_folder = {"low": "middle", "middle": "high", "high": "low"}
    for name, hz in TONES.items():
        for index in range(20):
            folder = root / ("training", "validation", "evaluation", "evaluation")[index % 4]
            folder = folder / (wrong_folder[name] if index % 10 == 2 else name)
            folder.mkdir(parents=True, exist_ok=True)
            sound = tone_wav(hz * (1 + index / 500), 0.6 + index / 5, amplitude=0.05 + index / 50)
            (folder / f"{name}-{index}.wav").write_bytes(sound)
    study = study_of(tiny_audio_bundle(tmp_path), root)
    html = rendered(study)
    assert (~study.answers.hits).sum() == 3
    assert html.count("<audio controls") == html.count("data:audio/mpeg;base64,") == 3
    assert {row["family"] for row in study.document()["slices"]} >= {"length", "loudness"}
    assert len(html) < 2_000_000


def test_many_classes_are_a_picture_and_a_list():
    labels = [f"c{index}" for index in range(40)]
    table = np.zeros((40, 40), np.int64)
    table[3, 7] = 5
    table[1, 2] = 9
    assert report._matrix(table, labels) == []
    assert report._heat(table).startswith("data:image/png;base64,")
    assert report._confused(table, labels) == [("c1", "c2", 9, 1.0), ("c3", "c7", 5, 1.0)]


def test_a_refusal_before_scoring_has_a_page_too():
    verdict = Verdict([Check("bundle", None, None, False, "the bundle was altered <script>")])
    html = failure_page(_gate_json(RUN, "photos", POLICY, verdict, {}, None))
    assert "Refused" in html
    assert "altered &lt;script&gt;" in html


@pytest.mark.browser
def test_in_a_browser_nothing_runs_and_nothing_overflows(picture_page, tmp_path):
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    path.write_text(picture_page)
    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[*flags.split(), "--disable-component-update", "--disable-sync"],
        )
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        messages: list[str] = []
        tab.on("console", lambda message: messages.append(message.text))
        tab.goto(path.as_uri())
        assert tab.title().startswith("photos: ")
        assert messages == []
        assert not tab.evaluate("document.documentElement.scrollWidth > innerWidth")
        cut = "[...document.querySelectorAll('.checks, .checks td')]"
        cut += ".some(one => one.getBoundingClientRect().right > innerWidth)"
        assert not tab.evaluate(cut)
        assert tab.locator(".checks td.wide").first.is_visible()
        assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert tab.evaluate("document.querySelectorAll('script, [onerror]').length") == 0
        browser.close()
