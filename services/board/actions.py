"""What people do from the board: each goes through the code of the command line, and is written down with who."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.board.audit import Audit
from services.board.sessions import Session
from services.board.sources import Sources
from services.common.errors import InvalidInput, RookeryError
from workflows.local.models import Parameter

TEMPLATES = (
    "train-model",
    "promote-model",
    "rollback-model",
    "release-code",
    "build-container-image",
    "deliver-release",
)
_REQUESTER = "requested-by"
_LONGEST = 2000


@dataclass(frozen=True)
class Asked:
    """Who asks, and from where."""

    session: Session
    address: str


class Actions:
    """Submit, approve, cancel and resume workflows; promotions and rollbacks are workflows."""

    def __init__(self, sources: Sources, audit: Audit) -> None:
        self._sources = sources
        self._audit = audit

    def fields(self, template: str) -> list[Parameter]:
        """What can be set of a template: all but who asks, and the addresses of services.

        Raises:
            InvalidInput: no template that the board submits.
        """
        if template not in TEMPLATES:
            raise InvalidInput(
                "there is no such workflow template", value=template, allowed=", ".join(TEMPLATES)
            )
        declared = self._sources.place.parameters(template)
        return [one for one in declared if one.name != _REQUESTER and not one.name.endswith("-ip")]

    def submit(self, asked: Asked, template: str, given: Mapping[str, str]) -> str:
        """Begin a workflow; its name.

        Raises:
            InvalidInput: a parameter that the board does not set, or that the template does not allow.
            RookeryError: as `rookery submit`.
        """
        values = {name: value.strip() for name, value in given.items() if value.strip()}

        def work() -> str:
            known = {one.name for one in self.fields(template)}
            for name, value in values.items():
                if name not in known:
                    raise InvalidInput("this is not set from the board", value=name)
                if len(value) > _LONGEST:
                    raise InvalidInput(f"{name} is too long", allowed=f"{_LONGEST} characters")
            place = self._sources.place.work
            who = {_REQUESTER: asked.session.name} if place.takes_requester(template) else {}
            return place.submit_template(template, values | who)

        return self._write_down(asked, f"submit {template}", values, work)

    def approve(self, asked: Asked, name: str, step: str) -> None:
        """Let a workflow go on that waits."""

        def work() -> str:
            self._sources.place.work.approve(name, step or None, by=asked.session.name)
            return name

        self._write_down(asked, "approve", {"workflow": name} | ({"step": step} if step else {}), work)

    def cancel(self, asked: Asked, name: str) -> None:
        """Stop a workflow; its exit handler still runs."""

        def work() -> str:
            self._sources.place.work.cancel(name)
            return name

        self._write_down(asked, "cancel", {"workflow": name}, work)

    def resume(self, asked: Asked, name: str) -> None:
        """Go on with a workflow whose engine is gone."""

        def work() -> str:
            self._sources.place.work.resume(name)
            return name

        self._write_down(asked, "resume", {"workflow": name}, work)

    def told(self, name: str, address: str, what: str, outcome: str, result: str = "") -> None:
        """Write down a login, a logout, or a wrong token."""
        self._audit.add(name, address, what, {}, outcome, result)

    def _write_down(
        self, asked: Asked, action: str, parameters: Mapping[str, str], work: Callable[[], str]
    ) -> str:
        """Do it, and write what came of it; what cannot be written down is not done."""
        who, address = asked.session.name, asked.address
        self._audit.check()
        try:
            result = work()
        except RookeryError as error:
            self._audit.add(who, address, action, parameters, "refused", str(error))
            raise
        except Exception as error:
            self._audit.add(who, address, action, parameters, "failed", f"{type(error).__name__}: {error}")
            raise
        self._audit.add(who, address, action, parameters, "done", result)
        self._sources.after_action()
        return result
