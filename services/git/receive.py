"""What git calls: `pre-receive` may refuse a push, `post-receive` tells of it."""

from __future__ import annotations

import os
import sys

from services.git.notify import notify
from services.git.rules import NotAllowed, check_push, parse_updates
from services.git.settings import GitServerSettings


def pre_receive() -> int:
    """Exit code 0 lets the push in; the user is the one that the web server has authenticated."""
    try:
        check_push(GitServerSettings.read(), _user(), parse_updates(sys.stdin))
    except NotAllowed as error:
        print(f"refused: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def post_receive() -> int:
    """Always 0, as the push is in already."""
    for line in notify(GitServerSettings.read(), _user(), parse_updates(sys.stdin)):
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    # A notice that is still under way does not hold up whoever pushed.
    os._exit(0)


def _user() -> str:
    return os.environ.get("REMOTE_USER", "")
