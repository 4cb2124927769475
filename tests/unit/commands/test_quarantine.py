"""`quarantine list` and `quarantine lift`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.gitops import Remote, git
from workflows.release.rollback import rollback


@pytest.fixture
def shut_out(tmp_path: Path) -> Remote:
    """Version 2 is in quarantine; the state folder of the remote is the platform's."""
    made = Remote(tmp_path / "home")
    for version in (1, 2):
        made.release(version, f"sha256:{version:064x}", f"sha256:{version:064x}")
    rollback(
        made.gitops,
        "digits",
        "staging",
        reason="confuses 3 and 8",
        requested_by="somebody",
        workflow="rb",
        shut_out=True,
    )
    return made


def test_the_list_says_what_since_when_and_why(cli: Cli, shut_out: Remote) -> None:
    done = cli("quarantine", "list")
    assert "confuses 3 and 8" in done.out
    assert "somebody" in done.out
    (entry,) = cli("quarantine", "list", "--json").json()
    assert (entry["model_version"], entry["environment"]) == ("2", "staging")


def test_an_empty_list_and_an_unknown_application_are_told_apart(cli: Cli, tmp_path: Path) -> None:
    Remote(tmp_path / "home")
    assert "Nothing of digits is in quarantine." in cli("quarantine", "list").out
    assert cli("quarantine", "list", "--json").json() == []
    unknown = cli("quarantine", "list", "-a", "digit")
    assert unknown.code == 1
    assert "digits" in unknown.err


@pytest.mark.parametrize("prefix", ["sha256:" + "0" * 63 + "2", "0" * 63 + "2", "000000"])
def test_a_digest_leaves_by_one_commit_with_the_reason(cli: Cli, shut_out: Remote, prefix: str) -> None:
    done = cli("quarantine", "lift", prefix, "--reason", "the network was at fault")
    assert done.code == 0, done.err
    assert "Reason: the network was at fault" in git(shut_out.path, "log", "-1", "--format=%B", "main")
    assert cli("quarantine", "list", "--json").json() == []


@pytest.mark.parametrize(
    ("digest", "message"),
    [("00", "at least 6 hex digits"), ("ffffff", "not one image"), ("../../x", "not one image")],
)
def test_a_digest_that_fits_nothing_changes_nothing(
    cli: Cli, shut_out: Remote, digest: str, message: str
) -> None:
    before = git(shut_out.path, "rev-parse", "main")
    done = cli("quarantine", "lift", digest, "--reason", "r")
    assert done.code == 1
    assert message in done.err
    assert git(shut_out.path, "rev-parse", "main") == before


def test_a_beginning_that_fits_two_is_refused(cli: Cli, shut_out: Remote) -> None:
    for version in (3, 4):
        shut_out.release(version, f"sha256:{version:064x}", f"sha256:{version:064x}")
    rollback(
        shut_out.gitops,
        "digits",
        "staging",
        reason="r",
        requested_by="s",
        workflow="again",
        shut_out=True,
    )
    assert len(cli("quarantine", "list", "--json").json()) == 2
    assert cli("quarantine", "lift", "000000", "--reason", "r").code == 1
    assert cli("quarantine", "lift", "0" * 63 + "4", "--reason", "r").code == 0
