"""A share holds once the gateway says that it has read the route that says so."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import NotFound, Unavailable
from workflows.cluster.traffic import await_share, missing_of, route_path


def route(*weights: int, seen: int = 3, **conditions: str) -> dict[str, Any]:
    found = [
        {"type": name, "status": status, "observedGeneration": seen} for name, status in conditions.items()
    ]
    return {
        "metadata": {"generation": 3},
        "spec": {"rules": [{"backendRefs": [{"weight": weight} for weight in weights]}]},
        "status": {"parents": [{"conditions": found}]},
    }


GOOD = {"Accepted": "True", "ResolvedRefs": "True"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "there is no HTTPRoute"),
        (route(100, 0, **GOOD), "says 100 to 0"),
        ({**route(90, 10), "status": {}}, "no gateway has taken"),
        (route(90, 10, seen=2, **GOOD), "has not read it yet"),
        (route(90, 10, Accepted="True", ResolvedRefs="False"), "ResolvedRefs is False:"),
        (route(90, 10, **GOOD), ""),
    ],
)
def test_what_a_route_lacks(found: dict[str, Any] | None, said: str) -> None:
    missing = missing_of(found, 10)
    assert said in missing and bool(missing) is bool(said)


def test_taking_a_share_back_lacks_nothing_where_no_gateway_is() -> None:
    assert missing_of(None, 0) == ""
    assert "says 90 to 10" in missing_of(route(90, 10, **GOOD), 0)


class Api:
    """Gives one answer after the other, and the last one again and again."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise NotFound("no")
        return answer


def test_it_is_waited_for_until_the_gateway_has_it() -> None:
    api: Any = Api(None, route(100, 0, **GOOD), route(90, 10, **GOOD))
    await_share(api, "digits", "production", 10, 5, pause=0)
    assert api.asked == [route_path("digits", "production")] * 3
    assert api.asked[0].endswith("/namespaces/digits-production/httproutes/gateway")


def test_the_wait_has_an_end_that_says_what_is_missing() -> None:
    api: Any = Api(None)
    with pytest.raises(Unavailable, match=r"no share of 10 % yet: there is no HTTPRoute"):
        await_share(api, "digits", "production", 10, 0, pause=0)
