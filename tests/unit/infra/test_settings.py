"""What is set for provisioning is checked when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from workflows.infra.settings import InfraSettings


def test_nothing_needs_to_be_set() -> None:
    found = InfraSettings.read()
    assert (found.terraform, found.backend, found.ssh_seconds, found.stop_seconds) == (
        "terraform",
        None,
        600,
        300,
    )


def test_the_environment_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_INFRA_TERRAFORM", "tofu")
    monkeypatch.setenv("ROOKERY_INFRA_BACKEND", "backend.tf")
    monkeypatch.setenv("ROOKERY_INFRA_SSH_SECONDS", "1800")
    found = InfraSettings.read()
    assert (found.terraform, found.backend, found.ssh_seconds) == ("tofu", Path("backend.tf"), 1800)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SSH_SECONDS", "0"), ("SSH_SECONDS", "soon"), ("SSH_SECONDS", "inf"), ("STOP_SECONDS", "-1")],
)
def test_a_wait_has_a_bound(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ROOKERY_INFRA_{name}", value)
    with pytest.raises(InvalidInput, match=f"setting `{name.lower()}`"):
        InfraSettings.read()
