"""The platform with real processes: up, up again, status, doctor, a killed service, down."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import Conflict, InvalidInput, Unavailable
from tests.support import web
from tests.support.gitops import git
from tests.support.platform import Platform, small_checkout
from workflows.local import platform
from workflows.local.pids import session_members, start_time
from workflows.local.placement import environment_ports
from workflows.local.ports import PortChoice, is_free
from workflows.local.processes import Process, read_json, wait_gone, write_pid_file
from workflows.local.remote import ensure_remote, newer_in_checkout
from workflows.local.settings import PlatformSettings

SERVICES = {"mlflow", "train", "evaluate", "monitor", "notify", "arbiter", "board", "deployer", "cron"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return small_checkout(tmp_path / "checkout")


def _nothing(name: str, what: str) -> None:
    return None


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("platform"))
    done = made("up", "--ports", "random", "--json")
    assert done.returncode == 0, done.stderr
    yield made
    pids = made.pids()
    done = made("down", "--purge", "--yes")
    assert done.returncode == 0, done.stderr
    assert all(start_time(pid) is None for pid in pids.values())
    assert not made.home.exists()


@pytest.mark.slow
def test_every_service_answers_on_the_loopback_only(up: Platform) -> None:
    ports = up.json("status")["ports"]
    assert set(up.pids()) == SERVICES
    for name, path in (
        ("mlflow", "/health"),
        ("train", "/readyz"),
        ("evaluate", "/readyz"),
        ("monitor", "/readyz"),
    ):
        assert web.get(f"http://127.0.0.1:{ports[name]}{path}", timeout=30).status_code == 200
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, port = line.split()[1].rsplit(":", 1)
            if line.split()[3] == "0A" and int(port, 16) in ports.values():
                assert address == "0100007F"


@pytest.mark.slow
def test_a_second_up_says_that_it_runs_and_starts_nothing(up: Platform) -> None:
    before = up.pids()
    done = up("up")
    assert done.returncode == 0, done.stderr
    assert "already running" in done.stdout
    assert up.pids() == before


@pytest.mark.slow
def test_the_steps_are_told_where_everything_is(up: Platform) -> None:
    found = read_json(up.home / "config" / "rookery.json")
    ports = up.json("status")["ports"]
    assert found["ROOKERY_TRAIN_URL"] == f"http://127.0.0.1:{ports['train']}"
    assert found["ROOKERY_GIT_REMOTE"] == str(up.home / "gitops.git")
    assert found["ROOKERY_IMAGES"] == f"oci:{up.home / 'images'}"
    assert "127.0.0.1" in str(found["NO_PROXY"])
    assert all(isinstance(value, str) for value in found.values())


@pytest.mark.slow
def test_status_knows_every_environment_and_doctor_finds_nothing_bad(up: Platform) -> None:
    found = up.json("status")["environments"]
    assert [one["environment"] for one in found if one["application"] == "digits"] == [
        "staging",
        "canary",
        "production",
    ]
    assert {one["phase"] for one in found} == {"empty"}
    shown = up("status")
    assert shown.returncode == 0
    port = up.json("status")["ports"]["mlflow"]
    assert shown.stdout.splitlines()[-1].split() == ["mlflow", f"http://127.0.0.1:{port}/#/experiments"]
    verdicts = up.json("doctor")
    assert [one for one in verdicts if one["verdict"] == "bad"] == []


@pytest.mark.slow
def test_an_empty_environment_is_not_called_verified(up: Platform) -> None:
    done = up("verify", "canary")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nothing is released to digits canary" in done.stderr


@pytest.mark.slow
def test_a_killed_service_is_named_by_doctor_and_started_by_up(up: Platform) -> None:
    pid = up.pids()["train"]
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while start_time(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    bad = [one for one in up.json("doctor") if one["verdict"] == "bad"]
    assert [one["what"] for one in bad] == ["train"]
    assert "rookery up" in bad[0]["advice"]
    refused = up("submit", "train-model")
    assert refused.returncode == 1
    assert "train" in refused.stderr
    assert up.json("up")["started"] == ["train"]
    assert set(up.pids()) == SERVICES


@pytest.mark.slow
def test_what_a_killed_mlflow_leaves_is_ended_by_up_and_by_down(tmp_path: Path) -> None:
    made = Platform(tmp_path)
    assert made("up", "--ports", "random").returncode == 0
    try:
        for command in ("up", "down"):
            ports, pid = made.json("status")["ports"], made.pids()["mlflow"]
            os.kill(pid, signal.SIGKILL)
            wait_gone([Process(pid, start_time(pid) or "")], 60)
            left = session_members(pid)
            assert left
            assert not is_free(ports["mlflow"])
            seen = made("status")
            assert seen.returncode == 1
            assert "not running: mlflow\n" in seen.stdout
            assert [one["what"] for one in made.json("doctor") if one["verdict"] == "bad"] == ["mlflow"]
            done = made(command)
            assert done.returncode == 0, done.stderr
            assert "mlflow     was killed" in done.stdout
            assert all(start_time(one) is None for one in left)
            assert set(made.pids()) == (SERVICES if command == "up" else set())
        assert all(is_free(port) for port in ports.values())
    finally:
        made("down", "--purge", "--yes")


@pytest.mark.slow
def test_two_commands_do_not_start_it_at_once(up: Platform) -> None:
    with platform.locked(up.home):
        done = up("up")
    assert done.returncode == 1
    assert "another `rookery up`" in done.stderr


def test_a_taken_port_is_named_with_its_owner_and_what_to_do(checkout: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = PlatformSettings(home=tmp_path / "home", repository=checkout, mlflow_port=port)
        with pytest.raises(Conflict) as caught:
            platform.up(settings, _nothing)
    text = str(caught.value)
    assert f"port {port} for mlflow is taken by process {os.getpid()}" in text
    assert "ROOKERY_MLFLOW_PORT" in text
    assert "--ports auto" in text
    assert platform.running_processes(settings) == {}


def test_a_service_that_ends_at_once_is_told_with_its_last_words(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOKERY_TRAIN_PARALLEL", "none")
    settings = PlatformSettings(home=tmp_path / "home", repository=checkout, start_seconds=180)
    with pytest.raises(Unavailable, match="train ended while it started"):
        platform.up(settings, _nothing, PortChoice.RANDOM)
    assert platform.running_processes(settings) == {}


def test_random_ports_are_moved_by_a_commit(checkout: Path, tmp_path: Path) -> None:
    settings = PlatformSettings(home=tmp_path / "home", repository=checkout)
    settings.home.mkdir()
    ensure_remote(settings)
    before = environment_ports(settings)
    from workflows.local.placement import place_environments

    moved = place_environments(settings, PortChoice.RANDOM, set(), set())
    after = environment_ports(settings)
    assert set(moved) == set(before) == set(after)
    assert after == moved
    assert all(is_free(port) for port in moved.values())
    assert len(set(moved.values())) == len(moved)
    assert "Move ports" in git(settings.gitops, "log", "-1", "--format=%s")


def test_a_folder_without_git_is_refused_with_what_to_do(tmp_path: Path) -> None:
    bare = tmp_path / "folder"
    bare.mkdir()
    settings = PlatformSettings(home=tmp_path / "home", repository=bare)
    with pytest.raises(InvalidInput, match="is no git repository"):
        platform.up(settings, _nothing)
    git(bare, "init", "-q")
    with pytest.raises(InvalidInput, match="no commit yet"):
        platform.up(settings, _nothing)


def test_a_shallow_clone_will_do(checkout: Path, tmp_path: Path) -> None:
    (checkout / "more").write_text("x")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "More")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{checkout}", str(tmp_path / "shallow"))
    settings = PlatformSettings(home=tmp_path / "home", repository=tmp_path / "shallow")
    settings.home.mkdir()
    assert ensure_remote(settings)
    assert not ensure_remote(settings)
    assert git(settings.gitops, "rev-parse", "main") == git(checkout, "rev-parse", "HEAD")


def test_newer_manifests_are_told_with_the_command(checkout: Path, tmp_path: Path) -> None:
    settings = PlatformSettings(home=tmp_path / "home", repository=checkout)
    settings.home.mkdir()
    ensure_remote(settings)
    assert newer_in_checkout(settings) == []
    (checkout / "k8s" / "apps" / "digits" / "policy.yaml").write_text("{}\n")
    assert "not committed" in newer_in_checkout(settings)[0]
    git(checkout, "commit", "-q", "-a", "-m", "Policy")
    lines = newer_in_checkout(settings)
    assert lines[0].startswith("1 commits")
    command = lines[-1].split()
    git(checkout, *command[1:])
    assert newer_in_checkout(settings) == []


def test_purge_deletes_no_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(InvalidInput, match="not deleted"):
        platform.purge(PlatformSettings(home=tmp_path / "home"))
    assert (tmp_path / "home" / "letter").exists()


def test_purge_deletes_nothing_while_something_runs(tmp_path: Path) -> None:
    process = Process(os.getpid(), start_time(os.getpid()) or "")
    write_pid_file(tmp_path / "pids" / "mlflow.json", process)
    with pytest.raises(Conflict, match="mlflow still run"):
        platform.purge(PlatformSettings(home=tmp_path))
    assert (tmp_path / "pids").exists()


def test_down_of_nothing_is_nothing(tmp_path: Path) -> None:
    assert platform.down(PlatformSettings(home=tmp_path / "home"), _nothing) == []
