from __future__ import annotations

import pytest

from services.common.errors import NotFound
from services.train.tracking import TAG_REASON, Tracking
from tests.support.servers import Server


def test_a_history_sent_twice_is_stored_once(mlflow: Server) -> None:
    with Tracking(mlflow.url) as client:
        run_id = client.create_run(client.experiment_id("tracking"), "a", {})
        rows = [{"epoch": e, "time": 1_700_000_000_000 + e, "loss": 1 / e} for e in range(1, 5)]
        client.log_history(run_id, rows[:2])
        client.log_history(run_id, rows)
        found = client._get("/metrics/get-history", {"run_id": run_id, "metric_key": "loss"})
        assert found is not None
        assert [point["step"] for point in found["metrics"]] == [1, 2, 3, 4]


def test_the_first_end_of_a_run_stands(mlflow: Server) -> None:
    with Tracking(mlflow.url) as client:
        run_id = client.create_run(client.experiment_id("tracking"), "b", {})
        assert client.close_run(run_id, "KILLED", "enough") == "KILLED"
        assert client.close_run(run_id, "FINISHED") == "KILLED"
        tags = {tag["key"]: tag["value"] for tag in client.run(run_id)["data"]["tags"]}
        assert tags[TAG_REASON] == "enough"
        with pytest.raises(NotFound):
            client.close_run("0" * 32, "FAILED")
