"""Who may push what to the site's repository, tried with each user's password against the git server in the cluster."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import Cluster
from workflows.release.component import render_component

RELEASE = "k8s/apps/digits/canary/release/kustomization.yaml"


def _append(folder: Path, path: str, text: str = "# tried\n") -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text((target.read_text() if target.exists() else "") + text)


def _resources(folder: Path) -> None:
    release = yaml.safe_load((folder / RELEASE).read_text())
    (folder / RELEASE).write_text(yaml.safe_dump(release | {"resources": ["../../../../platform/git"]}))


def _tag_instead_of_digest(folder: Path) -> None:
    text = (folder / RELEASE).read_text()
    lines = [line for line in text.splitlines() if "digest:" not in line]
    (folder / RELEASE).write_text("\n".join([*lines, "  newTag: latest", ""]))


def _of_another_registry(folder: Path) -> None:
    image = "elsewhere.example/rookery/digits"
    (folder / RELEASE).write_bytes(render_component(image, f"sha256:{'0' * 64}", "1"))


def _link(folder: Path) -> None:
    (folder / RELEASE).unlink()
    (folder / RELEASE).symlink_to("/etc/passwd")


REFUSED: dict[str, Callable[[Path], None]] = {
    "the manifests of an environment": partial(_append, path="k8s/apps/digits/canary/kustomization.yaml"),
    "the platform": partial(_append, path="k8s/platform/git/deployment.yaml"),
    "the facts of the site": partial(_append, path="k8s/site/facts/settings.yaml"),
    "what Argo CD follows": partial(_append, path="k8s/argocd/projects.yaml"),
    "the code": partial(_append, path="workflows/cli.py"),
    "another file beside a release": partial(_append, path="k8s/apps/digits/canary/release/more.yaml"),
    "an environment that does not exist": partial(
        _append, path="k8s/apps/digits/elsewhere/release/evidence.json"
    ),
    "a release that brings resources": _resources,
    "a release by tag": _tag_instead_of_digest,
    "an image of another registry": _of_another_registry,
    "a release that is a link": _link,
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_the_workflows_can_push_nothing_but_releases(
    cluster: Cluster, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    before = cluster.tip()
    folder = _clone(cluster, tmp_path, "release")
    change(folder)
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "tried")
    pushed = _git(folder, "push", "origin", "HEAD:main", check=False)
    assert pushed.returncode != 0
    assert (
        "may write" in pushed.stderr
        or "a release names" in pushed.stderr  # one image by digest, of our registry
        or "no such environment" in (pushed.stderr)
        or "not a plain file" in pushed.stderr
    ), pushed.stderr
    assert cluster.tip() == before


def test_one_bad_commit_below_a_good_one_is_seen(cluster: Cluster, tmp_path: Path) -> None:
    before = cluster.tip()
    folder = _clone(cluster, tmp_path, "release")
    _append(folder, "workflows/cli.py")
    _git(folder, "commit", "-qam", "tried")
    _git(folder, "revert", "--no-edit", "HEAD")
    pushed = _git(folder, "push", "origin", "HEAD:main", check=False)
    assert pushed.returncode != 0 and "may write" in pushed.stderr
    assert cluster.tip() == before


@pytest.mark.parametrize(
    "words", [["HEAD:refs/heads/other"], ["HEAD:refs/tags/v9"], [":main"], ["+HEAD~1:main"]]
)
@pytest.mark.parametrize("user", ["release", "argocd"])
def test_branches_and_tags_are_not_theirs(
    cluster: Cluster, tmp_path: Path, user: str, words: list[str]
) -> None:
    before = cluster.tip()
    folder = _clone(cluster, tmp_path, user)
    assert _git(folder, "push", "origin", *words, check=False).returncode != 0
    assert cluster.tip() == before
    refs = _git(folder, "ls-remote", "origin").stdout
    assert "refs/heads/other" not in refs and "refs/tags/v9" not in refs


def test_the_branch_is_rewritten_by_nobody(cluster: Cluster, tmp_path: Path) -> None:
    before = cluster.tip()
    folder = _clone(cluster, tmp_path, "operator")
    pushed = _git(folder, "push", "origin", "+HEAD~1:main", check=False)
    assert pushed.returncode != 0 and "never rewritten" in pushed.stderr
    assert cluster.tip() == before


def test_who_has_no_password_reads_nothing(cluster: Cluster, tmp_path: Path) -> None:
    for login in ("", "release:wrong@", "nobody:x@"):
        url = re.sub("//[^@]*@", f"//{login}", cluster.git_url())
        done = _git(tmp_path, "-c", "credential.helper=", "ls-remote", url, check=False)
        assert done.returncode != 0, login


def _clone(cluster: Cluster, folder: Path, user: str) -> Path:
    target = folder / "clone"
    _git(folder, "clone", "-q", cluster.git_url(user), str(target))
    return target


def _git(folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    who = ["-c", "user.name=tried", "-c", "user.email=tried@localhost"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )  # fmt: skip
    assert not check or done.returncode == 0, re.sub("//[^@ ]*@", "//", done.stderr)
    return done
