from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.common.errors import Unavailable
from services.observe import reader
from services.observe.reader import Reader
from services.observe.runs import Runs
from services.observe.settings import ObserveSettings
from services.observe.telemetry import exposition
from tests.support.release import digest, evidence, gitops, make_remote
from workflows.release.release import release
from workflows.release.running import RunningModel


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    made = make_remote(tmp_path)
    release(gitops(made, tmp_path / "cache"), evidence(1))
    return made


def reading(tmp_path: Path, remote: Path, **settings: str) -> Reader:
    values = {"git_remote": str(remote), "mlflow_url": "http://127.0.0.1:9"} | settings
    return Reader(ObserveSettings(state_dir=tmp_path / "state", **values))  # type: ignore[arg-type]


def test_services_that_are_added_are_found_and_a_broken_list_empties_nothing(
    tmp_path: Path, remote: Path
) -> None:
    path = tmp_path / "targets.json"
    path.write_text('{"train": "127.0.0.1:1"}')
    found = reading(tmp_path, remote, targets_file=str(path))
    assert [one["labels"]["service"] for one in found.targets()] == ["train"]
    path.write_text('{"train": "127.0.0.1:1", "labels": "127.0.0.1:2"}')
    assert [one["targets"] for one in found.targets()] == [["127.0.0.1:2"], ["127.0.0.1:1"]]
    for wrong in ("{", "[]"):
        path.write_text(wrong)
        with pytest.raises(Unavailable, match="list of services"):
            found.targets()


def test_one_source_away_is_no_fault_of_the_other(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reader, "fetch_running", lambda *_, **__: RunningModel("sha256:b", image_digest=digest("image 1"))
    )
    found = reading(tmp_path, remote)
    found.look()
    assert found.up == {"git": True, "mlflow": False}
    assert found.synced == {("digits", "staging"): True}
    assert found.targets()[-1] == {
        "targets": ["127.0.0.1:8081"],
        "labels": {"service": "serve", "application": "digits", "environment": "staging"},
    }
    text = exposition(found).decode()
    assert 'rookery_environment_synced{application="digits",environment="staging"} 1.0' in text
    assert 'rookery_observe_source_up{source="mlflow"} 0.0' in text
    assert 'rookery_gate_verdicts{application="digits",decision="refused"} 0.0' in text


def test_what_was_read_last_stays_while_git_is_away(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "read_runs", lambda *_: Runs({("digits", "FINISHED"): 3}))
    found = reading(tmp_path, remote)
    found.look()
    remote.rename(remote.with_name("gone"))
    found.look()
    assert found.up == {"git": False, "mlflow": True}
    assert len(found.pipelines) == 1
    assert found.synced == {("digits", "staging"): False}, "nobody answers there"


def test_every_pod_of_an_environment_is_a_target(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def addresses(host: str, port: int, *_: object) -> list[tuple[object, ...]]:
        asked.append((host, port))
        return [(0, 0, 0, "", (address, port)) for address in ("10.0.0.2", "10.0.0.1", "10.0.0.2")]

    found = reading(tmp_path, remote, pods="pods.{application}-{environment}.svc:8080")
    found.look()
    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    assert found.targets()[-1]["targets"] == ["10.0.0.1:8080", "10.0.0.2:8080"]
    assert asked == [("pods.digits-staging.svc", 8080)]


def test_a_name_that_is_not_known_is_no_target(tmp_path: Path, remote: Path) -> None:
    found = reading(tmp_path, remote, pods="pods.{application}-{environment}.invalid:8080")
    found.look()
    assert found.targets() == []


def test_a_fault_of_ours_is_not_taken_for_an_absence(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Runs:
        raise KeyError("a fault")

    monkeypatch.setattr(reader, "read_runs", broken)
    with pytest.raises(KeyError):
        reading(tmp_path, remote).look()
    monkeypatch.setattr(reader, "read_runs", lambda *_: (_ for _ in ()).throw(Unavailable("away")))
    reading(tmp_path, remote).look()


def test_a_service_that_a_site_does_without_is_no_target(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(host: str, *_: object) -> list[object]:
        codes = {"train.svc": socket.EAI_NONAME, "board.svc": socket.EAI_AGAIN}
        if host in codes:
            raise socket.gaierror(codes[host], "no")
        return []

    targets = {name: f"{name}.svc:1" for name in ("train", "board", "monitor")}
    found = Reader(ObserveSettings(state_dir=tmp_path / "state", git_remote=str(remote), targets=targets))
    monkeypatch.setattr(reader.socket, "getaddrinfo", known)
    assert [one["labels"]["service"] for one in found.targets()] == ["board", "monitor"]
