"""A real MinIO server on a free port, and a TCP relay that can cut a download."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from minio import Minio
from pydantic import SecretStr

from services.data.store import ObjectStoreSettings
from tests.support import web
from tests.support.servers import free_port

TOOL = Path(__file__).parents[2] / "tools/minio.sh"


@dataclass
class Store:
    settings: ObjectStoreSettings
    client: Minio

    def bucket(self) -> str:
        name = f"data-{secrets.token_hex(4)}"
        self.client.make_bucket(name)
        return name

    def put_folder(self, bucket: str, prefix: str, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.client.fput_object(bucket, f"{prefix}/{path.relative_to(folder)}", str(path))


@pytest.fixture(scope="session")
def minio_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = subprocess.run([str(TOOL)], capture_output=True, text=True, timeout=900, check=False)
    assert made.returncode == 0, made.stderr
    home = tmp_path_factory.mktemp("minio")
    user, password = secrets.token_hex(8), secrets.token_hex(16)
    port, console = free_port(), free_port()
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "MINIO_ROOT_USER": user,
        "MINIO_ROOT_PASSWORD": password,
        "MINIO_UPDATE": "off",
        "MINIO_BROWSER": "off",
    }
    command = [made.stdout.strip(), "server", str(home / "disk"), "--quiet"]
    command += ["--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console}"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(port, server, home / "log")
        settings = ObjectStoreSettings(
            endpoint=f"127.0.0.1:{port}",
            access_key=SecretStr(user),
            secret_key=SecretStr(password),
            secure=False,
            timeout_seconds=30,
        )
        client = Minio(settings.endpoint, access_key=user, secret_key=password, secure=False)
        yield Store(settings, client)
        client._http.clear()
    finally:
        server.terminate()
        server.wait(60)


def _wait_until_ready(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if web.get(f"http://127.0.0.1:{port}/minio/health/ready", timeout=2).status_code == 200:
                return
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"MinIO was not ready after 90 s: {log.read_text()}")


class Relay:
    """Forwards connections to a port; after `cut_after` bytes of answers every connection is closed."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut_after: int | None = None
        self.answered = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, counts in ((near, far, False), (far, near, True)):
                    thread = threading.Thread(target=self._pump, args=(source, sink, counts), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if counts:
                    self.answered += len(data)
                    if self.cut_after is not None and self.answered > self.cut_after:
                        break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if counts:
                end.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def relay() -> Iterator[Callable[[int], Relay]]:
    made: list[Relay] = []

    def make(target: int) -> Relay:
        made.append(Relay(target))
        return made[-1]

    yield make
    for one in made:
        one.close()
