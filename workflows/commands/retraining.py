"""`decisions`, `retrain`, `why-rerun`: what the arbiter decided, an event by hand, and what would run again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer

from services.common.errors import InvalidInput, NotFound, Refused, Unavailable
from services.common.trust import trust_for
from workflows.commands.console import hint, local_time, print_json, print_table, say
from workflows.commands.options import Cluster, Context, Json, complete_application, settings, user
from workflows.commands.templates import parse_parameters
from workflows.commands.workplace import cluster_site

if TYPE_CHECKING:
    from workflows.cluster.site import Site

PANEL = "Retraining"
_ASK_SECONDS = 30.0
_POLL_SECONDS = 0.3
_LONGEST_SECONDS = 3600.0
Name = Annotated[
    str, typer.Argument(help="An application, such as digits.", autocompletion=complete_application)
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", "-p", metavar="NAME=VALUE", help="A parameter of train-model; may be repeated."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(rich_help_panel=PANEL)(decisions)
    app.command(rich_help_panel=PANEL)(retrain)
    app.command("why-rerun", rich_help_panel=PANEL)(why_rerun)


def decisions(
    application: Annotated[
        str, typer.Argument(help="Only of this one.", autocompletion=complete_application)
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="How many, newest first.")
    ] = 20,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """What the arbiter decided about retraining, with rule and reason; refusals too.

    Examples:

        rookery decisions

        rookery decisions digits --json | jq '.[] | select(.verdict == "refuse") | .reason'
    """
    with _arbiter(cluster, context) as ask:
        found = ask("GET", "/decisions", params={"application": application, "limit": limit})
    if as_json:
        print_json(found)
        return
    rows = [
        (
            local_time(one["time"]),
            one["application"],
            one["verdict"],
            one["rule"],
            one["outcome"] or (f"until {local_time(one['until'])}" if one["until"] else ""),
            one["reason"],
        )
        for one in found
    ]
    print_table(("time", "application", "verdict", "rule", "outcome", "reason"), rows)


def retrain(
    application: Name,
    reason: Annotated[str, typer.Option(help="Why; recorded with the decision.")],
    parameter: Parameters = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also if the same was trained already, or the data are in quarantine."),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", "-w", help="Wait until the arbiter retrains or refuses, at most an hour."),
    ] = False,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Ask the arbiter for a training: an event by hand. It may refuse, or wait for another training.

    With --wait the exit code is 3 when it refuses, and 1 when it has not decided within an hour; the event stays open
    then. `rookery submit train-model` goes past the arbiter.

    Examples:

        rookery retrain digits --reason "labels were corrected" --wait

        rookery retrain digits --reason "another seed" -p seed=7 --force
    """
    detail: dict[str, Any] = {"reason": reason}
    if parameters := parse_parameters(parameter or [], hyphens=True):
        detail["parameters"] = parameters
    if force:
        detail["force"] = True
    body = {"kind": "manual", "application": application, "subject": reason, "detail": detail, "by": user()}
    with _arbiter(cluster, context) as ask:
        event = ask("POST", "/events", json=body)["event"]
        found = _answer(ask, application, event, as_json) if wait else None
    if as_json:
        print_json(found or {"event": event})
    elif found is None:
        say(f"event {event}; `rookery decisions {application}` shows what becomes of it")
    else:
        say(f"{found['verdict']} by {found['rule']}: {found['reason']}")
        if found["workflow"]:
            say(found["workflow"])
    if found is not None and found["verdict"] == "refuse":
        raise Refused(f"{application} is not trained, by the rule {found['rule']}: {found['reason']}")


def why_rerun(application: Name, parameter: Parameters = None, as_json: Json = False) -> None:
    """What train-model would run again, and why: data, code, parameters and environment against the last finished run.

    What an earlier run left is looked for before it is trusted. Nothing is started.

    Examples:

        rookery why-rerun digits

        rookery why-rerun digits -p epochs=12
    """
    from workflows.local.platform import require_up
    from workflows.local.rerun import explain

    chosen = settings()
    found = explain(chosen, require_up(chosen), application, parse_parameters(parameter or [], hyphens=True))
    if as_json:
        print_json(found.as_dict())
        return
    print_table(("part", "last run", "now", ""), [part.row() for part in found.parts])
    print_table(
        ("step", "", "because"),
        [(step.name, "runs" if step.runs else "-", step.reason) for step in found.steps],
    )
    hint(found.words)


def _answer(ask: Any, application: str, event: int, quiet: bool) -> dict[str, Any]:
    """The decision that answers an event; what it waits for is said.

    Raises:
        Unavailable: nothing is decided yet, as while a budget is spent; the event stays open.
    """
    said = ""
    end = time.monotonic() + _LONGEST_SECONDS
    while True:
        # Of a decision about hundreds of events the list names a few, and this one if it is asked for.
        found = ask("GET", "/decisions", params={"application": application, "event": event, "limit": 20})
        for one in found:
            if event in [item["id"] for item in one["events"]]:
                if one["verdict"] != "wait":
                    return dict(one)
                line = f"waits by {one['rule']}: {one['reason']}"
                if one["until"]:
                    line += f", until {local_time(one['until'])}"
                if line != said and not quiet:
                    hint(line)
                said = line
                break
        if time.monotonic() > end:
            raise Unavailable(
                f"event {event} of {application} is not decided yet and stays open: {said or 'nothing is said of it'}",
                allowed=f"`rookery decisions {application}` later",
            )
        time.sleep(_POLL_SECONDS)


@contextmanager
def _arbiter(cluster: bool, context: str | None) -> Iterator[Any]:
    """A function that asks the arbiter of this machine or of a cluster."""
    if cluster or context:
        with cluster_site(context) as site:
            yield _asker(*_there(site))
        return
    from workflows.local.platform import known_ports, require_made

    chosen = settings()
    require_made(chosen)
    ports = known_ports(chosen)
    if "arbiter" not in ports:
        raise Unavailable("the arbiter does not run", allowed="`rookery up` first")
    yield _asker(f"http://127.0.0.1:{ports['arbiter']}", "")


def _there(site: Site) -> tuple[str, str]:
    import base64

    if not site.settings.arbiter_url:
        raise NotFound("the cluster has no arbiter", allowed="ansible/playbooks/platform.yml")
    try:
        secret = site.kube.get(f"/api/v1/namespaces/{site.namespace}/secrets/arbiter").get("data") or {}
    except NotFound:
        secret = {}
    return site.reach(site.settings.arbiter_url), base64.b64decode(secret.get("token", "")).decode()


def _asker(url: str, token: str) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(method: str, path: str, **more: Any) -> Any:
        try:
            answer = httpx.request(
                method,
                f"{url}{path}",
                headers=headers,
                timeout=_ASK_SECONDS,
                trust_env=False,
                verify=trust_for(url),
                **more,
            )
        except httpx.TransportError as error:
            raise Unavailable(
                f"the arbiter at {url} does not answer: {error}", allowed="`rookery up`"
            ) from error
        if answer.is_success:
            return answer.json()
        from workflows.steps.http import message_of

        kind = InvalidInput if answer.status_code in (400, 422) else Unavailable
        raise kind(f"the arbiter: {message_of(answer)}")

    return ask
