"""`label status`, `choose`, `sync`, `allow` and `export`: what people are asked, what they said, what came of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from services.common.errors import InvalidInput, NotFound, RookeryError, Unavailable
from workflows.commands.console import hint, print_json, print_table, say
from workflows.commands.options import DEFAULT_APPLICATION, Application, Json, settings, user

commands = typer.Typer(
    no_args_is_help=True, help="Inputs that people are asked about, and the dataset of it."
)
_SECONDS = 300.0
Url = Annotated[
    str,
    typer.Option(
        envvar="ROOKERY_LABELS_URL",
        help="Address of the labels service. Default: that of this machine's platform.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.add_typer(commands, name="label", rich_help_panel="Environments")


@commands.command()
def status(application: Application = DEFAULT_APPLICATION, url: Url = "", as_json: Json = False) -> None:
    """How labelling stands: tasks, agreement, the labelled dataset, and accuracy in production with its interval.

    Examples:

        rookery label status

        rookery label status -a birds --json | jq .accuracy
    """
    found = _call("GET", "/queue", application, url)
    if as_json:
        print_json(found)
        return
    accuracy, gate = found["accuracy"], found["gate"]
    rows = [
        ("tasks", f"{found['open']} open, {found['done']} done" + _more(found["to_send"], "not sent yet")),
        ("chosen for", ", ".join(f"{name} {count}" for name, count in sorted(found["reasons"].items()))),
        ("agreement", _number(found["agreement"]) + (f" ({gate['state']})" if gate else "")),
        (
            "dataset",
            f"version {found['version']}, {found['items']} items" if found["version"] else "none yet",
        ),
        ("source", found["source"] or ""),
        ("accuracy", _interval(accuracy)),
    ]
    print_table(("", application), rows)
    for what, count in found["aside"].items():
        hint(f"{count} answers put aside: {what}")
    for person, reason in gate.get("waiting", {}).items():
        hint(f"{person}: {reason}")
    for name, count in found["offered"].items():
        hint(f'{count} inputs are called "{name}", which is no class: `rookery label allow` makes it one')
    if found["missing"]:
        hint(f"{found['missing']} chosen inputs cannot be shown: are inputs kept by the log?")
    if found["strays"]:
        named = [f"{name}: {reason}" for name, reason in found.get("kept_apart", {}).items()]
        hint(
            "\n  ".join(
                [f"{found['strays']} answers are kept apart" + (", such as" if named else ""), *named]
            )
        )
    _tell_where()


@commands.command()
def choose(application: Application = DEFAULT_APPLICATION, url: Url = "", as_json: Json = False) -> None:
    """Choose inputs from what was served since the last time, within the day's budget.

    The service does it by itself every hour.

    Examples:

        rookery label choose
    """
    found = _call("POST", "/choose", application, url)
    if as_json:
        print_json(found)
        return
    say(f"{found['chosen']} inputs of {application} chosen; `rookery label sync` brings them to people")


@commands.command()
def sync(application: Application = DEFAULT_APPLICATION, url: Url = "", as_json: Json = False) -> None:
    """Bring tasks to people and answers home, and publish what people agree on.

    The service does it by itself every minute, and when somebody answers.

    Examples:

        rookery label sync -a birds
    """
    found = _call("POST", "/sync", application, url)
    if as_json:
        print_json(found)
        return
    say(f"{found['sent']} tasks sent, {found['answers']} answers new or changed")
    if found["version"]:
        say(f"version {found['version']} of the dataset with {found['new']} new items: {found['source']}")


@commands.command()
def allow(
    name: Annotated[str, typer.Argument(help="The class, as people wrote it.")],
    application: Application = DEFAULT_APPLICATION,
    url: Url = "",
) -> None:
    """Let a name that people gave be a class of the dataset.

    Examples:

        rookery label allow "Turdus merula" -a birds
    """
    body = {"application": application, "name": name, "by": user()}
    made = _call("POST", "/classes", application, url, body)
    say(f'"{made["name"]}" is a class of {application} now; `rookery label sync` adds its inputs')


@commands.command()
def export(
    to: Annotated[Path, typer.Argument(help="Folder to make.")],
    application: Application = DEFAULT_APPLICATION,
    version: Annotated[int, typer.Option(min=0, help="Version of the dataset; 0: the newest.")] = 0,
    url: Url = "",
) -> None:
    """Copy the labelled items of a version, with who said what and when.

    One folder for each split, one for each class in it, and `provenance.json`. The dataset below the labels is not
    copied.

    Examples:

        rookery label export labelled -a birds
    """
    source = _call("GET", "/queue", application, url)["source"]
    if not source:
        raise NotFound("there is no labelled dataset yet", value=application)
    if to.exists():
        raise InvalidInput("this exists already", value=str(to), allowed="a folder that is not there")
    count = export_version(source.partition("?")[0], version, to)
    say(f"{count} items in {to}")


def export_version(place: str, version: int, to: Path) -> int:
    """Copy a version's items into a new folder, whole or not at all; how many.

    Raises:
        NotFound: there is no such version.
    """
    from services.data.store import ObjectStoreSettings
    from services.data.versions import parse_version, version_name
    from services.labels.publishing import newest_file
    from services.monitor.objects import open_objects

    objects = open_objects(place, ObjectStoreSettings.read())
    newest = newest_file(objects)
    number = version or (newest.number if newest else 0)
    try:
        data = objects.get(version_name(number))
    except NotFound as error:
        allowed = f"1 to {newest.number}" if newest else "none"
        raise NotFound("there is no such version of the dataset", value=number, allowed=allowed) from error
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".export-") as work:
        folder = Path(work) / "items"
        for item in parse_version(data).items:
            path = folder / item.split / folder_name(item.labels[0]) / item.path.rpartition("/")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(objects.get(item.path))
        folder.mkdir(exist_ok=True)
        content = json.loads(data)
        (folder / "provenance.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        shutil.move(folder, to)
    return len(content["items"])


def folder_name(label: str) -> str:
    """A class as the name of a folder: what could lead elsewhere or be hidden is replaced."""
    text = "".join("_" if char in "/\\" or not char.isprintable() else char for char in label)
    return ("_" + text[1:] if text.startswith(".") else text)[:80] or "_"


def _call(method: str, path: str, application: str, url: str, body: Any = None) -> dict[str, Any]:
    import httpx

    from services.common.trust import trust_for

    address = url or _address()
    headers = (
        {"Authorization": f"Bearer {token}"} if (token := os.environ.get("ROOKERY_LABELS_TOKEN")) else {}
    )
    try:
        answer = httpx.request(
            method,
            f"{address.rstrip('/')}{path}",
            params=None if body else {"application": application},
            json=body,
            headers=headers,
            verify=trust_for(address),
            timeout=httpx.Timeout(_SECONDS, connect=5),
            trust_env=False,
        )
        content = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(
            f"the labels service does not answer: {type(error).__name__}",
            value=address,
            allowed="`rookery up --with labels` starts it",
        ) from error
    except ValueError as error:
        raise Unavailable("this is not the labels service", value=address) from error
    if answer.is_error:
        raise _Said(str(content.get("message", "the labels service refuses")), content)
    return dict(content)


class _Said(RookeryError):
    """What the service answered."""

    def __init__(self, message: str, content: dict[str, Any]) -> None:
        self._shown = content.get("value")
        super().__init__(message, allowed=content.get("allowed"))

    def __str__(self) -> str:
        text = self.message + (f" (got {self._shown})" if self._shown else "")
        return text + (f"; allowed: {self.allowed}" if self.allowed else "")


def _address() -> str:
    from workflows.local import platform

    ports = platform.known_ports(settings())
    if "labels" not in ports:
        raise Unavailable(
            "the labels service is not part of this platform", allowed="`rookery up --with labels` first"
        )
    return f"http://127.0.0.1:{ports['labels']}"


def _tell_where() -> None:
    from workflows.local import platform

    port = platform.known_ports(settings()).get("label-studio")
    if port:
        say(f"\nlabel at http://127.0.0.1:{port} ({settings().home / 'label-studio' / 'credentials.json'})")


def _more(count: int, what: str) -> str:
    return f", {count} {what}" if count else ""


def _number(value: float | None) -> str:
    return "nothing to compare yet" if value is None else f"{value:.2f}"


def _interval(accuracy: dict[str, Any]) -> str:
    if accuracy["estimate"] is None:
        return "unknown until inputs of the random share are answered"
    return (
        f"{accuracy['estimate']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%}) "
        f"from {accuracy['count']} answers of {accuracy['drawn']} drawn"
    )
