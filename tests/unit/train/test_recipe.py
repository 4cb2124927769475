"""What a training would be made of: the same for the same, another for anything that matters."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from services.common.errors import DatasetError, InvalidInput
from services.data.digits import load_digits_dataset
from services.data.options import Options
from services.train import recipe as module
from services.train.recipe import Recipes, recipe, running_environment
from services.train.records import Request
from services.train.settings import TrainSettings


def request(source: str = "digits?items=100", model: str = "cnn", **hyper: str) -> Request:
    return Request(application="digits", model_name=model, data_source=source, hyperparameters=hyper)


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipes:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 60)
    return Recipes(TrainSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache"))


def test_a_default_that_is_written_out_is_the_same_recipe() -> None:
    one = recipe("sha256:d", request(), "c", "e")
    assert one == recipe("sha256:d", request(epochs="16"), "c", "e")
    assert one["parameters"]["epochs"] == "16"


def test_each_part_counts() -> None:
    asked = request()
    keys = {
        recipe(*arguments)["key"]
        for arguments in (
            ("d", asked, "c", "e"),
            ("d2", asked, "c", "e"),
            ("d", asked, "c2", "e"),
            ("d", asked, "c", "e2"),
            ("d", request(epochs="3"), "c", "e"),
            ("d", request(model="resnet18"), "c", "e"),
        )
    }
    assert len(keys) == 6


def test_an_image_stands_for_its_packages() -> None:
    assert running_environment("sha256:1") == "sha256:1"
    assert running_environment().startswith("sha256:")


def pictures(folder: Path, count: int) -> None:
    items = load_digits_dataset("digits", Options("items=200")).items
    for item in sorted(items, key=lambda one: one.sha256)[:count]:
        path = folder / item.id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.read())


def test_a_folder_is_read_again_only_when_a_file_of_it_has_changed(
    recipes: Recipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    original = module.load_dataset
    monkeypatch.setattr(module, "load_dataset", lambda *a, **k: loads.append(a) or original(*a, **k))
    folder = tmp_path / "scans"
    pictures(folder, 120)
    first = recipes.find(request(str(folder)))
    assert first is not None
    assert (first["items"], first["labels"]) == (120, 10)
    assert recipes.find(request(str(folder))) == first
    assert len(loads) == 1
    pictures(folder, 130)
    second = recipes.find(request(str(folder)))
    assert second is not None
    assert second["data"] != first["data"]
    assert second["key"] != first["key"]
    assert len(loads) == 2


def test_while_the_data_are_read_nobody_waits_long(recipes: Recipes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.05)
    original, go_on = module.load_dataset, threading.Event()

    def slow(*arguments: object, **more: object) -> object:
        go_on.wait(60)
        return original(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "load_dataset", slow)
    assert recipes.find(request()) is None
    go_on.set()
    deadline = time.monotonic() + 60
    while (found := recipes.find(request())) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found["items"] == 100


def test_what_cannot_be_read_is_said_and_tried_again(recipes: Recipes, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises((InvalidInput, DatasetError)):
            recipes.find(request(str(tmp_path / "nothing")))
    pictures(tmp_path / "nothing", 100)
    assert recipes.find(request(str(tmp_path / "nothing"))) is not None
