"""This machine by the code of the command line; a cluster by the same names."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.board.place import LocalPlace, open_place
from services.board.settings import BoardSettings
from services.common.errors import NotFound
from tests.support.board import World
from workflows.local.settings import PlatformSettings
from workflows.release.application import load_application


def test_this_machine(world: World) -> None:
    with open_place(BoardSettings.read(), world.platform) as place:
        place.check()
        tree = place.tree()
        facts = load_application(tree, "digits")
        assert place.server(facts, "staging") == world.remote.url("staging")
        found = {one.environment: one for one in place.environments()}
        assert found["staging"].version == "1" and found["canary"].phase == "unknown"
        names = [one.name for one in place.parameters("promote-model")]
        assert "source-environment" in names
        assert place.mlflow("http://m") == "http://m"


def test_what_git_said_of_a_commit_is_remembered(world: World) -> None:
    place = LocalPlace(world.platform)
    tip = place.tree().revision
    first = place.explain(world.remote.path, "digits", "staging", revision=tip)
    assert place.explain(world.remote.path, "digits", "staging", revision=tip) is first


def test_no_platform_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no platform here"):
        LocalPlace(PlatformSettings(home=tmp_path)).check()


def test_a_context_that_is_not_there_is_said(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text("apiVersion: v1\nkind: Config\ncontexts: []\n")
    settings = BoardSettings.read(cluster=True, kubeconfig=kubeconfig, state_dir=tmp_path)
    with (
        pytest.raises(NotFound, match="context"),
        open_place(settings, PlatformSettings(home=tmp_path)),
    ):
        pass
