"""The peak memory of one call in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_CHILD = """
import json, resource, sys
from pathlib import Path
from services.common.errors import RookeryError
from tests.support.memory import CALLS
data, call = Path(sys.argv[1]).read_bytes(), CALLS[sys.argv[2]]
call(None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
error, status = "", 200
try:
    call(data)
except RookeryError as caught:
    error, status = str(caught), caught.status
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"status": status, "message": error, "peak_mib": peak / 1024}))
"""


@dataclass(frozen=True)
class Outcome:
    """How a call ended: 200 or the status of the error, its message, and the memory it took beyond its input."""

    status: int
    message: str
    peak_mib: float


def measure(data: bytes, call: str, folder: Path) -> Outcome:
    """Runs one of `CALLS` on `data` in a new process."""
    path = folder / "input"
    path.write_bytes(data)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _CHILD, str(path), call],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Outcome(**json.loads(done.stdout))


def _audio(data: bytes | None) -> None:
    from services.media.prepare import prepare
    from services.media.presets import bird_preprocessing
    from tests.support.media import encode, tone

    prepare(encode(tone(), 16_000) if data is None else data, bird_preprocessing())


def _image(data: bytes | None) -> None:
    import numpy as np

    from services.media.prepare import prepare
    from tests.support.media import DIGITS, png

    prepare(png(np.zeros((8, 8), np.uint8)) if data is None else data, DIGITS)


def _model(data: bytes | None) -> None:
    from services.bundle.onnx_file import check_onnx
    from tests.support.media import onnx_model

    check_onnx(onnx_model() if data is None else data)


def _golden(data: bytes | None) -> None:
    from services.bundle.golden import Golden
    from tests.support.media import golden

    Golden.from_bytes(golden().to_bytes() if data is None else data)


CALLS = {"audio": _audio, "image": _image, "model": _model, "golden": _golden}
