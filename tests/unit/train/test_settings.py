from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.train.settings import TrainSettings


def test_the_training_process_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = TrainSettings(port=0, data_roots=[tmp_path, Path('/data/with "quotes"')], state_dir=tmp_path)
    for name, value in made.as_environment().items():
        monkeypatch.setenv(name, value)
    assert TrainSettings() == made


def test_a_relative_root_is_refused() -> None:
    with pytest.raises(ValidationError, match="not an absolute path"):
        TrainSettings(data_roots=[Path("data")])
