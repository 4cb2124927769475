"""How a step ends: with outputs, with a result that is not tried again, or with a fault that may pass."""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from services.common.errors import RookeryError, Unavailable

REFUSED_EXIT_CODE = 3
FAULT_EXIT_CODE = 1

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
            print(f"unavailable: {error}", flush=True)
            sys.exit(FAULT_EXIT_CODE)
        except RookeryError as error:
            print(f"{error.code}: {error}", flush=True)
            sys.exit(REFUSED_EXIT_CODE)

    return wrapped


def say(text: str) -> None:
    """Print a line of progress at once, so that whoever follows the log sees it."""
    print(text, flush=True)
