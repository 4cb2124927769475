"""Everything is escaped, nothing is inline, and only addresses of the web become links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.board import render

TEMPLATES = sorted((render.FOLDER / "templates").rglob("*.html"))


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//x.example", "http:", "", None, "http://[", "x"]
)
def test_other_addresses_are_none(address: str | None) -> None:
    assert render.web(address) == ""


@pytest.mark.parametrize("host", ["mlflow.rookery.svc:8000", "serve.digits-canary.svc.cluster.local"])
def test_a_name_that_only_pods_know_is_no_link(host: str) -> None:
    assert render.web(f"http://{host}/#/experiments/1") == ""


def test_an_address_of_the_web() -> None:
    assert render.web("http://127.0.0.1:8081") == "http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_780_315_200, "2026-06-01T12:00:00Z"),
        ("2026-06-01T14:00:00+02:00", "2026-06-01T12:00:00Z"),
        ("2026-06-01T12:00:00", "2026-06-01T12:00:00Z"),
        ("yesterday", ""),
        (None, ""),
        (True, ""),
        (1e30, ""),
        ({"a": 1}, ""),
    ],
)
def test_times(value: object, text: str) -> None:
    assert render.iso(value) == text


def test_lengths_and_numbers() -> None:
    assert [render.duration(s) for s in (None, 1.26, 59, 61, 7300)] == [
        "",
        "1.3 s",
        "59 s",
        "1 min 1 s",
        "2 h 1 min",
    ]
    assert (render.number(0.98765), render.number(None), render.number(float("nan"))) == ("0.988", "–", "–")
    assert (render.percent(0.5), render.percent("x")) == ("50.0 %", "–")


def test_texts() -> None:
    assert render.first_line("a\nb") == "a" and render.first_line("x" * 200) == "x" * 160 + "…"
    assert render.first_line(None) == ""
    assert render.said({"a": [1, None], "b": "c"}) == "a 1, , b c"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_anything_inline_or_unescaped(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|\|\s*safe\b|autoescape", text)
    assert not re.search(r"<script(?! type=\"module\" src=\"/static/)", text)


def test_forms_carry_the_mark_of_the_login() -> None:
    for path in TEMPLATES:
        for form in re.findall(r"<form.*?</form>", path.read_text(), re.DOTALL):
            assert 'method="post"' in form
            assert "csrf(session)" in form or 'action="/login"' in form, path.name


def test_our_script_needs_no_evaluation() -> None:
    text = (render.FOLDER / "static" / "board.js").read_text()
    assert not re.search(r"\beval\(|new Function|document\.write", text)
