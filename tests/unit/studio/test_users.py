"""Waiting for the database; the users themselves are tested with a real Label Studio."""

from __future__ import annotations

import pytest

from services.common.errors import Unavailable
from services.studio.users import wait_for


def test_a_database_that_comes_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.studio.users._PAUSE_SECONDS", 0.0)
    left = [OSError("refused"), OSError("refused")]

    def ask() -> None:
        if left:
            raise left.pop()

    wait_for(ask, OSError, "the database", seconds=5)
    assert left == []


def test_one_that_does_not_come_is_named_within_the_bound() -> None:
    def ask() -> None:
        raise OSError("refused\n  by somebody")

    with pytest.raises(Unavailable, match=r"the database x was not ready within 0\.1 s: refused by somebody"):
        wait_for(ask, OSError, "the database x", seconds=0.1)


def test_another_error_is_nobodys_wait() -> None:
    def ask() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        wait_for(ask, OSError, "the database", seconds=5)
