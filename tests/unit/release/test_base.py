"""The base is the serving code and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.common.errors import NotFound
from workflows.release.base import Layer, ServingBase, default_config, image_parts
from workflows.release.layer import TAR

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(
        REPOSITORY / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "requirements").mkdir()
    shutil.copy(REPOSITORY / "requirements/serve.lock", tmp_path / "requirements/serve.lock")
    return tmp_path


def test_only_what_serves_goes_in(checkout: Path) -> None:
    base = ServingBase.from_checkout(checkout)
    packages = {name.split("/")[2] for name in base.files if name.startswith("app/services/")}
    assert packages == {"__init__.py", "common", "media", "bundle", "serve"}
    assert "app/requirements/serve.lock" in base.files


def test_leftovers_of_python_and_editors_make_no_difference(checkout: Path) -> None:
    before = ServingBase.from_checkout(checkout)
    cache = checkout / "services/serve/__pycache__"
    cache.mkdir()
    (cache / "app.cpython-311.pyc").write_bytes(b"x")
    (checkout / "services/serve/.app.py.swp").write_bytes(b"x")
    after = ServingBase.from_checkout(checkout)
    assert after.labels == before.labels
    assert after.files.keys() == before.files.keys()


@pytest.mark.parametrize(
    ("path", "label"),
    [("services/common/errors.py", "serving-code"), ("requirements/serve.lock", "serving-environment")],
)
def test_a_change_of_code_or_environment_is_seen(checkout: Path, path: str, label: str) -> None:
    before = ServingBase.from_checkout(checkout).labels
    with (checkout / path).open("a") as file:
        file.write("# changed\n")
    assert ServingBase.from_checkout(checkout).labels[f"io.rookery.{label}"] != before[f"io.rookery.{label}"]


def test_no_checkout_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="locked serving environment"):
        ServingBase.from_checkout(tmp_path)


def test_the_image_runs_as_nobody_and_starts_the_server() -> None:
    base = ServingBase(files={}, config=default_config(), labels={})
    config, manifest = image_parts(base, [Layer(TAR, "sha256:a", 5, "sha256:a")], {"x": "1"})
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"][-2:] == ["--bundle", "/bundle"]
    assert config["rootfs"]["diff_ids"] == ["sha256:a"]
    assert "created" not in config
    assert "annotations" not in manifest
