"""`app` and `render`: applications in git, templates as YAML."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.data.generate import write_pictures
from tests.support.cli import Cli
from tests.support.gitops import Remote, git
from workflows.commands.templates import template_names


def test_applications_are_listed_from_git(cli: Cli, remote: Remote) -> None:
    found = cli("app", "list", "--repo", remote.path, "--json").json()
    assert [(one["name"], one["ports"]) for one in found] == [("digits", remote.ports)]


def test_a_new_application_is_one_commit_on_free_ports(cli: Cli, remote: Remote, tmp_path: Path) -> None:
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    made = cli(
        *(
            "app",
            "create",
            "shapes",
            "--data-source",
            "digits",
            "--model-name",
            "cnn",
            "--kind",
            "image",
            "--json",
        )
    ).json()
    assert not set(made["ports"].values()) & set(remote.ports.values())
    assert [one["name"] for one in cli("app", "list", "--json").json()] == ["digits", "shapes"]
    assert git(tmp_path / "home" / "gitops.git", "rev-parse", "main") == made["commit"]
    assert "Nothing is released" in cli("why", "staging", "-a", "shapes").out
    again = cli(
        "app", "create", "shapes", "--data-source", "digits", "--model-name", "cnn", "--kind", "image"
    )
    assert again.code == 1
    assert "already" in again.err


@pytest.mark.parametrize(("kind", "model"), [("image", "cnn"), ("audio", "mel-cnn")])
def test_a_new_application_trains_the_small_family_when_none_is_named(
    cli: Cli, remote: Remote, tmp_path: Path, kind: str, model: str
) -> None:
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    made = cli("app", "create", "mushrooms", "--data-source", "s3://data/mushrooms", "--kind", kind, "--json")
    assert made.json()["model_name"] == model


def test_a_relative_folder_is_committed_as_an_absolute_path(
    cli: Cli, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    write_pictures(tmp_path / "shapes", items=24, classes=2, seed=1)
    monkeypatch.chdir(tmp_path)
    facts = cli("app", "create", "shapes", "--data-source", "shapes?min_items=3", "--json").json()
    assert (facts["data_source"], facts["kind"]) == (f"{tmp_path}/shapes?min_items=3", "image")


_SOUNDS = "synthetic-birds?recordings=12&species=2&seconds=0.5"


@pytest.mark.parametrize(
    ("source", "others", "reasons"),
    [
        ("digits", ["--model-name", "vit"], ["unknown model name", "mel-cnn"]),
        ("digits", ["--model-name", "mel-cnn"], ["mel-cnn is trained on sounds", "resnet18"]),
        (_SOUNDS, ["--model-name", "cnn"], ["cnn is trained on pictures", "mel-resnet18"]),
        ("digits", ["--kind", "audio"], ["holds pictures, not sounds"]),
        ("../nowhere/shapes", [], ["unknown data source", "/path/to/folder"]),
        ("/nowhere/shapes", ["--kind", "image"], ["the data source is no folder"]),
        ("{tmp}/one", [], ["1 classes"]),
        ("s3://", ["--kind", "image"], ["no name of a bucket", "s3://bucket/prefix"]),
        ("s3://data/shapes", [], ["say what it holds", "--kind"]),
        ("s3://data/shapes", ["--kind", "audio", "--model-name", "cnn"], ["cnn is trained on pictures"]),
    ],
)
def test_an_application_that_could_not_be_trained_is_not_committed(
    cli: Cli, remote: Remote, tmp_path: Path, source: str, others: list[str], reasons: list[str]
) -> None:
    gitops = tmp_path / "home" / "gitops.git"
    shutil.copytree(remote.path, gitops)
    before = git(gitops, "rev-parse", "main")
    write_pictures(tmp_path / "made", items=24, classes=2, seed=1)
    (tmp_path / "made/training/class_00").rename(tmp_path / "one")
    (tmp_path / "one" / "class_00").mkdir()
    for picture in (tmp_path / "one").glob("*.*"):
        picture.rename(tmp_path / "one" / "class_00" / picture.name)
    done = cli("app", "create", "shapes", "--data-source", source.format(tmp=tmp_path), *others)
    assert done.code == 1
    assert all(reason in done.err for reason in reasons), done.err
    assert git(gitops, "rev-parse", "main") == before


def test_a_name_that_is_a_path_is_no_application(cli: Cli, remote: Remote, tmp_path: Path) -> None:
    done = cli("app", "create", "../x", "--data-source", "digits", "--model-name", "cnn", "--kind", "image")
    assert done.code == 1
    assert "this is no name" in done.err


def test_rendering_writes_every_template_and_tells_what_is_stale(cli: Cli, tmp_path: Path) -> None:
    assert cli("render", "--folder", tmp_path / "yaml").code == 0
    assert cli("render", "--folder", tmp_path / "yaml", "--check").code == 0
    assert sorted(path.stem for path in (tmp_path / "yaml").glob("*.yaml")) == template_names()
    (tmp_path / "yaml" / "train-model.yaml").write_text("other\n")
    stale = cli("render", "--folder", tmp_path / "yaml", "--check")
    assert stale.code == 3
    assert "train-model.yaml" in stale.err
