"""Names of classes and answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.labels.task import CANNOT_TELL, SOMETHING_ELSE, Answer, Record, clean


@given(st.text(max_size=130))
def test_a_clean_name_is_clean(text: str) -> None:
    try:
        name = clean(text)
    except InvalidInput:
        return
    assert clean(name) == name
    assert name.isprintable() and 0 < len(name) <= 120
    assert not set(name) & set("/\\") and name[0] != "."
    assert name not in (SOMETHING_ELSE, CANNOT_TELL)


@given(st.lists(st.sampled_from("abc"), max_size=4), st.booleans(), st.sampled_from(["", "d"]))
def test_an_answer_survives_its_file(labels: list[str], sure: bool, other: str) -> None:
    answer = Answer(tuple(sorted(set(labels))), sure, other)
    assert Answer.from_dict(answer.as_dict()) == answer


@pytest.mark.parametrize("labels", ["x", [1], None])
def test_what_is_no_answer_is_refused(labels: object) -> None:
    with pytest.raises((KeyError, TypeError)):
        Answer.from_dict({"labels": labels, "sure": True, "other": ""})


def test_nothing_chosen_is_no_answer() -> None:
    with pytest.raises(InvalidInput, match="nothing was chosen"):
        Answer().checked([])


def test_a_group_is_an_hour_of_a_source_or_the_input_alone() -> None:
    record = Record(7_200_000, "d" * 64, "1", ("a",), (1.0,), 0.0, "marsh")
    assert record.group == "marsh/2"
    assert Record(7_200_000, "d" * 64, "1", ("a",), (1.0,), 0.0).group == "d" * 64
