"""What a user would pick instead of our server, each with the same ONNX file and one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]
Payload = tuple[bytes, str, str]

_SESSION = """
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"])
shape = {shape!r}
"""

_BARE = (
    _SESSION
    + """
from fastapi import FastAPI, Request
app = FastAPI()

@app.post("/predict")
async def predict(request: Request):
    tensor = np.frombuffer(await request.body(), np.float32).reshape(shape)
    return {{"logits": session.run(None, {{"input": tensor}})[0].tolist()}}

@app.get("/healthz")
async def healthz():
    return {{}}
"""
)

_BENTO = (
    _SESSION
    + """
import bentoml

@bentoml.service(workers=1)
class Digits:
    @bentoml.api
    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return session.run(None, {{"input": inputs.astype(np.float32).reshape(shape)}})[0]
"""
)

_LIT = (
    _SESSION
    + """
import litserve

class Digits(litserve.LitAPI):
    def setup(self, device):
        self.session = session

    def decode_request(self, request):
        return np.asarray(request["inputs"], np.float32).reshape(shape)

    def predict(self, tensor):
        return self.session.run(None, {{"input": tensor}})[0]

    def encode_response(self, output):
        return {{"logits": output.tolist()}}

if __name__ == "__main__":
    litserve.LitServer(Digits(), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port={port}, generate_client_file=False, log_level="error", access_log=False
    )
"""
)

_MLFLOW = """
import sys, onnx, mlflow
mlflow.onnx.save_model(onnx.load({model!r}), sys.argv[1])
"""


@dataclass(frozen=True)
class Peer:
    """A server of somebody else.

    Attributes:
        start: (model, input shape, folder for logs) to a server that answers.
        payload: one input to body, content type and path.
    """

    name: str
    start: Callable[[Path, tuple[int, ...], Path], Server]
    payload: Callable[[dict[str, Any]], Payload]


def bare(environments: Path) -> Peer:
    """A FastAPI route that only runs the session on raw float32; uvicorn with uvloop and httptools, no access log."""

    def start(model: Path, shape: tuple[int, ...], folder: Path) -> Server:
        (folder / "bare.py").write_text(_BARE.format(model=str(model), shape=shape))
        port = free_port()
        command = [
            *(_serving_python(), "-m", "uvicorn", "bare:app", "--host", "127.0.0.1", "--port", str(port)),
            *("--no-access-log", "--log-level", "error", "--loop", "uvloop", "--http", "httptools"),
        ]
        return Server(command, log=folder / "bare.log", port=port, health="/healthz", cwd=folder).start()

    return Peer(
        "bare FastAPI route", start, lambda given: (given["raw"], "application/octet-stream", "/predict")
    )


def mlflow(environments: Path) -> Peer:
    """`mlflow models serve` with one worker, from the development environment."""

    def start(model: Path, shape: tuple[int, ...], folder: Path) -> Server:
        saved = folder / f"mlflow-{model.parent.name}"
        code = _MLFLOW.format(model=str(model))
        subprocess.run(
            [sys.executable, "-c", code, str(saved)], check=True, capture_output=True, env=_quiet()
        )
        port = free_port()
        command = [
            *(sys.executable, "-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ]
        log = folder / "mlflow.log"
        server = Server(
            command, log=log, port=port, health="/ping", cwd=folder, environment=_quiet(path=True)
        )
        return server.start()

    return Peer(
        "mlflow models serve", start, lambda given: (given["json"], "application/json", "/invocations")
    )


def bentoml(environments: Path) -> Peer:
    """BentoML with one worker."""

    def start(model: Path, shape: tuple[int, ...], folder: Path) -> Server:
        python = _environment(environments, "bentoml")
        (folder / "bento.py").write_text(_BENTO.format(model=str(model), shape=shape))
        port = free_port()
        command = [
            *(
                str(python),
                "-m",
                "bentoml",
                "serve",
                "bento:Digits",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ),
        ]
        environment = _quiet() | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml")}
        log = folder / "bentoml.log"
        server = Server(command, log=log, port=port, health="/readyz", cwd=folder, environment=environment)
        return server.start()

    return Peer("BentoML", start, lambda given: (given["json"], "application/json", "/predict"))


def litserve(environments: Path) -> Peer:
    """LitServe with one worker."""

    def start(model: Path, shape: tuple[int, ...], folder: Path) -> Server:
        python = _environment(environments, "litserve")
        port = free_port()
        (folder / "lit.py").write_text(_LIT.format(model=str(model), shape=shape, port=port))
        log = folder / "litserve.log"
        server = Server(
            [str(python), "lit.py"], log=log, port=port, health="/health", cwd=folder, environment=_quiet()
        )
        return server.start()

    return Peer("LitServe", start, lambda given: (given["json"], "application/json", "/predict"))


PEERS: dict[str, Callable[[Path], Peer]] = {
    "bare": bare,
    "mlflow": mlflow,
    "bentoml": bentoml,
    "litserve": litserve,
}


def _serving_python() -> str:
    interpreter = ROOT / ".venv-serve" / "bin" / "python"
    return str(interpreter if interpreter.exists() else sys.executable)


def _environment(folder: Path, name: str) -> Path:
    """The interpreter of a peer's environment, installed if it is not there."""
    python = folder / name / "bin" / "python"
    done = folder / f"{name}.installed"
    if done.exists():
        return python
    uv = shutil.which("uv")
    requirements = str(ROOT / "requirements" / f"bench-{name}.txt")
    folder.mkdir(parents=True, exist_ok=True)
    if uv is None:
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(folder / name)],
            [str(python), "-m", "pip", "install", "-q", "-r", requirements],
        ]
    else:
        steps = [
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder / name)],
            [uv, "pip", "install", "-q", "--python", str(python), "-r", requirements],
        ]
    for step in steps:
        finished = subprocess.run(step, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            raise RuntimeError(finished.stderr or finished.stdout or f"{step[0]} failed")
    done.touch()
    return python


def _quiet(path: bool = False) -> dict[str, str]:
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "LIT_SERVER_API_KEY": "",
    }
    if path:
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment
