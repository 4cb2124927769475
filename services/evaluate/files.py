"""What is known of each run, as files in a folder of its own; each is there whole or not at all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.common.errors import Unavailable
from services.common.files import replacing
from services.common.locks import take

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
ANSWER, GATE, METRICS, REPORT = "answer.json", "gate.json", "metrics.json", "report.html"
FAILURE, PHASE = "failure.json", "phase"


def is_run_id(text: str) -> bool:
    """Whether the text can be an id of a run, and so the name of a folder."""
    return _RUN_ID.fullmatch(text) is not None


class RunFiles:
    """The files of one run.

    gate.json is the verdict: once it is there, nothing is judged again. answer.json is what every caller gets: once
    it is there, nothing is done again.
    """

    def __init__(self, state_dir: Path, run_id: str) -> None:
        assert is_run_id(run_id)
        self.folder = state_dir / "runs" / run_id

    def json(self, name: str) -> dict[str, Any] | None:
        """The content of a JSON file, or nothing when it is not there."""
        data = self.read(name)
        return None if data is None else dict(json.loads(data))

    def read(self, name: str) -> bytes | None:
        """The content of a file, or nothing when it is not there."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes | Mapping[str, Any]) -> None:
        """Put a file in place, on the disk before it has its name."""
        data = content if isinstance(content, bytes) else encode(content)
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / name) as file:
            file.write(data)

    def remove(self, name: str) -> None:
        """Remove a file; it is no error when there is none."""
        (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self, seconds: float) -> Iterator[None]:
        """Hold this run alone, against every other process; the kernel lets go when the holder dies.

        Raises:
            Unavailable: another process held it for so long.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("wb") as file:
            if not take(file.fileno(), seconds, pause=0.1):
                raise Unavailable("another process is still evaluating this run")
            yield


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON with what cannot be computed as null."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
