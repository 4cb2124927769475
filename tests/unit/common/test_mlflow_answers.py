from __future__ import annotations

import httpx
import pytest

from services.common.errors import Unavailable
from services.common.mlflow_answers import is_collision, is_missing, message_of, object_of


@pytest.mark.parametrize(
    ("status", "text", "missing"),
    [
        (404, "", True),
        (400, "Registered model alias x Not Found", True),
        (400, "bad name", False),
        (500, "not found", False),
    ],
)
def test_what_is_not_there(status: int, text: str, missing: bool) -> None:
    assert is_missing(httpx.Response(status, text=text)) is missing


@pytest.mark.parametrize(
    ("status", "code", "message", "found"),
    [
        (400, "BAD_REQUEST", "(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key", True),
        (400, "BAD_REQUEST", "(psycopg.errors.UniqueViolation) duplicate key", True),
        (
            400,
            "RESOURCE_ALREADY_EXISTS",
            "Experiment(name=digits) already exists. UNIQUE constraint failed",
            False,
        ),
        (400, "BAD_REQUEST", "bad name", False),
        (403, "BAD_REQUEST", "UNIQUE constraint failed", False),
    ],
)
def test_who_met_another_one_asks_again_and_whose_name_is_taken_does_not(
    status: int, code: str, message: str, found: bool
) -> None:
    assert is_collision(httpx.Response(status, json={"error_code": code, "message": message})) is found


def test_an_object_is_given_and_anything_else_is_no_answer() -> None:
    assert object_of(httpx.Response(200, json={"run": 7})) == {"run": 7}
    with pytest.raises(Unavailable, match="no JSON object"):
        object_of(httpx.Response(200, text="<html>sign in</html>"))


@pytest.mark.parametrize(
    ("body", "said"),
    [('{"message": "full"}', "full"), ("[1]", "[1]"), ("<html>", "<html>"), ("x" * 900, "x" * 500)],
)
def test_a_message_is_bounded(body: str, said: str) -> None:
    assert message_of(httpx.Response(500, text=body)) == said
