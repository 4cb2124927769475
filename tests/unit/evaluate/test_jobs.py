from __future__ import annotations

import time

import pytest

from services.evaluate.jobs import Jobs
from services.evaluate.settings import EvaluateSettings


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("something nobody thought of")])
def test_an_evaluation_that_cannot_be_carried_out_is_reported_and_the_next_one_begins(
    tmp_path, monkeypatch, error
):
    done = []

    def run(self, run_id):
        done.append(run_id)
        if run_id == "first":
            raise error
        return 0

    monkeypatch.setattr(Jobs, "_run", run)
    jobs = Jobs(EvaluateSettings(state_dir=tmp_path), {})
    try:
        for run_id in ("first", "second"):
            jobs.submit(run_id)
        deadline = time.monotonic() + 60
        while jobs.finished != {"answered": 1, "failed": 1}:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert done == ["first", "second"]
        assert (jobs.phase("first"), jobs.counts()) == (None, (0, 0))
        assert str(error) in jobs.failure("first")["message"]
        assert jobs.failure("second") is None
    finally:
        jobs.close()
