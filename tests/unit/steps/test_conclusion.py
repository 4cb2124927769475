"""The exit handler's reading of what Argo hands it."""

import json

from workflows.steps.conclusion import failed_nodes, given

NODES = [{"displayName": "train", "message": "Error (exit code 3)", "phase": "Failed"}]


def test_failures_are_read_as_a_list_and_as_a_list_in_a_string() -> None:
    assert failed_nodes(json.dumps(NODES)) == ["train: Error (exit code 3)"]
    assert failed_nodes(json.dumps(json.dumps(NODES))) == ["train: Error (exit code 3)"]


def test_a_workflow_without_failures_has_none() -> None:
    for text in ("", "null", "[]", '""', "{{workflow.failures}}"):
        assert failed_nodes(text) == []


def test_parameters_become_a_mapping() -> None:
    assert given('[{"name":"a","value":"1"},{"name":"b"}]') == {"a": "1", "b": ""}
    assert given("") == {}
