"""The repository that the environments follow: read any commit, add one commit by compare-and-swap.

Nothing is checked out: a commit is made from objects, so any number of processes may share one cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.common.errors import InvalidInput, NotFound, Unavailable
from workflows.release.git import Git, GitError, check_remote
from workflows.release.names import check_token, one_line
from workflows.release.settings import GitSettings
from workflows.release.tree import Tree

_UNMOVED_TRIES = 4
_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Message:
    """What a commit says: one subject line, free paragraphs, and trailers for programs."""

    subject: str
    trailers: Mapping[str, str]
    body: tuple[str, ...] = ()

    def text(self) -> str:
        """The whole message; free text is brought to single lines so that it cannot pass for a trailer."""
        trailers = "\n".join(
            f"{check_token(key, 'trailer')}: {one_line(value)}" for key, value in self.trailers.items()
        )
        # A paragraph after which another follows is never read as the trailer block.
        paragraphs = [
            one_line(self.subject, 120),
            *(one_line(part) for part in self.body if one_line(part)),
            trailers,
        ]
        return "\n\n".join(paragraphs) + "\n"


@dataclass(frozen=True)
class Done:
    """The answer of a change that finds its work in the history already."""

    revision: str


@dataclass(frozen=True)
class Commit:
    """What became of a change.

    Attributes:
        revision: the commit that holds it.
        created: whether it was made now; else it was found.
        tries: pushes it took; 0 when nothing was pushed.
    """

    revision: str
    created: bool
    tries: int = field(default=0, compare=False)


Change = Callable[[Tree], Message | Done]


class GitOps:
    """One branch of one remote.

    Args:
        remote: anything that git takes: a path, file://, http(s)://, ssh:// or host:path.
        cache: a folder for bare copies; made when missing and safe to delete.
        settings: identity, branch and time limits.
    """

    def __init__(self, remote: str, cache: Path, settings: GitSettings | None = None) -> None:
        self.remote = check_remote(remote)
        self.settings = settings or GitSettings()
        self.path = cache / f"gitops-{hashlib.sha256(remote.encode()).hexdigest()[:16]}.git"
        self.git = Git(self.path, self.settings)

    def tip(self) -> str:
        """The newest commit of the branch, fetched now.

        Raises:
            Unavailable: the remote does not answer, or has no such branch.
        """
        branch = self.settings.branch
        with self._locked():
            try:
                self._fetch()
            except GitError as error:
                raise Unavailable(
                    f"the branch {branch} of {self.remote} cannot be read: {error.message}"
                ) from error
            return self.git.text("rev-parse", "--verify", f"refs/remotes/origin/{branch}")

    def tree(self, revision: str | None = None) -> Tree:
        """The files of a commit, of the newest one by default.

        Raises:
            NotFound: the branch has no such commit.
        """
        if revision is None:
            return Tree(self.git, self.tip())
        if not self._has(revision):
            self.tip()
            if not self._has(revision):
                raise NotFound(f"{self.remote} has no such commit", value=revision)
        return Tree(self.git, revision)

    def read(self, path: str, revision: str | None = None) -> bytes | None:
        """A file of a commit, of the newest one by default."""
        return self.tree(revision).read(path)

    def commit(self, change: Change) -> Commit:
        """Make one commit on the tip and push it.

        `change` stages files in the tree it is given and says the message, or answers `Done`. When the tip
        has moved meanwhile it is called again, so its preconditions always hold for the parent of the commit.

        Raises:
            Unavailable: the remote refuses while its tip stands still, or others were faster all the time.
            RookeryError: whatever `change` raises; then nothing was pushed.
        """
        deadline = time.monotonic() + self.settings.push_seconds
        tip = self.tip()
        unmoved = tries = 0
        while True:
            tree = Tree(self.git, tip)
            message = change(tree)
            if isinstance(message, Done):
                return Commit(message.revision, created=False)
            if not tree.changes:
                return Commit(tip, created=False)
            made = self._commit_object(tree, message)
            tries += 1
            failure = self._push(made)
            if failure is None:
                return Commit(made, created=True, tries=tries)
            # A push can arrive although the connection broke: the history alone decides.
            now = self.tip()
            if self.git.succeeds("merge-base", "--is-ancestor", made, now):
                return Commit(made, created=True, tries=tries)
            unmoved = unmoved + 1 if now == tip else 0
            if unmoved >= _UNMOVED_TRIES or time.monotonic() > deadline:
                raise Unavailable(f"nothing could be pushed to {self.remote}: {failure}")
            tip = now
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS * 2 ** min(tries, 5))))  # noqa: S311

    def _has(self, revision: str) -> bool:
        """Whether the branch, as it was fetched last, has a commit; others may lie in the cache, never pushed."""
        if not re.fullmatch(r"[0-9a-f]{7,64}", revision):
            raise InvalidInput("this is no commit", value=revision)
        there = (self.path / "HEAD").exists()
        branch = f"refs/remotes/origin/{self.settings.branch}"
        return there and self.git.succeeds("merge-base", "--is-ancestor", revision, branch)

    def _commit_object(self, tree: Tree, message: Message) -> str:
        made = self.git.run(
            "commit-tree", tree.write_tree(), "-p", tree.revision, "-F", "-", data=message.text().encode()
        )
        return made.decode().strip()

    def _push(self, revision: str) -> str | None:
        try:
            self.git.run(
                "push", "--quiet", "--no-verify", "--end-of-options", self.remote,
                f"{revision}:refs/heads/{self.settings.branch}",
            )  # fmt: skip
        except (GitError, Unavailable) as error:
            return error.message
        return None

    def _fetch(self) -> None:
        branch = self.settings.branch
        fetch = (
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options", self.remote,
            f"+refs/heads/{branch}:refs/remotes/origin/{branch}",
        )  # fmt: skip
        try:
            self.git.run(*fetch)
        except GitError:
            # Nobody else fetches now, so a lock was left by a fetch that was killed. Only that goes: others may be
            # at work on objects of this cache.
            left = list(self.path.glob("refs/**/*.lock"))
            if not left:
                raise
            for lock in left:
                lock.unlink(missing_ok=True)
            self.git.run(*fetch)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.path / "HEAD").exists():
                Git(self.path.parent, self.settings).run("init", "--quiet", "--bare", "--", str(self.path))
            yield
