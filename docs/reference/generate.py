"""Write the reference from the code: `python docs/reference/generate.py`, or with `--check` only compare.

A test runs the comparison, so a setting, endpoint, template, hyperparameter, command or error that is not documented
fails it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import typer.main
import yaml
from pydantic_core import PydanticUndefined

import services
import workflows
from services.common.errors import RookeryError
from services.common.settings import Settings
from services.git.settings import PREFIX, GitServerSettings
from services.train.hyperparameters import Hyperparameters
from workflows.render import rendered

FOLDER = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/reference/generate.py; change the code it describes instead. -->"


def pages() -> dict[str, str]:
    """File name → text of every generated page."""
    for name in _modules():
        importlib.import_module(name)
    return {
        "settings.md": _settings(),
        "errors.md": _errors(),
        "hyperparameters.md": _hyperparameters(),
        "templates.md": _templates(),
        "endpoints.md": _endpoints(),
        "cli.md": _cli(),
    }


def differing() -> list[str]:
    """Names of the pages that are not what the code says."""
    return [
        name
        for name, text in pages().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text
    ]


def _modules() -> Iterator[str]:
    for package in (services, workflows):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield module.name


def _page(title: str, introduction: str, *parts: str) -> str:
    return "\n\n".join([_NOTE, f"# {title}", introduction, *parts]) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _subclasses(base: type) -> list[type]:
    found = {base} if base.__module__.startswith(("services.", "workflows.")) else set()
    for child in base.__subclasses__():
        found.update(_subclasses(child))
    ours = [item for item in found if item.__module__.startswith(("services.", "workflows."))]
    return sorted(ours, key=lambda item: (item.__module__, item.__name__))


def _first_line(item: object) -> str:
    return (inspect.getdoc(item) or "").split("\n")[0]


def _settings() -> str:
    parts = []
    for model in _subclasses(Settings):
        prefix = str(model.model_config.get("env_prefix", ""))  # type: ignore[attr-defined]
        if not prefix:
            continue
        rows = [
            [f"`{prefix}{name.upper()}`", _default(field), field.description or ""]
            for name, field in model.model_fields.items()  # type: ignore[attr-defined]
        ]
        parts.append(
            f"## {_first_line(model)}\n\n`{model.__module__}`\n\n"
            + _table(["Variable", "Default", "Meaning"], rows)
        )
    # The hooks of the git server have the standard library alone, so its settings are no pydantic model.
    rows = [
        [f"`{PREFIX}{item.name.upper()}`", _default(item), str(item.metadata["meaning"])]
        for item in fields(GitServerSettings)
    ]
    parts.append(
        f"## {_first_line(GitServerSettings)}\n\n`{GitServerSettings.__module__}`\n\n"
        + _table(["Variable", "Default", "Meaning"], rows)
    )
    return _page(
        "Settings", "Every setting is an environment variable, read once when a process starts.", *parts
    )


def _default(field: Any) -> str:
    if field.default_factory not in (None, MISSING):
        return "computed"
    if field.default is PydanticUndefined:
        return "required"
    text = str(
        field.default.get_secret_value() if hasattr(field.default, "get_secret_value") else field.default
    )
    if text in ("", "None"):
        return "empty"
    return f"`{text.replace(str(FOLDER.parents[1]), '<checkout>')}`"


def _errors() -> str:
    rows = []
    for error in _subclasses(RookeryError):
        if error is not RookeryError and not error.__name__.startswith("_"):
            rows.append([f"`{error.code}`", str(error.status), f"`{error.__name__}`", _first_line(error)])  # type: ignore[attr-defined]
    introduction = (
        "The services answer an error with its status and a flat body: `error` (the code), `message`, `value` (what "
        "was wrong, shortened) and `allowed`. The command line prints the same as one line and exits with a code that "
        "is not 0. A step of a workflow exits with 1 for `unavailable`, which is retried, and with 3 for the others."
    )
    return _page("Errors", introduction, _table(["Code", "HTTP status", "Class", "Meaning"], sorted(rows)))


def _hyperparameters() -> str:
    rows = []
    for name, schema in Hyperparameters.model_json_schema()["properties"].items():
        field = Hyperparameters.model_fields[name]
        default = "auto" if field.default is None else (field.default if field.default != "" else "empty")
        rows.append(
            [
                f"`{name}`",
                f"`{name.replace('_', '-')}`",
                str(default),
                _range(schema),
                field.description or "",
            ]
        )
    introduction = (
        "Query parameters of `POST /train` and parameters of the template `train-model`; all are optional."
    )
    return _page(
        "Hyperparameters",
        introduction,
        _table(["Name", "In train-model", "Default", "Allowed", "Meaning"], rows),
    )


def _range(schema: dict[str, Any]) -> str:
    options = schema.get("anyOf", [schema])
    said = []
    for option in options:
        if option.get("type") == "null":
            said.append("auto")
        elif "enum" in option:
            said.append(", ".join(str(value) for value in option["enum"]))
        else:
            bounds = [
                f"{sign} {option[key]}"
                for key, sign in (
                    ("minimum", "≥"),
                    ("exclusiveMinimum", ">"),
                    ("maximum", "≤"),
                    ("exclusiveMaximum", "<"),
                )
                if key in option
            ]
            said.append(" ".join([str(option.get("type", "")), *bounds]).strip())
    return " or ".join(said)


def _templates() -> str:
    parts = []
    for text in rendered().values():
        document = yaml.safe_load(text)
        metadata, spec = document["metadata"], document["spec"]
        rows = [
            [
                f"`{item['name']}`",
                _given(item),
                f"{item['description']}" + (f" One of: {', '.join(item['enum'])}." if "enum" in item else ""),
            ]
            for item in spec["arguments"]["parameters"]
        ]
        main = next(template for template in spec["templates"] if template["name"] == spec["entrypoint"])
        steps = " → ".join(" / ".join(step["name"] for step in group) for group in main["steps"])
        description = metadata["annotations"]["workflows.argoproj.io/description"]
        parts.append(
            f"## {metadata['name']}\n\n{description}\n\nSteps: {steps}.\n\n"
            + _table(["Parameter", "Default", "Meaning"], rows)
        )
    return _page("Workflow templates", "Submit one with `rookery submit TEMPLATE -p name=value`.", *parts)


def _given(item: dict[str, Any]) -> str:
    if "value" not in item:
        return "required"
    return f"`{item['value']}`" if item["value"] != "" else "empty"


def _endpoints() -> str:
    parts = []
    for title, application in _applications():
        rows = []
        for route in application.routes:
            if getattr(route, "path", "") == "/":
                rows.append(["`GET /`", "—", _first_line(route.endpoint)])
        for path, operations in application.openapi()["paths"].items():
            for method, operation in operations.items():
                names = ", ".join(f"`{item['name']}`" for item in operation.get("parameters", []))
                text = operation.get("description") or operation.get("summary") or ""
                rows.append([f"`{method.upper()} {path}`", names or "—", text.split("\n\n")[0]])
        parts.append(f"## {title}\n\n" + _table(["Endpoint", "Parameters", "Answer"], rows))
    introduction = (
        "Each also describes itself under `/openapi.json`. A served model has a page for people at `/docs`; "
        "the train, the evaluate and the monitor service have none."
    )
    return _page("Endpoints", introduction, *parts)


def _applications() -> Iterator[tuple[str, Any]]:
    from tests.support.applications import (
        arbiter_app,
        board_app,
        evaluate_app,
        labels_app,
        monitor_app,
        notify_app,
        observe_app,
        serve_app,
        train_app,
    )

    yield "Train service (9090)", train_app()
    yield "Evaluate service (8080; 8090 on one machine)", evaluate_app()
    yield "Served model (staging 8081, canary 8080, production 80; 8082 on one machine)", serve_app()
    yield "Monitor service (9095)", monitor_app()
    yield "Arbiter (9096)", arbiter_app()
    yield "Notify service (9097)", notify_app()
    yield "Labels service (9098)", labels_app()
    yield "Observe service (9099)", observe_app()
    yield "Board (8085); every page and action wants a login", board_app()


def _cli() -> str:
    from workflows.cli import app

    command = typer.main.get_command(app)
    parts = list(_commands(command, "rookery"))
    return _page("Command line", inspect.cleandoc(command.help or ""), *parts)


def _commands(command: Any, path: str) -> Iterator[str]:
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        for name, child in sorted(command.commands.items()):
            yield from _commands(child, f"{path} {name}")
        return
    context = click.Context(command, info_name=path, terminal_width=10_000)
    usage = command.get_usage(context).removeprefix("Usage: ")
    rows = [
        [
            ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts)),
            getattr(parameter, "help", "") or "",
        ]
        for parameter in command.params
    ]
    text = f"## {path}\n\n{inspect.cleandoc(command.help or '')}\n\n`{usage}`"
    yield text + ("\n\n" + _table(["Argument or option", "Meaning"], rows) if rows else "")


def main() -> int:
    """Write the pages, or compare them."""
    if "--check" in sys.argv:
        names = differing()
        for name in names:
            print(f"docs/reference/{name} is not what the code says: run python docs/reference/generate.py")  # noqa: T201
        return 1 if names else 0
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
