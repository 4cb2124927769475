"""What of the state folder goes, what stays, and what is left alone because it is in use."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from services.common.errors import Conflict, NotFound
from tests.support.gitops import REPOSITORY, Remote
from tests.support.release import write_bundle_files
from workflows.local import pruning
from workflows.local.pruning import DAY, Bounds, prune
from workflows.local.runs import list_runs
from workflows.local.settings import PlatformSettings
from workflows.local.workflow import Workflow
from workflows.release.image import ImageStore, ServingBase


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    home = tmp_path / "home"
    remote = Remote(home)
    image, bundle = remote.build(1)
    remote.release(1, image, bundle)
    return PlatformSettings(home=home)


def _run(
    settings: PlatformSettings, name: str, days: float, phase: str = "Succeeded", text: str = ""
) -> Path:
    folder = settings.home / "runs" / name
    folder.mkdir(parents=True)
    at = time.time() - days * DAY
    Workflow(name, name, at, "default", {"kind": "Workflow"}, {"x": text}, {}, {}, {}).save(
        folder / "workflow.json"
    )
    finished = at if phase in ("Succeeded", "Failed", "Error") else None
    record = {"kind": "workflow", "at": at, "phase": phase, "started": at, "finished": finished}
    (folder / "journal.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def _old(path: Path, days: float) -> Path:
    for one in (*path.rglob("*"), path):
        os.utime(one, (time.time() - days * DAY,) * 2)
    return path


def _folder(path: Path, days: float) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x" * 100)
    return _old(path, days)


def _gone(settings: PlatformSettings, bounds: Bounds) -> set[tuple[str, str]]:
    return {(one.what, one.name) for one, removed in prune(settings, bounds) if removed}


def test_a_run_goes_when_it_is_old_and_not_among_the_newest(settings: PlatformSettings) -> None:
    for days in (50, 40, 35, 10, 1):
        _run(settings, f"run-{days}", days)
    _run(settings, "waiting", 90, "Running")
    assert _gone(settings, Bounds(30, 4)) == {("run", "run-50")}
    assert _gone(settings, Bounds(30, 0)) == {("run", "run-40"), ("run", "run-35")}
    assert sorted(run.name for run in list_runs(settings.home)) == ["run-1", "run-10", "waiting"]
    assert sorted(path.name for path in (settings.home / "runs").iterdir()) == ["run-1", "run-10", "waiting"]


def test_a_run_that_has_just_ended_stays_for_those_who_wait_for_it(settings: PlatformSettings) -> None:
    _run(settings, "just-now", 10 / DAY)
    _run(settings, "a-while-ago", 100 / DAY)
    assert _gone(settings, Bounds(0, 0)) == {("run", "a-while-ago")}


def test_nothing_goes_in_a_dry_run(settings: PlatformSettings) -> None:
    folder = _run(settings, "run-50", 50)
    found = list(prune(settings, Bounds(30, 0), dry_run=True))
    assert [(one.name, removed) for one, removed in found] == [("run-50", False)]
    assert found[0][0].size == sum(path.stat().st_size for path in folder.iterdir())


def test_a_run_whose_engine_is_at_work_stays(settings: PlatformSettings) -> None:
    folder = _run(settings, "run-50", 50)
    with (folder / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert _gone(settings, Bounds(30, 0)) == set()
    assert _gone(settings, Bounds(30, 0)) == {("run", "run-50")}


def test_what_a_killed_submission_or_prune_left_is_seen_by_nobody_and_goes(
    settings: PlatformSettings,
) -> None:
    _old(_run(settings, ".uid", 2), 2)
    _run(settings, f"{pruning._GOING}run-1", 0)
    young = _run(settings, ".young", 0)
    assert list_runs(settings.home) == []
    assert len(_gone(settings, Bounds())) == 2
    assert list((settings.home / "runs").iterdir()) == [young]


def test_an_image_that_an_open_run_or_a_server_names_stays(settings: PlatformSettings) -> None:
    store, base = ImageStore(settings.images), ServingBase.from_checkout(REPOSITORY)
    images = {}
    for version in (2, 3, 4):
        bundle = write_bundle_files(settings.home / f"bundle-{version}", model=bytes([version]))
        images[version] = store.build(base, bundle, {"io.rookery.model-version": str(version)})
    _old(settings.images / "blobs", 50)
    _run(settings, "waiting", 40, "Running", text=f"image {images[2]}")
    status = settings.deploy / "digits" / "staging" / "status.json"
    status.parent.mkdir(parents=True)
    status.write_text(json.dumps({"running": images[3]}))
    assert {name.split()[-1] for what, name in _gone(settings, Bounds()) if what == "image"} == {"4"}
    assert len(store.images()) == 3


def test_without_git_no_image_goes(settings: PlatformSettings) -> None:
    settings.gitops.rename(settings.home / "elsewhere")
    with pytest.raises(NotFound, match="nobody knows which images are needed"):
        list(prune(settings, Bounds(0, 0)))


def test_caches_go_by_their_last_use_and_not_while_they_are_locked(settings: PlatformSettings) -> None:
    home = settings.home
    features = _folder(home / "data" / "features" / "aaa", 40)
    _folder(home / "data" / "features" / "bbb", 3)
    _folder(home / "evaluate" / "runs" / "r1", 40)
    _folder(home / "cache" / "images" / "unpacked" / ("0" * 64), 40)
    _folder(home / "cache" / "bundles" / "abc", 40)
    _folder(home / "data" / "objects" / "o1", 40)
    with features.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert _gone(settings, Bounds()) == {
            ("verdict", "r1"),
            ("bundle", "0" * 12),
            ("bundle", "abc"),
            ("objects", "o1"),
        }
    assert _gone(settings, Bounds()) == {("features", "aaa")}


def test_a_loaded_bundle_stays_while_a_workflow_is_under_way(settings: PlatformSettings) -> None:
    bundle = _folder(settings.home / "cache" / "bundles" / "abc", 40)
    _run(settings, "now", 0, "Running")
    assert _gone(settings, Bounds()) == set()
    assert bundle.exists()


def test_a_long_log_keeps_its_end_beside_and_goes_on(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_LOG_BYTES", 1000)
    monkeypatch.setattr(pruning, "_KEPT_LOG_BYTES", 100)
    settings.logs.mkdir(exist_ok=True)
    path = settings.logs / "train.log"
    with path.open("ab", buffering=0) as log:
        log.write(b"".join(b"line %04d\n" % number for number in range(200)))
        assert _gone(settings, Bounds()) == {("log", "train.log")}
        log.write(b"next\n")
    assert path.read_bytes() == b"next\n"
    kept = (settings.logs / "train.log.1").read_text().splitlines()
    assert kept[-1] == "line 0199"
    assert 5 <= len(kept) <= 10
    _old(settings.logs / "train.log.1", 40)
    assert _gone(settings, Bounds()) == {("log", "train.log.1")}


def test_two_at_once_are_one(settings: PlatformSettings) -> None:
    _run(settings, "run-50", 50)
    first = prune(settings, Bounds(30, 0))
    next(first)
    with pytest.raises(Conflict, match="another `rookery prune`"):
        next(prune(settings, Bounds()))
    first.close()
    assert list(prune(settings, Bounds())) == []
