"""Training, judging and releasing agree on what the name of an application is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.common.names import check_name
from services.evaluate.policy import find_policy
from services.train.preflight import Preflight, default_application
from services.train.settings import TrainSettings
from workflows.release import names

PLAIN = ["digits", "a", "b2", "great-tits-2026", "x" * 40]
WRONG = ["x" * 41, "x" * 63, "-a", "a-", "A", "a/b", "..", "a\n", "ä"]


@pytest.mark.parametrize("name", [*PLAIN, *WRONG])
def test_whoever_is_asked_says_the_same(name: str, tmp_path: Path) -> None:
    train = Preflight(TrainSettings(state_dir=tmp_path, cache_dir=tmp_path, check_seconds=20))
    for ask in (
        check_name,
        names.check_name,
        lambda text: find_policy(text, None),
        lambda text: train.request(text, "cnn", "digits", {}),
    ):
        if name in PLAIN:
            ask(name)
        else:
            with pytest.raises(InvalidInput, match="no name of an application"):
                ask(name)


@given(st.text())
def test_the_name_made_from_a_source_is_a_name_or_empty(source: str) -> None:
    name = default_application(source)
    assert name == "" or check_name(name) == name
