"""Conditions and expressions: values, refusals, and values that stay values."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from workflows.local.expressions import ExpressionError, evaluate_when, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a == a", True),
        ("a != a", False),
        ("1 < 2", True),
        ("10 > 9", True),
        ("'10' > '9'", False),
        ("2 >= 2 && 1 <= 0", False),
        ("!(a == b)", True),
        ("true || false", True),
        ("true && !false", True),
        ("\"a b\" == 'a b'", True),
        ("1 == 1.0", True),
        ("a in ('a', 'b')", True),
        ("c in (a, b)", False),
        ("'1' == 1", False),
        ("abc =~ '^a'", True),
        ("abc !~ '^a'", False),
        ("true == 1", False),
        ("-1 < 0", True),
        ("false || (1 == 2 || 3 == 3)", True),
    ],
)
def test_conditions(text: str, value: bool) -> None:
    assert evaluate_when(text, lambda tag: tag) is value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1",
        "a == ",
        "== a",
        "a b",
        "(a == b",
        "a == b)",
        "1 < a",
        "a + b == c",
        "a ? b : c",
        "a; b",
        "a = b",
        "true && 1",
        "$(x)",
        "a matches b",
        "1 == 2 || 2",
        "'a",
        "[1] == 1",
        "f(x) == 1",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate_when(text, lambda tag: tag)


@given(st.text(max_size=40))
def test_a_quoted_value_is_only_ever_itself(value: str) -> None:
    assert evaluate_when("'{{x}}' == 'never equal to this'", lambda _: value) is (
        value == "never equal to this"
    )
    if "\\" not in value and "{{" not in value and "'" not in value and "\ue000" not in value:
        assert evaluate_when("'{{x}}' == '" + value + "'", lambda _: value)


@given(st.text(max_size=40))
def test_an_unquoted_value_is_a_plain_word_or_an_error(value: str) -> None:
    try:
        result = evaluate_when("{{x}} == never", lambda _: value)
    except ExpressionError:
        return
    assert result is (value == "never")


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for dialect in ("when", "depends", "expression"):
        with contextlib.suppress(InvalidInput):
            parse(text, dialect).evaluate(lambda path: "1")  # type: ignore[arg-type]


def test_words_are_put_together_before_they_are_read() -> None:
    assert evaluate_when("run{{x}} == run1", lambda _: "1")
    with pytest.raises(ExpressionError, match="quotes"):
        evaluate_when("run-{{x}} == run-1", lambda _: "1")


SCOPE = {
    "lastRetry.exitCode": "3",
    "lastRetry.status": "Failed",
    "steps.a-b.outputs.parameters.x": "7",
    "retries": "1",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("asInt(lastRetry.exitCode) == 3", True),
        ("lastRetry.exitCode == '3'", True),
        ("lastRetry.status in ['Failed', 'Error']", True),
        ("lastRetry.status not in ['Error']", True),
        ("steps['a-b'].outputs.parameters.x", "7"),
        ("steps['a-b'].outputs.parameters['x']", "7"),
        ("absent.path ?? 'else'", "else"),
        ("absent == nil", True),
        ("asFloat('1.5') + 1", 2.5),
        ("'a' + 'b'", "ab"),
        ("retries == '1' ? 'yes' : 'no'", "yes"),
        ("not (retries == '1') or true", True),
        ("lastRetry.status matches '^F'", True),
        ("lastRetry.status startsWith 'Fa' and lastRetry.status endsWith 'ed'", True),
        ("lastRetry.status contains 'ile'", True),
        ("string(1)", "1"),
        ("len('abc')", 3),
        ("asInt(retries) < 2 && asInt(lastRetry.exitCode) > 1", True),
    ],
)
def test_expressions(text: str, value: object) -> None:
    assert parse(text, "expression").evaluate(SCOPE.get) == value


def test_names_are_known_before_anything_runs() -> None:
    assert parse("steps['a-b'].status == x.y ? f : asInt(g)", "expression").paths == {
        "steps.a-b.status",
        "x.y",
        "f",
        "g",
    }
    assert parse("a-b.Succeeded && (c || !d.Failed)", "depends").paths == {"a-b.Succeeded", "c", "d.Failed"}


@pytest.mark.parametrize(
    "text",
    [
        "sprig.trim('a')",
        "jsonpath(x, 'y')",
        "a | b",
        "x[0]",
        "{'a': 1}",
        "a..b",
        "asInt(",
        "map([1], {# + 1})",
    ],
)
def test_functions_that_are_not_there_are_refused_by_name(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text, "expression")


def test_depth_and_length_are_bounded() -> None:
    with pytest.raises(ExpressionError, match="nested too deeply"):
        parse("(" * 200 + "a" + ")" * 200, "when")
    with pytest.raises(ExpressionError, match="nested too deeply"):
        parse("!" * 2000 + "true", "when")
    with pytest.raises(ExpressionError, match="too long"):
        parse("a" * 5000, "when")


def test_an_error_shows_the_expression() -> None:
    with pytest.raises(ExpressionError, match="asInt"):
        parse("asInt('x') == 1", "expression").test(SCOPE.get)
