"""A process that is a pod of the cluster itself: the account's token, and Services by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.common.errors import Unavailable
from tests.support.asgi import serving
from workflows.cluster.api import Kubernetes
from workflows.cluster.kubeconfig import account_access
from workflows.cluster.site import Site


@pytest.fixture(autouse=True)
def no_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.cluster.kubeconfig.ssl.create_default_context", lambda cafile: None)


def test_the_token_is_read_again_for_each_request_and_never_shown(tmp_path: Path) -> None:
    said: list[str] = []

    async def answer(request: Request) -> JSONResponse:
        said.append(request.headers["authorization"])
        return JSONResponse({"items": []})

    (tmp_path / "token").write_text("first\n")
    with serving(Starlette(routes=[Route("/pods", answer)])) as client:
        access = account_access(f"{client.base_url}", tmp_path)
        kube = Kubernetes(access, patience_seconds=0)
        kube.get("/pods")
        (tmp_path / "token").write_text("second\n")
        kube.get("/pods")
        (tmp_path / "token").unlink()
        with pytest.raises(Unavailable, match="there is no token"):
            kube.get("/pods")
        kube.close()
    assert said == ["Bearer first", "Bearer second"]
    assert "second" not in repr(access)
    assert access.inside


def test_a_pod_without_an_account_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no token for the Kubernetes API"):
        account_access("https://kubernetes.default.svc", tmp_path)


def test_nothing_is_forwarded_from_inside(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    kube: Any = Kubernetes(account_access("https://kubernetes.default.svc/", tmp_path))
    site = Site(kube, tmp_path)
    for url in ("http://mlflow.rookery.svc:8000", "registry.rookery.svc:5000", "https://elsewhere/x"):
        assert site.reach(url) == url
    assert kube.access.server == "https://kubernetes.default.svc"
    site.close()
