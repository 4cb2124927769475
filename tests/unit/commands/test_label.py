"""`rookery label`, against a labels service with a folder for a desk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.common.errors import NotFound
from services.data.store import ObjectStoreSettings
from services.labels.app import create_app
from services.labels.desk import FolderDesk
from services.labels.settings import LabelsSettings
from services.labels.task import Answer
from tests.support.asgi import serving
from tests.support.cli import Cli
from tests.support.label_studio import facts
from tests.support.labelling import Log, shifted_png
from tests.support.receivers import wait_until
from workflows.commands.label import export_version, folder_name


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    log = Log(tmp_path / "monitor")
    log.serve([shifted_png(n) for n in range(12)], at=datetime.now(UTC) - timedelta(minutes=30))
    facts(tmp_path, digits="digits?items=300")
    settings = LabelsSettings(
        state_dir=tmp_path / "labels",
        cache_dir=tmp_path / "cache",
        monitor_store=str(tmp_path / "monitor"),
        applications_dir=tmp_path / "applications",
        desk=tmp_path / "desk",
        settle_seconds=0,
        random_share=1,
        overlap_share=0,
        minimum_agreement=0,
        poll_seconds=3600,
        quiet_seconds=3600,
    )
    app = create_app(settings, ObjectStoreSettings())
    with serving(app) as client:
        # The service looks around by itself once at its start: what it would find then, no command could.
        wait_until("the service looked around", lambda: app.state.service.clerk.last > 0)
        monkeypatch.setenv("ROOKERY_LABELS_URL", str(client.base_url))
        yield str(client.base_url)


def test_from_choosing_to_a_folder(cli: Cli, url: str, tmp_path: Path) -> None:
    done = cli("label", "sync", "--json")
    assert done.code == 0, done.err
    assert cli("label", "choose").out.endswith("`rookery label sync` brings them to people\n")
    desk = FolderDesk(tmp_path / "desk")
    tasks = sorted((tmp_path / "desk" / "digits" / "tasks").glob("*.json"))
    assert len(tasks) == 12
    for path in tasks[:-1]:
        desk.answer("digits", path.stem, "ann", Answer(("3",)))
    desk.answer("digits", tasks[-1].stem, "ann", Answer((), True, "ten"))
    done = cli("label", "sync")
    assert "12 answers new or changed" in done.out
    assert "version 1 of the dataset with 11 new items" in done.out
    done = cli("label", "status")
    assert "12 done" in done.out and "from 12 answers of 12 drawn" in done.out
    assert '1 inputs are called "ten"' in done.err
    assert json.loads(cli("label", "status", "--json").out)["offered"] == {"ten": 1}
    assert '"ten" is a class of digits now' in cli("label", "allow", "ten").out
    done = cli("label", "export", tmp_path / "copy")
    assert done.out == f"11 items in {tmp_path / 'copy'}\n"
    assert len(list((tmp_path / "copy").rglob("3/*.png"))) == 11
    assert json.loads((tmp_path / "copy" / "provenance.json").read_text())["number"] == 1
    assert "this exists already" in cli("label", "export", tmp_path / "copy").err
    done = cli("label", "export", tmp_path / "other", "--version", "7")
    assert done.err == "error: there is no such version of the dataset (got 7); allowed: 1 to 1\n"


def test_what_is_kept_apart_is_named_with_its_reason(cli: Cli, url: str, tmp_path: Path) -> None:
    cli("label", "sync")
    folder = tmp_path / "desk" / "digits" / "annotations"
    folder.mkdir()
    (folder / "ffff.ann.json").write_text("{}")
    assert "1 answers new or changed" in cli("label", "sync").out
    said = cli("label", "status").err
    assert "1 answers are kept apart, such as\n  ffff.ann.json: it is about no task of ours\n" in said


def test_what_the_service_refuses_is_one_line(cli: Cli, url: str) -> None:
    for arguments in (["choose", "-a", "nobody"], ["allow", "../x"], ["status", "-a", "../x"]):
        done = cli("label", *arguments)
        assert done.code == 1
        assert done.err.startswith("error: ") and done.err.count("\n") == 1


def test_without_a_service_it_says_how_to_start_one(cli: Cli) -> None:
    done = cli("label", "status")
    assert done.code == 1 and "`rookery up --with labels`" in done.err
    done = cli("label", "status", "--url", "http://127.0.0.1:9")
    assert "does not answer" in done.err
    done = cli("label", "status", "--url", "nonsense")
    assert done.code == 1 and done.err.count("\n") == 1


@pytest.mark.parametrize("label", ["../../x", "a/b", ".ssh", "a\\b", "x" * 300, "\n", "ok name"])
def test_no_class_leads_out_of_the_folder(tmp_path: Path, label: str) -> None:
    name = folder_name(label)
    assert (tmp_path / name).resolve().parent == tmp_path
    assert 0 < len(name) <= 80 and not name.startswith(".")


def test_there_is_no_such_version(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        export_version(str(tmp_path), 3, tmp_path / "to")
    assert not (tmp_path / "to").exists()
