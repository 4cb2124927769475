"""No service that has no token answers a page of another site that has its own name mean this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.arbiter.app import create_app as create_arbiter
from services.arbiter.settings import ArbiterSettings
from services.board.app import create_app as create_board
from services.board.settings import BoardSettings
from services.data.store import ObjectStoreSettings
from services.evaluate.app import create_app as create_evaluate
from services.evaluate.settings import EvaluateSettings
from services.labels.app import create_app as create_labels
from services.labels.settings import LabelsSettings
from services.monitor.app import create_app as create_monitor
from services.monitor.settings import MonitorSettings
from services.notify.app import create_app as create_notify
from services.notify.settings import NotifySettings
from services.observe.app import create_app as create_observe
from services.observe.settings import ObserveSettings
from services.train.app import create_app as create_train
from services.train.settings import TrainSettings
from tests.support.asgi import serving
from tests.support.bundles import digit_png, tiny_image_bundle
from tests.support.serving import serve

TOKEN = "a-token-for-tests"
AWAY = "http://127.0.0.1:1"


def arbiter(folder: Path, **more: Any) -> Any:
    return create_arbiter(
        ArbiterSettings(
            database=f"sqlite:///{folder / 'arbiter.db'}",
            home=folder,
            git_remote=str(folder / "git"),
            cache=folder / "cache",
            train_url=AWAY,
            mlflow_url=AWAY,
            **more,
        )
    )


def labels(folder: Path, **more: Any) -> Any:
    desk = {"state_dir": folder, "desk": folder / "desk", "monitor_store": str(folder / "monitor")}
    return create_labels(
        LabelsSettings(**desk, applications_dir=folder / "apps", **more), ObjectStoreSettings()
    )


def observe(folder: Path, **more: Any) -> Any:
    settings = ObserveSettings(state_dir=folder, git_remote=str(folder / "git"), mlflow_url=AWAY, **more)
    return create_observe(settings)


def train(folder: Path, **more: Any) -> Any:
    return create_train(
        TrainSettings(state_dir=folder, cache_dir=folder, code_revision="x", mlflow_url=AWAY, **more)
    )


def evaluate(folder: Path, **more: Any) -> Any:
    return create_evaluate(EvaluateSettings(state_dir=folder, cache_dir=folder, mlflow_url=AWAY, **more), {})


def monitor(folder: Path, **more: Any) -> Any:
    return create_monitor(MonitorSettings(store=str(folder), **more), ObjectStoreSettings())


def notify(folder: Path, **more: Any) -> Any:
    return create_notify(NotifySettings(state_dir=folder, **more))


def board(folder: Path, **more: Any) -> Any:
    return create_board(BoardSettings(state_dir=folder, **more))


SERVICES = {
    "arbiter": (arbiter, "/decisions"),
    "board": (board, "/login"),
    "evaluate": (evaluate, "/policy?application=digits"),
    "labels": (labels, "/applications"),
    "monitor": (monitor, "/environments"),
    "notify": (notify, "/messages"),
    "observe": (observe, "/targets"),
    "train": (train, "/models"),
}
CLOSED = sorted({*SERVICES} - {"evaluate", "observe", "train"})


@contextmanager
def running(name: str, folder: Path, **more: Any) -> Iterator[httpx.Client]:
    with serving(SERVICES[name][0](folder, **more)) as client:
        yield client


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_name_of_somebody_else_is_refused_and_ours_are_answered(name: str, tmp_path: Path) -> None:
    path = SERVICES[name][1]
    with running(name, tmp_path) as client:
        port = client.base_url.port
        for host in ("evil.example", f"evil.example:{port}", f"localhost.evil.example:{port}", "0.0.0.0", ""):
            for asked in (path, "/healthz", "/metrics", "/nothing"):
                answer = client.get(asked, headers={"Host": host})
                assert (answer.status_code, answer.json()["error"]) == (421, "misdirected"), (host, asked)
        answer = client.post(path, headers={"Host": f"evil.example:{port}"}, json={})
        assert answer.status_code == 421
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", "[::1]:9", "127.0.0.1"):
            assert client.get("/healthz", headers={"Host": host}).status_code == 200
        # Whatever it says of the question, it was asked.
        assert client.get(path).status_code != 421


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_name_that_was_given_is_answered(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path, hosts=["rookery.example"]) as client:
        assert client.get("/healthz", headers={"Host": "rookery.example:80"}).status_code == 200
        assert client.get("/healthz", headers={"Host": "other.example"}).status_code == 421


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_where_others_reach_it_by_names_of_theirs_the_name_does_not_count(name: str, tmp_path: Path) -> None:
    more = {"host": "0.0.0.0"} | ({"token": TOKEN} if name in CLOSED else {})
    with running(name, tmp_path, **more) as client:
        host = {"Host": f"{name}.rookery.svc:9000"}
        assert client.get("/healthz", headers=host).status_code == 200


@pytest.mark.parametrize("name", CLOSED)
def test_with_a_token_a_name_says_nothing_and_the_token_all(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path, token=TOKEN) as client:
        host = {"Host": "proxy.example"}
        assert client.get("/healthz", headers=host).status_code == 200
        if name != "board":
            path = SERVICES[name][1]
            assert client.get(path, headers=host).status_code == 401
            assert client.get(path, headers={**host, "Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_those_who_label_come_by_the_public_address(tmp_path: Path) -> None:
    with running("labels", tmp_path, public_url="https://labels.example/x") as client:
        assert client.get("/applications", headers={"Host": "labels.example"}).status_code == 200
        assert client.get("/applications", headers={"Host": "evil.example"}).status_code == 421


def test_a_served_model_answers_neither_way(tmp_path: Path) -> None:
    server = serve(tiny_image_bundle(tmp_path), tmp_path, hosts='["model.example"]').start()
    picture = digit_png(3)
    try:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
            for host in ("evil.example", f"evil.example:{server.port}", ""):
                for path in ("/", "/version", "/predict", "/metrics"):
                    asked = client.post if path == "/predict" else client.get
                    more: dict[str, Any] = {"content": picture} if path == "/predict" else {}
                    answer = asked(path, headers={"Host": host}, **more)
                    assert (answer.status_code, answer.json()["error"]) == (421, "misdirected")
            for host in (f"localhost:{server.port}", "model.example", "127.0.0.1:80"):
                assert client.post("/predict", content=picture, headers={"Host": host}).status_code == 200
            assert 'code="misdirected"' in client.get("/metrics").text
        for named in (
            b"",
            b"Host: localhost\r\nHost: evil.example\r\n",
            b"Host: evil.example\r\nHost: localhost\r\n",
        ):
            head = b"POST /predict HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (named, len(picture))
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
                raw.sendall(head + picture)
                assert b" 421 " in raw.recv(1000)
    finally:
        server.stop()
