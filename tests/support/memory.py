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
import json, sys
from pathlib import Path
from services.common.errors import RookeryError
from tests.support.memory import CALLS, peak_mib, forget_peak
call = CALLS[sys.argv[2]]
call(None)
for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    forget_peak()
    before, message, status = peak_mib(), "", 200
    try:
        call(data)
    except RookeryError as caught:
        message, status = str(caught), caught.status
    print(json.dumps({"status": status, "message": message, "peak_mib": peak_mib() - before}))
"""


@dataclass(frozen=True)
class Outcome:
    """How a call ended: 200 or the status of the error, its message, and the memory it took beyond its input."""

    status: int
    message: str
    peak_mib: float


def measure(inputs: dict[str, bytes], call: str, folder: Path) -> dict[str, Outcome]:
    """Runs one of `CALLS` on each input in turn, in a new process whose peak is forgotten before each."""
    for index, data in enumerate(inputs.values()):
        (folder / f"{index:04}").write_bytes(data)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _CHILD, str(folder), call],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcomes = [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip(inputs, outcomes, strict=True))


def forget_peak() -> None:
    """Sets the peak of this process back to what it has now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The most memory that this process held since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


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
