"""The form of a release that the server lets in is the form that a release writes."""

from __future__ import annotations

import pytest

from services.git.rules import _COMPONENT, _EMPTY, NotAllowed, Update, _check_component, parse_updates
from services.git.settings import GitServerSettings
from tests.support.release import digest
from workflows.release.component import EMPTY, render_component
from workflows.release.share import MOST, with_share


def test_every_component_that_a_release_writes_is_let_in() -> None:
    for name in ("rookery/digits", "registry.rookery.svc:5000/lab/rookery/own-birds", "127.0.0.1:5000/a"):
        assert _COMPONENT.fullmatch(render_component(name, digest("x"), "12").decode())
    assert _EMPTY.fullmatch(EMPTY.decode())


def test_a_share_of_live_traffic_is_let_in_up_to_half() -> None:
    component = render_component("rookery/digits", digest("x"), "12")
    for percent in range(1, MOST + 1):
        assert _COMPONENT.fullmatch(with_share(component, percent).decode()), percent
    half = with_share(component, 50).decode()
    for was, becomes in (
        ("50}]", "51}]"),
        ("50}]", "0}]"),
        ("HTTPRoute", "Deployment"),
        ("rules/0", "rules/1"),
    ):
        assert not _COMPONENT.fullmatch(half.replace(was, becomes))


@pytest.mark.parametrize(
    "name", ["elsewhere.example/rookery/digits", "registry.rookery.svc:5000/other/digits", "rookery/digits"]
)
def test_an_image_that_is_not_of_our_registry_is_not_let_in(name: str) -> None:
    settings = GitServerSettings(images="registry.rookery.svc:5000/rookery/")
    _check_component(settings, "x", render_component(f"{settings.images}digits", digest("x"), "1").decode())
    _check_component(settings, "x", EMPTY.decode())
    component = render_component(name, digest("x"), "1").decode()
    _check_component(GitServerSettings(), "x", component)
    with pytest.raises(NotAllowed, match=f"below registry.rookery.svc:5000/rookery/, not {name}"):
        _check_component(settings, "x", component)


def test_updates_are_read_as_git_writes_them() -> None:
    zero = "0" * 40
    created, deleted = parse_updates(
        [f"{zero} {'a' * 40} refs/heads/x\n", f"{'a' * 40} {zero} refs/tags/y\n", "\n"]
    )
    assert created == Update(zero, "a" * 40, "refs/heads/x")
    assert created.creates and not created.deletes and deleted.deletes and not deleted.creates
