from __future__ import annotations

from pathlib import Path

import pytest

from services.train import records


def _job() -> records.Job:
    request = records.Request(
        application="a", model_name="cnn", data_source="digits", hyperparameters={"lr": "1"}
    )
    return records.Job(job_id="j", request=request, key="k", created=5.0, claimed=True)


def test_a_record_is_read_as_written_without_the_claim(tmp_path: Path) -> None:
    records.write(tmp_path / "job.json", _job())
    assert records.read_job(tmp_path) == _job().model_copy(update={"claimed": False})
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"job_id": "x"}', b"\xff"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, content: bytes) -> None:
    for name in ("job.json", "progress.json", "result.json", records.LOCK):
        (tmp_path / name).write_bytes(content)
    assert records.read_job(tmp_path) is None
    assert records.read_result(tmp_path) is None
    assert records.read_progress(tmp_path).epoch == 0
    assert records.read_holder(tmp_path) is None
