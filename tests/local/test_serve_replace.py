"""A serving process is replaced under load: no request fails, and what was in memory changes."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from services.bundle.reader import read_bundle
from services.common.errors import IntegrityError
from tests.support.bundles import digit_png, tiny_image_bundle
from tests.support.serving import ROOT, environment, serve, serving_python

CLIENTS = 8


class Deployer:
    """Holds the listening socket and runs one serving process after the other on it."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.bundle, self.folder = bundle, folder
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, version: str) -> subprocess.Popen[bytes]:
        heard, told = os.pipe()
        command = [serving_python(), "-m", "services.serve", "--bundle", str(self.bundle)]
        command += ["--fd", str(self.listener.fileno()), "--ready-fd", str(told)]
        with (self.folder / "serve.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                pass_fds=(self.listener.fileno(), told),
                env={**os.environ, **environment({"model_version": version, "drain_seconds": "1"})},
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        os.close(told)
        with os.fdopen(heard, "rb") as ready:
            assert ready.readline() == b"ready\n", (self.folder / "serve.log").read_text()[-2000:]
        return process

    def replace(self, version: str) -> int:
        """Start the successor, then end the predecessor; returns its exit code."""
        before, self.process = self.process, self.start(version)
        if before is None:
            return 0
        before.terminate()
        return before.wait(60)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(60)
        self.listener.close()
        return code


class Load:
    """Clients that send all the time, half of them on kept connections, and count what they get."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ended = threading.Event()
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self._run, args=(n % 2 == 0,)) for n in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(90)

    def wait_for(self, version: str) -> None:
        """Go on for a moment after this version's first answer."""
        end = time.monotonic() + 60
        while not self.answers[version]:
            assert time.monotonic() < end, (version, self.failures)
            time.sleep(0.01)
        time.sleep(0.3)

    def _run(self, keep: bool) -> None:
        data = digit_png(3)
        headers = {} if keep else {"connection": "close"}
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60, headers=headers) as client:
            while not self.ended.is_set():
                try:
                    answer = client.post("/predict", content=data)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if answer.status_code != 200 or answer.json()["label"] != "3":
                    self.failures.append(answer.text)
                self.answers[answer.json().get("version", "")] += 1
                if keep:
                    time.sleep(0.003)


def test_five_replacements_under_load_fail_no_request(tmp_path: Path) -> None:
    deployer = Deployer(tiny_image_bundle(tmp_path), tmp_path)
    deployer.replace("0")
    codes = []
    with Load(deployer.url) as load:
        for version in range(1, 6):
            load.wait_for(str(version - 1))
            codes.append(deployer.replace(str(version)))
        load.wait_for("5")
    assert deployer.stop() == 0
    assert load.failures == []
    assert codes == [0] * 5
    assert set(load.answers) == {str(version) for version in range(6)}


def test_what_runs_at_the_signal_is_answered(tmp_path: Path) -> None:
    server = serve(tiny_image_bundle(tmp_path), tmp_path, drain_seconds="60").start()
    body = digit_png(3)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as half,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as idle,
    ):
        half.sendall(head + body[:20])
        idle.sendall(head + body)
        assert b"connection: close" not in idle.recv(4096)
        assert server.process is not None
        server.process.terminate()
        end = time.monotonic() + 30
        with pytest.raises(ConnectionRefusedError):
            while time.monotonic() < end:
                socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
                time.sleep(0.05)
        half.sendall(body[20:])
        idle.sendall(head + body)
        for connection in (half, idle):
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"connection: close" in answer
    assert server.process.wait(60) == 0


def test_an_idle_connection_does_not_hold_the_process(tmp_path: Path) -> None:
    server = serve(tiny_image_bundle(tmp_path), tmp_path, drain_seconds="0.5").start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30):
        began = time.monotonic()
        assert server.process is not None
        server.process.terminate()
        assert server.process.wait(60) == 0
    assert time.monotonic() - began < 20


def test_another_bundle_than_promised_is_not_served(tmp_path: Path) -> None:
    bundle = tiny_image_bundle(tmp_path)
    server = serve(bundle, tmp_path, expected_digest="sha256:" + "1" * 64).start(wait=False)
    assert server.process is not None
    assert server.process.wait(90) == 1
    assert "promised" in server.tail()
    assert "Traceback" not in server.tail()


def test_an_altered_bundle_is_not_served(tmp_path: Path) -> None:
    bundle = tiny_image_bundle(tmp_path)
    digest = read_bundle(bundle).digest
    model = bundle / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    with pytest.raises(IntegrityError):
        read_bundle(bundle, expected_digest=digest)
    server = serve(bundle, tmp_path, expected_digest=digest).start(wait=False)
    assert server.process is not None
    assert server.process.wait(90) == 1


def test_serving_imports_nothing_of_training(tmp_path: Path) -> None:
    code = (
        "import sys, services.serve.__main__ as m\n"
        "from services.serve.app import create_app; from services.serve.settings import ServeSettings\n"
        "from services.bundle.reader import read_bundle; from pathlib import Path\n"
        "app = create_app(read_bundle(Path(sys.argv[1])), ServeSettings())\n"
        "import services.serve.protocol, uvicorn, uvloop, httptools\n"
        "print(app.predict.predictor.predict(app.bundle.golden.inputs[3]).labels[0]['label'])\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'sklearn', 'hera', 'matplotlib'}\n"
        "ours = {name.split('.')[1] for name in sys.modules if name.startswith('services.')}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(ours), 'workflows' in sys.modules)\n"
    )
    bundle = tiny_image_bundle(tmp_path)
    ran = subprocess.run(
        [serving_python(), "-c", code, str(bundle)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=False,
    )
    assert ran.stdout.splitlines() == ["3", "[] ['bundle', 'common', 'media', 'serve'] False"], ran.stderr
