"""A service that is told something wrong says so in a sentence and does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("service", "variable", "value", "said"),
    [
        ("train", "ROOKERY_TRAIN_PARALLEL", "none", "setting `parallel`: "),
        ("train", "ROOKERY_TRAIN_PARALEL", "2", "did you mean ROOKERY_TRAIN_PARALLEL?"),
        ("train", "ROOKERY_S3_ENDPIONT", "x", "did you mean ROOKERY_S3_ENDPOINT?"),
        ("evaluate", "ROOKERY_EVALUATE_PARALLEL", "0", "setting `parallel`: "),
        ("evaluate", "ROOKERY_EVALUATE_PARALEL", "2", "did you mean ROOKERY_EVALUATE_PARALLEL?"),
        ("serve", "ROOKERY_SERVE_WORKERS", "many", "setting `workers`: "),
        ("serve", "ROOKERY_SERVE_WORKRES", "4", "did you mean ROOKERY_SERVE_WORKERS?"),
    ],
)
def test_a_wrong_variable_is_one_sentence_and_exit_code_1(
    tmp_path: Path, service: str, variable: str, value: str, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), variable: value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"rookery {service}: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
