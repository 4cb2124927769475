"""Every figure has a help text, a type and few enough labels."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from services.observe.reader import Reader
from services.observe.runs import Runs
from services.observe.settings import ObserveSettings
from services.observe.telemetry import exposition
from tests.support.release import evidence, gitops, make_remote
from workflows.release.release import release


def test_the_text_is_what_prometheus_reads(tmp_path: Path) -> None:
    remote = make_remote(tmp_path, "digits", "birds")
    release(gitops(remote, tmp_path / "cache"), evidence(3))
    reader = Reader(
        ObserveSettings(state_dir=tmp_path / "s", git_remote=str(remote), mlflow_url="http://127.0.0.1:9")
    )
    reader.look()
    reader.runs = Runs(
        {("digits", "FINISHED"): 2},
        {("digits", "accepted"): 1},
        {("digits", "train-model", "FAILED"): 1},
        {("digits", "train-model"): 5.0},
    )
    families = list(text_string_to_metric_families(exposition(reader).decode()))
    assert all(family.documentation for family in families)
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }
    assert values[("rookery_environment_version", "digits", "staging")] == 3
    assert values[("rookery_release_commits_total", "digits", "release", "staging")] == 1
    assert values[("rookery_release_commits_total", "birds", "production", "promote")] == 0
    assert values[("rookery_trainings", "FINISHED", "digits")] == 2
    assert values[("rookery_gate_verdicts", "accepted", "birds")] == 0
    assert values[("rookery_workflow_failed_timestamp_seconds", "digits", "train-model")] == 5
    assert ("rookery_dora_lead_seconds", "digits") not in values, "what is not known is not said"
    assert len(values) < 120
