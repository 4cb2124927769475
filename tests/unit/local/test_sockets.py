"""The keeper of the listening sockets, as a real process."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.common.errors import Conflict
from tests.support.servers import free_port
from workflows.local.ports import free_ports
from workflows.local.processes import read_pid_file, stop, wait_gone
from workflows.local.sockets import Sockets, address, bind

HOST = "127.0.0.1"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    entry = read_pid_file(tmp_path / "pids" / "sockets.json")
    if entry:
        stop([entry[0]], 5)
    shutil.rmtree(address(tmp_path).parent, ignore_errors=True)


def _knock(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(30)
        return client.connect_ex((HOST, port)) == 0


def test_two_deployers_get_the_same_queue_of_connections(home: Path) -> None:
    port = free_port()
    first, second = Sockets(home).get(HOST, port), Sockets(home).get(HOST, port)
    with first, second, socket.create_connection((HOST, port), timeout=30) as client:
        second.settimeout(30)
        served, _ = second.accept()
        with served:
            client.sendall(b"x")
            assert served.recv(1) == b"x"


def test_a_folder_that_others_can_write_to_is_not_trusted(home: Path) -> None:
    folder = address(home).parent
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    try:
        with pytest.raises(Conflict, match="this user's alone"):
            Sockets(home).get(HOST, free_port())
    finally:
        folder.rmdir()


def test_connections_wait_while_nobody_accepts_and_are_refused_after_close(home: Path) -> None:
    port = free_port()
    sockets = Sockets(home)
    with sockets.get(HOST, port):
        assert _knock(port)
        sockets.close(HOST, port)
    assert not _knock(port)


def test_a_port_of_somebody_else_is_refused(home: Path) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(Conflict, match="taken"):
            Sockets(home).get(HOST, other.getsockname()[1])


def test_a_new_keeper_gets_what_the_deployer_still_holds(home: Path) -> None:
    first, second = free_port(), free_port()
    sockets = Sockets(home)
    kept = sockets.get(HOST, first)
    entry = read_pid_file(home / "pids" / "sockets.json")
    assert entry is not None
    entry[0].signal(signal.SIGKILL)
    wait_gone([entry[0]], 30)
    with socket.create_connection((HOST, first), timeout=30):
        sockets.get(HOST, second).close()
        again = Sockets(home).get(HOST, first)
        with kept, again:
            again.settimeout(30)
            again.accept()[0].close()


def test_binding_shared_joins_a_port_of_ours() -> None:
    with bind(HOST, 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Conflict):
            bind(HOST, port)
        with bind(HOST, port, shared=True) as second:
            assert second.getsockname()[1] == port


def test_many_that_need_a_keeper_at_once_start_one(home: Path) -> None:
    ports = free_ports(8, set(), 31_000)
    with ThreadPoolExecutor(8) as pool:
        listeners = list(pool.map(lambda port: Sockets(home).get(HOST, port), ports))
    keepers = [
        folder.name
        for folder in Path("/proc").glob("[0-9]*")
        if str(home).encode() in _command(folder) and b"workflows.local.sockets" in _command(folder)
    ]
    for listener in listeners:
        listener.close()
    entry = read_pid_file(home / "pids" / "sockets.json")
    assert entry is not None
    assert keepers == [str(entry[0].pid)]
    assert all(_knock(port) for port in ports)


def _command(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""
