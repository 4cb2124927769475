"""The form of a release that the server lets in is the form that a release writes."""

from __future__ import annotations

from services.git.rules import _COMPONENT, _EMPTY, Update, parse_updates
from tests.support.release import digest
from workflows.release.component import EMPTY, render_component


def test_every_component_that_a_release_writes_is_let_in() -> None:
    for name in ("rookery/digits", "registry.rookery.svc:5000/lab/rookery/own-birds", "127.0.0.1:5000/a"):
        assert _COMPONENT.fullmatch(render_component(name, digest("x"), "12").decode())
    assert _EMPTY.fullmatch(EMPTY.decode())


def test_updates_are_read_as_git_writes_them() -> None:
    zero = "0" * 40
    created, deleted = parse_updates(
        [f"{zero} {'a' * 40} refs/heads/x\n", f"{'a' * 40} {zero} refs/tags/y\n", "\n"]
    )
    assert created == Update(zero, "a" * 40, "refs/heads/x")
    assert created.creates and not created.deletes and deleted.deletes and not deleted.creates
