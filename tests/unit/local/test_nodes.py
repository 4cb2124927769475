"""Names and identities of nodes are Argo's."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.local.nodes import STOPPED, Node, item_name, node_id, plain, was_stopped


def test_identities_are_those_that_argo_computes() -> None:
    assert node_id("w", "w") == "w"
    assert node_id("steps-abc", "steps-abc[0].a") == f"steps-abc-{_fnv32a(b'steps-abc[0].a')}"
    assert node_id("x", "") == "x-2166136261"
    assert node_id("x", "a") == f"x-{0xE40C292C}"
    assert node_id("x", "foobar") == f"x-{0xBF9CF968}"


def _fnv32a(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 % 2**32
    return value


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("a", "(2:a)"),
        (1, "(2:1)"),
        (True, "(2:true)"),
        (1.0, "(2:1)"),
        ({"b": 1, "a": "x"}, "(2:a:x,b:1)"),
        ("f(x)", "(2:fx)"),
        (0.25, "(2:0.25)"),
    ],
)
def test_names_of_loop_turns(item: Any, name: str) -> None:
    assert item_name(2, item) == name


def test_values_as_texts() -> None:
    assert [plain(v) for v in ("x", None, False, 2.0, [1, "a"])] == ["x", "null", "false", "2", '[1,"a"]']


def test_what_somebody_stopped_is_told_by_argo_s_words() -> None:
    assert was_stopped(STOPPED) and was_stopped("workflow shutdown with strategy:  Terminate")
    for message in ("", "child 'a' failed", "Step exceeded its deadline", "main: Error (exit code 143)"):
        assert not was_stopped(message)


def test_a_node_goes_to_the_journal_and_back() -> None:
    node = Node("i", "n", "d", "Pod", "Failed", parameters={"a": "b"})
    assert Node(**node.as_dict()) == node
    assert node.failed
    assert node.fulfilled
