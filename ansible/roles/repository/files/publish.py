#!/usr/bin/env python3
"""Bring the source of the platform and the facts of one site together in a git work tree, and push them.

    publish.py WORK_TREE --source COMMIT --site FOLDER [--remote URL] [--branch main] [--push] [--login]

The tree starts from the remote's branch where there is one (releases and changes by hand are there), takes in the
source's commits by a merge, and lays the site's files over k8s/site. Prints one line for each thing that it changed, so
that nothing printed means nothing changed. With --login standard input is a JSON object with `username` and `password`:
a command line or the environment of a task can be read by others.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

SITE = "k8s/site"
HELPER = '!answer() { printf \'username=%s\\npassword=%s\\n\' "$GIT_USERNAME" "$GIT_PASSWORD"; }; answer'
ATTEMPTS = 5


class Failed(Exception):
    """Something that the caller must settle; the text says what."""


class Tree:
    """A work tree, and git run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run git in the tree.

        Raises:
            Failed: git did, and `check` is set.
        """
        command = [
            "git",
            "-C",
            str(self.path),
            "-c",
            "credential.helper=",
            "-c",
            f"credential.helper={HELPER}",
        ]
        command += ["-c", "user.name=rookery-site", "-c", "user.email=rookery-site@localhost"]
        done = subprocess.run(
            [*command, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
        if check and done.returncode != 0:
            raise Failed(f"git {words[0]} failed: {(done.stderr or done.stdout).strip()}")
        return done

    def commit_of(self, name: str) -> str:
        """The commit that a name stands for, or an empty string."""
        return self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False).stdout.strip()

    def holds(self, ancestor: str, name: str) -> bool:
        """Whether a commit is part of the history of another."""
        return self.git("merge-base", "--is-ancestor", ancestor, name, check=False).returncode == 0


def combine(tree: Tree, source: str, start: str) -> list[str]:
    """Check out `start` (or the source where that is empty), and merge the source into it; returns what changed.

    Raises:
        Failed: both changed the same lines outside of the site's facts.
    """
    tree.git("checkout", "--quiet", "--force", "--detach", start or source)
    tree.git("clean", "--quiet", "--force", "-d")
    if tree.holds(source, "HEAD"):
        return []
    merge = tree.git(
        "merge", "--quiet", "--no-edit", "-m", f"site: take in {source[:12]}", source, check=False
    )
    if merge.returncode != 0:
        both = tree.git("diff", "--name-only", "--diff-filter=U").stdout.split()
        foreign = [name for name in both if not name.startswith(f"{SITE}/")]
        if foreign or not both:
            tree.git("merge", "--abort", check=False)
            said = ", ".join(foreign) or merge.stderr.strip()
            raise Failed(f"the source and the site's branch both changed {said}; merge them by hand and push")
        # The site's facts are written anew below.
        tree.git("checkout", "--theirs", "--", *both)
        tree.git("add", "--", *both)
        tree.git("commit", "--quiet", "--no-edit", "-m", f"site: take in {source[:12]}")
    return [f"took in the source {source[:12]}"]


def lay_over(tree: Tree, site: Path) -> list[str]:
    """Commit the site's files over k8s/site; returns what changed."""
    for file in sorted(p for p in site.rglob("*") if p.is_file()):
        target = tree.path / SITE / file.relative_to(site)
        if not target.parent.is_dir():
            raise Failed(
                f"the source has no folder {target.parent.relative_to(tree.path)} for the site's {file.name}"
            )
        shutil.copyfile(file, target)
    tree.git("add", "--", SITE)
    changed = tree.git("diff", "--cached", "--name-only").stdout.split()
    if not changed:
        return []
    tree.git("commit", "--quiet", "-m", "site: facts and images")
    return [f"wrote {', '.join(changed)}"]


def fetched(tree: Tree, remote: str, branch: str) -> str:
    """The commit of the remote's branch, which is then here too; empty where the remote has no such branch."""
    if not tree.git("ls-remote", "--heads", remote, branch).stdout:
        return ""
    tree.git("fetch", "--quiet", remote, f"+refs/heads/{branch}:refs/rookery/remote")
    return tree.commit_of("refs/rookery/remote")


def publish(tree: Tree, options: argparse.Namespace) -> list[str]:
    """Combine, and push where that is asked for; somebody else's push in between is taken in and tried again.

    Raises:
        Failed: git or the remote refuses.
    """
    for _ in range(ATTEMPTS):
        there = fetched(tree, options.remote, options.branch) if options.remote else ""
        start = there or tree.commit_of("refs/heads/site")
        changes = combine(tree, options.source, start) + lay_over(tree, options.site)
        tree.git("update-ref", "refs/heads/site", "HEAD")
        if not options.push or tree.commit_of("HEAD") == there:
            return changes
        pushed = tree.git("push", "--quiet", options.remote, f"HEAD:refs/heads/{options.branch}", check=False)
        if pushed.returncode == 0:
            return [*changes, f"pushed {tree.commit_of('HEAD')[:12]} to {options.branch}"]
        if "non-fast-forward" not in pushed.stderr and "fetch first" not in pushed.stderr:
            raise Failed(f"the remote refused the push: {pushed.stderr.strip()}")
    raise Failed(f"the branch {options.branch} moved during each of {ATTEMPTS} pushes")


def main() -> int:
    """Parse the words, publish, and say what changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--source", required=True)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--remote", default="")
    parser.add_argument("--branch", default="main")
    parser.add_argument("--push", action="store_true")
    parser.add_argument("--login", action="store_true")
    options = parser.parse_args()
    if options.push and not options.remote:
        parser.error("--push needs --remote")
    if options.login:
        login = json.load(sys.stdin)
        # Git asks for them by HELPER, in the environment of its own process.
        os.environ |= {"GIT_USERNAME": login["username"], "GIT_PASSWORD": login["password"]}
    try:
        for line in publish(Tree(options.tree), options):
            print(line)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
