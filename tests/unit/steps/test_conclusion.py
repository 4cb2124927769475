"""The exit handler's reading of what Argo hands it."""

import json

import pytest

from workflows.steps import conclusion
from workflows.steps.conclusion import cancelled, conclude, failed_nodes, given

NODES = [{"displayName": "train", "message": "Error (exit code 3)", "phase": "Failed"}]


def test_failures_are_read_as_a_list_and_as_a_list_in_a_string() -> None:
    assert failed_nodes(json.dumps(NODES)) == ["train: Error (exit code 3)"]
    assert failed_nodes(json.dumps(json.dumps(NODES))) == ["train: Error (exit code 3)"]


def test_of_a_step_that_said_why_it_failed_its_own_words_are_told() -> None:
    nodes = [{"displayName": "gate", "message": "main: Error (exit code 3): refused: worse (by 2): 0.7"}]
    assert failed_nodes(json.dumps(nodes)) == ["gate: refused: worse (by 2): 0.7"]


def test_a_workflow_without_failures_has_none() -> None:
    for text in ("", "null", "[]", '""', "{{workflow.failures}}"):
        assert failed_nodes(text) == []


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (["Stopped with strategy 'Stop'", "child 'x' failed"], True),
        (["workflow shutdown with strategy:  Stop"], True),
        (["main: Error (exit code 143)"], False),
        (["it said: Stopped with strategy 'Stop'"], False),
        ([], False),
    ],
)
def test_who_was_cancelled_is_told_from_who_failed(messages: list[str], found: bool) -> None:
    nodes = [{"displayName": "train(0:a)", "message": message} for message in messages]
    assert cancelled(failed_nodes(json.dumps(nodes))) is found


def test_parameters_become_a_mapping() -> None:
    assert given('[{"name":"a","value":"1"},{"name":"b"}]') == {"a": "1", "b": ""}
    assert given("") == {}


def test_people_are_told_although_mlflow_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(conclusion.news, "failed", lambda template, *_: told.append(template))
    monkeypatch.setenv("ROOKERY_MLFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ROOKERY_MLFLOW_PATIENCE_SECONDS", "0.1")
    with pytest.raises(SystemExit) as end:
        conclude("train-model", "train-model-x", "u", "Failed", "[]", "[]")
    assert end.value.code == 1
    assert told == ["train-model"]
