"""How a step ends: with outputs, with a result that is not tried again, or with a fault that may pass."""

import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from services.common.errors import RookeryError, Unavailable

REFUSED_EXIT_CODE = 3
FAULT_EXIT_CODE = 1
# What is written there is the message of the step's node, so whoever is told that it failed is told why.
MESSAGE_FILE = "/dev/termination-log"
_MOST_CHARACTERS = 1000

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Output:
    """The name under which a template has what a step returns: `-> Annotated[str, Output("run-id")]`."""

    name: str


def workflow_step(function: Callable[P, R]) -> Callable[P, R]:
    """Let a step end as its container should.

    An error of the platform's own kinds is printed as one line. `Unavailable` exits with 1, so that
    the retry strategy tries again; every other kind is a result and exits with 3, which is not repeated.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Unavailable as error:
            _end(f"unavailable: {error}", FAULT_EXIT_CODE)
        except RookeryError as error:
            _end(f"{error.code}: {error}", REFUSED_EXIT_CODE)

    return wrapped


def say(text: str) -> None:
    """Print a line of progress at once, so that whoever follows the log sees it."""
    print(text, flush=True)


def _end(why: str, code: int) -> NoReturn:
    print(why, flush=True)
    file = Path(os.environ.get("TERMINATION_MESSAGE_PATH", MESSAGE_FILE))
    if file.is_file():
        with suppress(OSError):
            file.write_text(why[:_MOST_CHARACTERS], encoding="utf-8")
    sys.exit(code)
