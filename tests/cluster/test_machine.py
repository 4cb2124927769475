"""The test machine's own rules: stages, processes, pins, and that the mirror has what the manifests name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.cluster import __main__ as command
from tests.cluster import binaries, engine, image_builds, nodes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOKERY_CLUSTER_CACHE", str(tmp_path / "cache"))


def test_a_stage_runs_again_only_when_an_input_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "given"
    given.write_text("one")
    runs: list[str] = []

    def work() -> None:
        runs.append(given.read_text())

    assert engine.stage("image a/b:1", work, [given, "option"])
    assert not engine.stage("image a/b:1", work, [given, "option"])
    given.write_text("two")
    assert engine.stage("image a/b:1", work, [given, "option"])
    assert engine.stage("image a/b:1", work, [given, "option"], lambda: False)
    assert runs == ["one", "two", "two"]
    assert "unchanged" in capsys.readouterr().out


def test_a_stage_that_fails_leaves_no_stamp() -> None:
    def fail() -> None:
        raise engine.ClusterError("no")

    with pytest.raises(engine.ClusterError):
        engine.stage("s", fail)
    assert engine.stage("s", lambda: None)


def test_the_hash_of_a_folder_sees_names_and_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("x")
    first = engine.digest([folder])
    (folder / "a").rename(folder / "b")
    assert engine.digest([folder]) != first
    assert engine.digest(["ab", "c"]) != engine.digest(["a", "bc"])


def test_a_wait_says_what_it_waited_for() -> None:
    with pytest.raises(engine.ClusterError, match="waited 0 s for the moon"):
        engine.wait_for("the moon", lambda: False, 0.1, 0.02)


def test_a_failed_command_shows_its_last_lines() -> None:
    with pytest.raises(engine.ClusterError, match="ended with 3:\nit broke"):
        engine.run("sh", "-c", "echo it broke >&2; exit 3")
    with pytest.raises(engine.ClusterError, match="no-such-program is not installed"):
        engine.run("no-such-program")


def test_only_the_process_that_was_started_is_ended() -> None:
    pid = engine.start_process("sleeper", "sleep", "100")
    assert engine.running("sleeper") == pid
    record = engine.cache() / "run/sleeper.json"
    kept = record.read_text()
    record.write_text(json.dumps({**json.loads(kept), "started": "1"}))
    assert engine.running("sleeper") is None
    record.write_text(kept)
    assert engine.stop_process("sleeper")
    assert not engine.stop_process("sleeper")


def test_without_an_engine_the_command_fails_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "engine_answers", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(engine.ClusterError, match="no container engine answers"):
        engine.start_engine()


def test_the_engine_is_asked_for_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a machine on which no container can run would compile for half an hour before it says so."""
    monkeypatch.setattr(engine, "engine_answers", lambda: False)
    monkeypatch.setattr(engine, "install_packages", lambda: None)
    monkeypatch.setattr(binaries, "build_all", lambda: pytest.fail("built without an engine"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["tests.cluster", "up", "--nodes", "1"])
    assert command.main() == 1
    assert "tests.cluster up FAILED: no container engine answers" in capsys.readouterr().err


@pytest.mark.parametrize("component", binaries.COMPONENTS, ids=lambda component: component.name)
def test_each_component_is_a_pinned_module_with_its_tools(component: binaries.Component) -> None:
    text = (component.module / "go.mod").read_text()
    if component.name == "pause":
        assert "require" not in text
        return
    assert (component.module / "go.sum").is_file()
    tools = re.findall(r"^(?:tool )?\s*(\S+/\S+)$", text, re.MULTILINE)
    made = {re.sub(r"/v\d+$", "", path).rsplit("/", 1)[1] for path in tools}
    assert made >= {name for name in component.programs if name != "v5"}


def test_the_mirror_has_every_third_party_image_that_the_manifests_name() -> None:
    held = {name for image in image_builds.IMAGES for name in image.names}
    # Not synced unless the inventory says `metrics: true`; the nodes in containers have Debian's versions of them.
    facts = yaml.safe_load((ROOT / "ansible/roles/site_facts/vars/main.yml").read_text())
    packs = facts["site_facts_packs"]
    left_out = {ROOT / folder for name in ("metrics", "dashboards") for folder in packs[name]["folders"]}
    assert all(folder.is_dir() for folder in left_out)
    inventory = yaml.safe_load((ROOT / "ansible/inventories/e2e/group_vars/all.yml").read_text())
    assert {inventory[f"{name}_image"].partition("/")[2] for name in ("prometheus", "alertmanager")} <= held
    for path in sorted((ROOT / "k8s").rglob("*.yaml")):
        if path.parent in left_out:
            continue
        for document in yaml.safe_load_all(path.read_text()):
            for name in re.findall(r"'image': '([^']+)'", repr(document)):
                if name.startswith("rookery/"):
                    continue
                host, _, path_in_host = name.partition("/")
                full = path_in_host if path_in_host and "." in host else name
                assert {full, f"library/{full}"} & held, f"{path}: {name}"


def test_each_image_has_a_dockerfile_and_known_programs() -> None:
    known = {name for component in binaries.COMPONENTS for name in component.programs.values()}
    for image in image_builds.IMAGES:
        assert (image_builds.FOLDERS / image.folder / "Dockerfile").is_file()
        assert set(image.programs) <= known


def test_nodes_whose_engine_has_ended_are_removed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    (engine.cache() / "run").mkdir(parents=True)
    (engine.cache() / "run/dockerd.json").write_text('{"pid": 0, "started": "1"}')
    answering: list[bool] = []
    removed: list[bool] = []
    monkeypatch.setattr(engine, "start_engine", lambda: answering.append(True))
    monkeypatch.setattr(engine, "engine_answers", lambda: bool(answering))
    monkeypatch.setattr(nodes, "remove_all", lambda: removed.append(True))
    command.down()
    assert removed == [True]
    command.down()
    assert removed == [True, True] and len(answering) == 1
