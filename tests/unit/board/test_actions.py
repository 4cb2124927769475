"""Actions: by the code of the command line, with who, and never without a line in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from services.board.actions import Actions, Asked
from services.board.asking import Asker
from services.board.audit import Audit
from services.board.cache import Cache
from services.board.place import LocalPlace
from services.board.sessions import Session
from services.board.settings import BoardSettings
from services.board.sources import Sources
from services.common.errors import InvalidInput, RookeryError, Unavailable
from tests.support.board import World

ASKED = Asked(Session("k", "Ada", "c", 9e9), "127.0.0.1")


class Work:
    """Writes down what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails: Exception | None = None

    def takes_requester(self, name: str) -> bool:
        return name != "deliver-release"

    def submit_template(self, name: str, parameters: Mapping[str, str]) -> str:
        return self._call("submit", name, dict(parameters)) or f"{name}-x1"

    def approve(self, name: str, node: str | None, *, by: str) -> None:
        self._call("approve", name, node, by)

    def cancel(self, name: str) -> None:
        self._call("cancel", name)

    def resume(self, name: str) -> None:
        self._call("resume", name)

    def _call(self, *what: Any) -> str:
        self.calls.append(what)
        if self.fails:
            raise self.fails
        return ""


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def actions(world: World, work: Work) -> Iterator[Actions]:
    place = LocalPlace(world.platform)
    place.work = work  # type: ignore[assignment]
    cache, asker = Cache(60), Asker(20)
    yield Actions(
        Sources(BoardSettings.read(), place, cache, asker), Audit(world.home / "board" / "actions.jsonl")
    )
    cache.close()
    asker.close()


def lines(world: World) -> list[dict[str, Any]]:
    path = world.home / "board" / "actions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_submission_carries_the_name_and_is_written_down(
    actions: Actions, work: Work, world: World
) -> None:
    name = actions.submit(ASKED, "train-model", {"application": "digits", "epochs": " 3 ", "seed": ""})
    assert name == "train-model-x1"
    assert work.calls == [
        ("submit", "train-model", {"application": "digits", "epochs": "3", "requested-by": "Ada"})
    ]
    (line,) = lines(world)
    assert (line["who"], line["action"], line["outcome"], line["result"]) == (
        "Ada",
        "submit train-model",
        "done",
        name,
    )


@pytest.mark.parametrize("name", ["requested-by", "mlflow-ip", "train-ip", "unknown", "json"])
def test_nobody_says_who_asked_or_where_services_are(
    actions: Actions, work: Work, world: World, name: str
) -> None:
    with pytest.raises(InvalidInput, match="not set from the board"):
        actions.submit(ASKED, "train-model", {name: "Eve"})
    assert work.calls == [] and lines(world)[0]["outcome"] == "refused"


def test_another_template_is_refused(actions: Actions, work: Work) -> None:
    with pytest.raises(InvalidInput):
        actions.submit(ASKED, "../../evil", {})
    with pytest.raises(InvalidInput, match="too long"):
        actions.submit(ASKED, "train-model", {"application": "x" * 3000})
    assert work.calls == []


def test_a_refusal_and_a_fault_are_written_down(actions: Actions, work: Work, world: World) -> None:
    work.fails = Unavailable("the platform does not run")
    with pytest.raises(RookeryError):
        actions.cancel(ASKED, "w")
    work.fails = RuntimeError("bug")
    with pytest.raises(RuntimeError):
        actions.resume(ASKED, "w")
    assert [(one["action"], one["outcome"]) for one in lines(world)] == [
        ("cancel", "refused"),
        ("resume", "failed"),
    ]


def test_an_approval_has_its_name_and_step(actions: Actions, work: Work, world: World) -> None:
    actions.approve(ASKED, "w", "approve")
    actions.approve(ASKED, "w", "")
    assert work.calls == [("approve", "w", "approve", "Ada"), ("approve", "w", None, "Ada")]
    assert lines(world)[0]["parameters"] == {"step": "approve", "workflow": "w"}


def test_what_cannot_be_written_down_is_not_done(actions: Actions, work: Work, world: World) -> None:
    (world.home / "board" / "actions.jsonl").mkdir(parents=True)
    with pytest.raises(Unavailable, match="nothing is done"):
        actions.cancel(ASKED, "w")
    assert work.calls == []


def test_the_form_shows_what_may_be_set(actions: Actions) -> None:
    names = [one.name for one in actions.fields("train-model")]
    assert "epochs" in names and not {"requested-by", "mlflow-ip", "train-ip", "eval-ip"} & set(names)
