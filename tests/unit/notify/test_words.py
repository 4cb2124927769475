from __future__ import annotations

from pathlib import Path

import pytest

from services.notify.message import KINDS, Message
from services.notify.words import FOLDER, Phrasebook

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_words_with_and_without_facts(kind: str) -> None:
    book = Phrasebook()
    bare = book.words(Message(kind=kind, subject="what happened"), 0)
    assert "what happened" in bare.title and "\n" not in bare.title
    assert "At 1970-01-01 00:00:00 UTC." in bare.text
    full = book.words(
        Message(
            kind=kind,
            application="digits",
            environment="canary",
            subject=HOSTILE,
            facts={"model_version": "3", "reasons": f"a\n{HOSTILE}"},
        ),
        0,
    )
    assert "model version: 3" in full.text
    assert HOSTILE in full.title, "values are no templates"
    assert "<script" not in full.html and "&lt;script&gt;" in full.html
    assert "{{ 7 * 7 }}" in full.html


def test_all_templates_are_in_one_folder() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        *(f"{kind}.txt" for kind in KINDS),
        "facts.txt",
        "mail.html",
    }


def test_own_templates_replace_ours(tmp_path: Path) -> None:
    (tmp_path / "gate.txt").write_text("GATE {{ facts.version }}\nfor {{ application }}\n")
    words = Phrasebook(tmp_path).words(
        Message(kind="gate", application="digits", subject="s", facts={"version": "3"}), 0
    )
    assert (words.title, words.text) == ("GATE 3", "for digits")


@pytest.mark.parametrize("broken", ["{% if %}", "{{ facts.a.b.c }}", "{{ 1 / 0 }}", "\xff"])
def test_a_broken_template_costs_its_form_and_never_the_message(tmp_path: Path, broken: str) -> None:
    (tmp_path / "gate.txt").write_bytes(broken.encode("latin-1"))
    (tmp_path / "mail.html").write_text(broken, encoding="latin-1")
    words = Phrasebook(tmp_path).words(Message(kind="gate", subject="said", facts={"a": "b"}), 0)
    assert (words.title, words.text, words.html) == ("gate: said", "a: b", "")


def test_a_title_over_several_lines_is_one(tmp_path: Path) -> None:
    (tmp_path / "gate.txt").write_text("{{ facts.a }}\nrest")
    words = Phrasebook(tmp_path).words(Message(kind="gate", subject="s", facts={"a": "x\rBcc: y"}), 0)
    assert "\r" not in words.title and "\n" not in words.title
