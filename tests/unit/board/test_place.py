"""This machine by the code of the command line; a cluster by the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.board.place import ClusterPlace, LocalPlace, check_place, open_place
from services.board.settings import BoardSettings
from services.common.errors import NotFound
from tests.support.asgi import serving
from tests.support.board import World
from workflows.cluster.kubeconfig import account_access
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


def cluster(made: list[dict[str, Any]]) -> FastAPI:
    """An API server with one template and one workflow."""
    app = FastAPI()
    place = "/apis/argoproj.io/v1alpha1/namespaces/rookery-workflows"
    parameters = [{"name": "application", "value": "digits"}, {"name": "requested-by", "value": ""}]
    template = {"metadata": {"name": "train-model"}, "spec": {"arguments": {"parameters": parameters}}}
    flow = {
        "metadata": {"name": "train-model-x1", "creationTimestamp": "2026-11-21T10:00:00Z"},
        "spec": {"workflowTemplateRef": {"name": "train-model"}, "arguments": {"parameters": parameters}},
        "status": {"phase": "Running", "startedAt": "2026-11-21T10:00:01Z"},
    }

    @app.get(f"{place}/workflowtemplates/train-model")
    def one_template() -> dict[str, Any]:
        return template

    @app.get(f"{place}/workflows")
    def workflows() -> dict[str, Any]:
        return {"items": [flow]}

    @app.post(f"{place}/workflows")
    async def submit(request: Request) -> dict[str, Any]:
        made.append(await request.json())
        return {"metadata": {"name": "train-model-x2"}}

    @app.get("/{path:path}")
    def none(path: str) -> JSONResponse:
        return JSONResponse({"message": f"{path} not found"}, 404)

    return app


def test_a_cluster_by_the_code_behind_the_command_line(tmp_path: Path) -> None:
    made: list[dict[str, Any]] = []
    with serving(cluster(made)) as client:
        named = {"name": "far", "context": {"cluster": "far", "user": "me"}}
        kubeconfig = tmp_path / "config"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "far",
                    "contexts": [named],
                    "clusters": [{"name": "far", "cluster": {"server": str(client.base_url).rstrip("/")}}],
                    "users": [{"name": "me", "user": {}}],
                }
            )
        )
        settings = BoardSettings.read(cluster=True, kubeconfig=kubeconfig, state_dir=tmp_path)
        with open_place(settings, PlatformSettings(home=tmp_path)) as place:
            assert isinstance(place, ClusterPlace) and place.title == "the cluster far"
            (run,) = place.runs(5)
            assert (run.name, run.phase, run.engine) == ("train-model-x1", "Running", 0)
            assert [one.name for one in place.parameters("train-model")] == ["application", "requested-by"]
            assert place.work.takes_requester("train-model")
            name = place.work.submit_template("train-model", {"requested-by": "Ada"})
            assert name == "train-model-x2"
            sent = {one["name"]: one["value"] for one in made[0]["spec"]["arguments"]["parameters"]}
            assert sent["requested-by"] == "Ada"
            with pytest.raises(NotFound, match="not installed"):
                place.check()


def test_the_cluster_that_the_board_is_a_pod_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("a-token")
    monkeypatch.setattr("workflows.cluster.kubeconfig.ssl.create_default_context", lambda cafile: None)
    monkeypatch.setattr("services.board.place.account_access", lambda url: account_access(url, tmp_path))
    with serving(cluster([])) as client:
        settings = BoardSettings.read(cluster=True, kubernetes_url=str(client.base_url), state_dir=tmp_path)
        check_place(settings)
        with open_place(settings, PlatformSettings(home=tmp_path)) as place:
            assert place.title == "this cluster"
            assert [run.name for run in place.runs(5)] == ["train-model-x1"]
