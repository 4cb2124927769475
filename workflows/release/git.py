"""The git command line, called with argument lists, a clean environment and a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.common.errors import InvalidInput, RookeryError, Unavailable
from workflows.release.settings import GitSettings

# Whatever a user's configuration says, a release runs no hook, asks no question and signs nothing.
_CONFIGURATION = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "credential.interactive=false",
    "advice.detachedHead=false",
)
# Answers an http(s) remote that asks who comes. Git runs it; the password is in its environment and in no argument.
_ANSWER = (
    '!answer() { test "$1" = get && '
    'printf \'username=%s\\npassword=%s\\n\' "$ROOKERY_GIT_USERNAME" "$ROOKERY_GIT_PASSWORD"; }; answer'
)
_INHERITED = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")


class GitError(RookeryError):
    """A git command failed; its own message is kept."""

    code = "git"


class Git:
    """Runs git in one repository.

    Args:
        folder: a git directory, or a work tree with one.
        settings: identity and time limits.
    """

    def __init__(self, folder: Path, settings: GitSettings | None = None) -> None:
        self.folder = folder
        self.settings = settings or GitSettings()

    def run(
        self,
        *arguments: str,
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> bytes:
        """The command's output.

        Raises:
            GitError: it ended with another code than 0 and `check` is set.
            Unavailable: it did not end in time.
        """
        command = ["git", *_flags(self.settings), "-C", str(self.folder), *arguments]
        code, output, errors = _call(
            command, data, self._environment(environment), self.settings.timeout_seconds
        )
        if check and code != 0:
            raise GitError(f"git {arguments[0]} failed: {_last_lines(errors)}")
        return output

    def text(self, *arguments: str) -> str:
        """The command's output as text, without the last line end."""
        return self.run(*arguments).decode(errors="replace").rstrip("\n")

    def succeeds(self, *arguments: str) -> bool:
        """Whether the command ends with code 0."""
        try:
            self.run(*arguments)
        except GitError:
            return False
        return True

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key in _INHERITED
        }
        return {
            **kept,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "GIT_AUTHOR_NAME": self.settings.author_name,
            "GIT_AUTHOR_EMAIL": self.settings.author_email,
            "GIT_COMMITTER_NAME": self.settings.author_name,
            "GIT_COMMITTER_EMAIL": self.settings.author_email,
            "ROOKERY_GIT_USERNAME": self.settings.username,
            "ROOKERY_GIT_PASSWORD": self.settings.password.get_secret_value(),
            **(
                {}
                if "GIT_SSH_COMMAND" in kept or "GIT_SSH" in kept
                else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
            ),
            **(more or {}),
        }


def check_remote(remote: str) -> str:
    """The remote itself when git will take it as an address and not as an option or a command.

    Raises:
        InvalidInput: empty, with control characters, beginning with a hyphen, or a `helper::` address.
    """
    if not remote or remote.startswith("-") or "::" in remote or not remote.isprintable():
        raise InvalidInput(
            "this is no git remote", value=remote, allowed="a path, file://, http(s)://, ssh:// or host:path"
        )
    return remote


def _flags(settings: GitSettings) -> list[str]:
    # An empty helper first: those of the machine are not asked beside ours.
    helpers = ("credential.helper=", f"credential.helper={_ANSWER}") if settings.username else ()
    return [part for item in (*_CONFIGURATION, *helpers) for part in ("-c", item)]


def _call(
    command: Sequence[str], data: bytes | None, environment: Mapping[str, str], seconds: float
) -> tuple[int, bytes, bytes]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
    )
    with process:
        try:
            output, errors = process.communicate(data, timeout=seconds)
        except BaseException as error:
            # The transport helpers are children of git, so the whole group goes.
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Unavailable(
                    f"git did not end within {seconds:g} s", value=" ".join(command[-4:])
                ) from error
            raise
    return process.returncode, output, errors


def _last_lines(errors: bytes) -> str:
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-4:])[:600] or "without a message"
