"""What Label Studio is shown, and how its results are read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.labels.form import configuration, read_result, task_fields
from services.labels.task import CANNOT_TELL, SOMETHING_ELSE, Answer, Project, Record, Task

RECORD = Record(1_780_315_200_000, "a" * 64, "7", ("owl", "wren"), (0.75, 0.25), 0.1, "marsh-03")


def project(*classes: str, kind: str = "image", target: str = "single-label") -> Project:
    return Project("birds", kind, target, classes)  # type: ignore[arg-type]


def choice(*names: str, other: str = "") -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"from_name": "label", "value": {"choices": list(names)}}]
    return [*parts, {"from_name": "other", "value": {"text": [other]}}] if other else parts


printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)


@given(st.lists(printable, min_size=1, max_size=40, unique=True))
def test_any_name_of_a_class_is_a_choice_and_nothing_more(names: list[str]) -> None:
    root = ET.fromstring(configuration(project(*names)))
    values = [element.attrib["value"] for element in root.iter("Choice")]
    assert values == [*names, SOMETHING_ELSE, CANNOT_TELL]
    assert {element.tag for element in root.iter()} == {
        "View",
        "Header",
        "Image",
        "Choices",
        "Choice",
        "TextArea",
    }


def test_a_sound_has_a_player_and_a_spectrogram() -> None:
    root = ET.fromstring(configuration(project("owl", kind="audio", target="multi-label")))
    assert root.find("Audio") is not None
    picture = root.find("Image")
    assert picture is not None and picture.attrib["value"] == "$spectrogram"
    choices = root.find("Choices")
    assert choices is not None and choices.attrib["choice"] == "multiple"


def test_a_task_shows_the_models_answer_unless_it_is_blind() -> None:
    task = Task("birds", RECORD, "unsure", "wav")
    fields = task_fields(task, {"input": "http://a", "spectrogram": "http://b"}, blind=False)
    (answer,) = fields["predictions"]
    assert (answer["model_version"], answer["score"]) == ("version 7", 0.75)
    assert answer["result"][0]["value"] == {"choices": ["owl"]}
    assert fields["data"]["source"] == "marsh-03"
    assert "predictions" not in task_fields(task, {"input": "http://a"}, blind=True)


@pytest.mark.parametrize(
    ("result", "cancelled", "answer"),
    [
        (choice("owl"), False, Answer(("owl",))),
        (choice("wren", "owl", "owl"), False, Answer(("owl", "wren"))),
        (choice(SOMETHING_ELSE), False, Answer()),
        (choice(SOMETHING_ELSE, other=" a   grebe "), False, Answer((), True, "a grebe")),
        (choice(CANNOT_TELL), False, Answer(sure=False)),
        (choice("owl", CANNOT_TELL), False, Answer(sure=False)),
        (choice("owl"), True, Answer(sure=False)),
        (choice("a  b/c"), False, Answer(("a  b/c",))),
    ],
)
def test_results(result: list[dict[str, Any]], cancelled: bool, answer: Answer) -> None:
    assert read_result(result, ["owl", "wren", "a  b/c"], cancelled=cancelled) == answer


@pytest.mark.parametrize(
    "result",
    [
        None, 7, "x", [], [{}], [7], [{"from_name": "label"}], [{"from_name": "label", "value": None}],
        [{"from_name": "label", "value": {"choices": 5}}], choice("../x"), choice(SOMETHING_ELSE, other="<a/b>"),
        [{"from_name": "other", "value": {"text": None}}],
    ],
)  # fmt: skip
def test_what_is_no_answer_is_said_so(result: Any) -> None:
    with pytest.raises(InvalidInput):
        read_result(result, ["owl"], cancelled=False)


keys = st.sampled_from(["from_name", "value", "choices", "text", "x"])
words = st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["label", "other"])


@given(st.recursive(words, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12))
def test_anything_is_an_answer_or_an_error_of_ours(result: Any) -> None:
    with suppress(InvalidInput):
        assert isinstance(read_result(result, ["owl"], cancelled=False), Answer)
