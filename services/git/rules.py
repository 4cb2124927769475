"""Who may push what: asked by the hook `pre-receive` before any branch moves.

The user `release`, whose password the workflows have, can do one thing: choose by digest which image of our registry an
environment runs. A release component may hold nothing else, so that a stolen password starts no workload of somebody's
own making.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.git.settings import GitServerSettings

_ZERO = re.compile(r"0+")
_NAME = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_FOLDER = re.compile(
    rf"(k8s/apps/{_NAME}/{_NAME})/release/(kustomization\.yaml|evidence\.json|quarantine\.json)"
)
_PLAIN_FILE = "100644"
_GONE = "000000"
_MAX_COMMITS = 200
_MAX_FILE_BYTES = 4 << 20
_DIGEST = r"sha256:[0-9a-f]{64}"
_HEAD = r"apiVersion: kustomize\.config\.k8s\.io/v1alpha1\nkind: Component\n"
# How much of the live traffic the environment before this one gets: two weights that make 100, at most half.
_WEIGHT = r'"op": "replace", "path": "/spec/rules/0/backendRefs/{}/weight", "value": (?P<{}>{})'
_COMPONENT = re.compile(
    _HEAD
    + rf"images:\n- name: rookery/model\n  newName: (?P<image>[a-z0-9][a-z0-9._:/-]{{0,200}})\n  digest: {_DIGEST}\n"
    + r"configMapGenerator:\n- name: release\n  literals:\n(?:  - ROOKERY_SERVE_[A-Z_]+=[A-Za-z0-9._:-]*\n){0,10}"
    + r"(?:patches:\n- target:\n    kind: HTTPRoute\n  patch: '\[\{"
    + _WEIGHT.format(0, "live", "[5-9][0-9]")
    + r"\}, "
    + r"\{"
    + _WEIGHT.format(1, "canary", "[1-9]|[1-4][0-9]|50")
    + r"\}\]'\n)?"
)
_EMPTY = re.compile(_HEAD + r"replicas:\n- name: serve\n  count: 0\n")


class NotAllowed(Exception):
    """A push that breaks a rule; the text is what the user is told."""


@dataclass(frozen=True)
class Update:
    """One line of what git gives to the hook: a branch or tag, where it is and where it shall be."""

    old: str
    new: str
    ref: str

    @property
    def creates(self) -> bool:
        return _ZERO.fullmatch(self.old) is not None

    @property
    def deletes(self) -> bool:
        return _ZERO.fullmatch(self.new) is not None


def parse_updates(lines: Iterable[str]) -> list[Update]:
    """What stands on the hook's standard input."""
    return [Update(*line.rstrip("\n").split(" ", 2)) for line in lines if line.strip()]


def check_push(settings: GitServerSettings, user: str, updates: list[Update]) -> None:
    """Pass when a user may make these updates, all together.

    Raises:
        NotAllowed: one of them may not be made.
    """
    if not settings.may_write_all(user) and not settings.may_release(user):
        raise NotAllowed(f"the user {user or '(none)'} may only read")
    for update in updates:
        if update.ref == settings.main_ref:
            _check_main(settings, update)
        if not settings.may_write_all(user):
            _check_release(settings, user, update)


def _check_main(settings: GitServerSettings, update: Update) -> None:
    if update.deletes:
        raise NotAllowed(f"the branch {settings.branch} is never deleted")
    if not update.creates and not _succeeds("merge-base", "--is-ancestor", update.old, update.new):
        raise NotAllowed(
            f"the branch {settings.branch} is never rewritten: fetch, and push on top of its tip"
        )


def _check_release(settings: GitServerSettings, user: str, update: Update) -> None:
    if update.ref != settings.main_ref:
        raise NotAllowed(f"the user {user} may write the branch {settings.branch} only, not {update.ref}")
    if update.creates:
        raise NotAllowed(f"the user {user} may not create the branch {settings.branch}")
    commits = _git("rev-list", "--reverse", "--parents", f"{update.old}..{update.new}").split("\n")
    if len(commits) > _MAX_COMMITS:
        raise NotAllowed(f"{len(commits)} commits in one push; allowed for {user}: {_MAX_COMMITS}")
    for line in filter(None, commits):
        commit, *parents = line.split(" ")
        if len(parents) != 1:
            raise NotAllowed(f"commit {commit[:12]} is a merge; the user {user} may push plain commits only")
        for change in _changes(parents[0], commit):
            _check_change(settings, user, update, commit, change)


@dataclass(frozen=True)
class _Change:
    mode: str
    blob: str
    path: str


def _changes(parent: str, commit: str) -> Iterator[_Change]:
    """Source: git-diff-tree(1), raw output format with -z."""
    parts = _git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", parent, commit).split("\0")
    for head, path in zip(parts[0::2], parts[1::2], strict=False):
        _, mode, _, blob, _ = head.split(" ")
        yield _Change(mode, blob, path)


def _check_change(
    settings: GitServerSettings, user: str, update: Update, commit: str, change: _Change
) -> None:
    where = f"commit {commit[:12]}, {change.path!r}"
    known = _FOLDER.fullmatch(change.path)
    if known is None:
        raise NotAllowed(
            f"{where}: the user {user} may write k8s/apps/<application>/<environment>/release/ only"
        )
    if not _succeeds("cat-file", "-e", f"{update.old}:{known[1]}/kustomization.yaml"):
        raise NotAllowed(f"{where}: there is no such environment")
    if change.mode == _GONE:
        return
    if change.mode != _PLAIN_FILE:
        raise NotAllowed(f"{where}: not a plain file (mode {change.mode})")
    size = int(_git("cat-file", "-s", change.blob))
    if size > _MAX_FILE_BYTES:
        raise NotAllowed(f"{where}: {size} bytes; allowed: {_MAX_FILE_BYTES}")
    if known[2] == "kustomization.yaml":
        _check_component(settings, where, _git("cat-file", "blob", change.blob) + "\n")


def _check_component(settings: GitServerSettings, where: str, text: str) -> None:
    found = _COMPONENT.fullmatch(text)
    if found is None and not _EMPTY.fullmatch(text):
        raise NotAllowed(
            f"{where}: a release names one image by digest, or nothing, and has no other content"
        )
    if found and not found["image"].startswith(settings.images):
        raise NotAllowed(f"{where}: a release names an image below {settings.images}, not {found['image']}")
    if found and found["canary"] and int(found["canary"]) + int(found["live"]) != 100:
        raise NotAllowed(f"{where}: the weights of a share of live traffic make 100 together")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=False, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise NotAllowed(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout.decode(errors="surrogateescape").rstrip("\n")


def _succeeds(*arguments: str) -> bool:
    return subprocess.run(["git", *arguments], check=False, capture_output=True, timeout=60).returncode == 0
