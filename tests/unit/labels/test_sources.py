"""What an application is trained on without labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from services.data.store import ObjectStoreSettings
from services.labels.sources import applications, base_source, load_base


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_facts_in_folders_and_in_files(tmp_path: Path) -> None:
    write(tmp_path / "birds" / "application.yaml", "data_source: synthetic-birds\n")
    write(tmp_path / "digits.yaml", "data_source: digits\n")
    write(tmp_path / "kustomization.yaml", "")
    assert applications(tmp_path) == ["birds", "digits"]
    assert base_source(tmp_path, "birds") == "synthetic-birds"
    assert base_source(tmp_path, "digits") == "digits"


@pytest.mark.parametrize("text", ["", "a: b", "[1]", "data_source: 7", "{", "!!python/object:os.system {}"])
def test_facts_that_are_none(tmp_path: Path, text: str) -> None:
    write(tmp_path / "x.yaml", text)
    with pytest.raises(InvalidInput):
        base_source(tmp_path, "x")


def test_an_application_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not known what"):
        base_source(tmp_path, "x")
    with pytest.raises(InvalidInput):
        base_source(tmp_path, "../x")


def test_the_base_of_the_labelled_dataset_itself_is_its_own_base(tmp_path: Path) -> None:
    place = tmp_path / "datasets" / "digits"
    content = {
        "schema": "rookery.labels/1",
        "number": 4,
        "base": {"source": "digits?items=300", "digest": ""},
    }
    write(place / "versions" / "000004.json", json.dumps(content | {"items": []}))
    write(tmp_path / "facts" / "digits.yaml", f"data_source: {place}?version=4\n")
    found = load_base(tmp_path / "facts", "digits", str(place), ObjectStoreSettings(), tmp_path / "cache")
    assert (found.source, len(found.items)) == ("digits?items=300", 300)
