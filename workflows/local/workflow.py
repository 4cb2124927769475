"""A workflow as it was submitted: definition, parameter values and options, fixed for the whole run."""

from __future__ import annotations

import fnmatch
import json
import secrets
import string
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from services.common.errors import InvalidInput, NotFound
from services.common.files import write_json
from workflows.local.manifest import Manifest, parse_manifest
from workflows.local.models import Parameter, Spec, Step, nearest, seconds
from workflows.local.templates import Library, StoredTemplates

OUR_IMAGES = ("rookery/*",)
MAX_VALUE_BYTES = 256 << 10
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Workflow:
    """What a run is made of; written once, to `workflow.json`.

    `created` is in seconds since the epoch. `templates` are the WorkflowTemplates that it refers to, as they were.
    """

    name: str
    uid: str
    created: float
    namespace: str
    manifest: dict[str, Any]
    parameters: dict[str, str]
    labels: dict[str, str]
    annotations: dict[str, str]
    templates: dict[str, dict[str, Any]]
    host_images: list[str] = field(default_factory=list)
    max_processes: int = 8

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Workflow:
        """Reads it back."""
        return cls(**json.loads(path.read_bytes()))

    def library(self) -> Library:
        """Its templates."""
        return Library(parse_manifest(self.manifest), StoredTemplates(self.templates))


def fresh_name(prefix: str) -> str:
    """A name that no other run has."""
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(5))


def effective_spec(library: Library) -> Spec:
    """The workflow's own spec over that of its WorkflowTemplate."""
    own = library.manifest.spec
    if library.base is None:
        return own
    base = library.base.spec
    given = {
        name: getattr(own, name) for name in own.model_fields_set if name not in ("arguments", "templates")
    }
    merged = base.model_copy(update=given)
    names = {p.name for p in own.arguments.parameters}
    rest = [p for p in base.arguments.parameters if p.name not in names]
    return merged.model_copy(
        update={
            "arguments": own.arguments.model_copy(update={"parameters": [*own.arguments.parameters, *rest]})
        }
    )


def bind_parameters(
    declared: Sequence[Parameter], given: Mapping[str, str], config: Path | None = None
) -> dict[str, str]:
    """Values for a workflow's parameters: given, else their own; refused when unknown, missing or not allowed."""
    names = [p.name for p in declared]
    for name in given:
        if name not in names:
            allowed = nearest(name, names) or ", ".join(names) or "this workflow has no parameters"
            raise InvalidInput(f"parameter {name} is unknown", allowed=allowed)
    values: dict[str, str] = {}
    missing = []
    for parameter in declared:
        value = given.get(
            parameter.name, parameter.value if parameter.value is not None else parameter.default
        )
        source = parameter.value_from.config_map_key_ref if parameter.value_from else None
        if value is None and source is not None and config is not None and parameter.value_from is not None:
            value = read_config(config, source.name).get(source.key, parameter.value_from.default)
        if value is None:
            missing.append(parameter.name)
            continue
        values[parameter.name] = check_value(parameter, str(value))
    if missing:
        raise InvalidInput(
            f"parameters without a value: {', '.join(missing)}", allowed="-p NAME=VALUE for each"
        )
    return values


def check_value(parameter: Parameter, value: str) -> str:
    """The value, if the parameter allows it and a process can be given it."""
    if len(value.encode(errors="surrogatepass")) > MAX_VALUE_BYTES:
        raise InvalidInput(f"parameter {parameter.name} is too large", allowed=f"{MAX_VALUE_BYTES} bytes")
    if "\0" in value or any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise InvalidInput(f"parameter {parameter.name} holds a zero byte or is no Unicode text", value=value)
    if parameter.enum is not None and value not in parameter.enum:
        raise InvalidInput(
            f"parameter {parameter.name} is not allowed", value=value, allowed=", ".join(parameter.enum)
        )
    return value


def read_config(folder: Path, name: str, *, optional: bool = False) -> dict[str, str]:
    """A ConfigMap of this machine: a flat JSON object in `<folder>/<name>.json`."""
    path = folder / f"{name}.json"
    if "/" in name or name.startswith("."):
        raise InvalidInput("this is no name of a ConfigMap", value=name)
    if not path.is_file():
        if optional:
            return {}
        raise NotFound(f"there is no ConfigMap {name}", allowed=str(path))
    data = json.loads(path.read_bytes())
    return {str(key): str(value) for key, value in data.items()}


def image_allowed(image: str, host_images: Sequence[str]) -> bool:
    """Whether steps of this image run here, on the machine itself."""
    return any(fnmatch.fnmatchcase(image, pattern) for pattern in (*OUR_IMAGES, *host_images))


def entry_calls(spec: Spec) -> list[tuple[Step, str]]:
    """What a run starts with, and ends with."""
    if spec.entrypoint is None:
        raise InvalidInput("spec.entrypoint: missing")
    names = [("entrypoint", spec.entrypoint)] + ([("onExit", spec.on_exit)] if spec.on_exit else [])
    return [(Step.model_validate({"name": name, "template": template}), "") for name, template in names]


def make_workflow(
    manifest: Manifest,
    library: Library,
    parameters: Mapping[str, str],
    *,
    config: Path,
    host_images: Sequence[str] = (),
    max_processes: int = 8,
    called: str = "",
) -> Workflow:
    """A workflow with a name, an identity and all its parameter values; `called` is its name, if one is wanted."""
    spec = effective_spec(library)
    values = bind_parameters(spec.arguments.parameters, parameters, config)
    if called:
        name = called
    elif manifest.kind == "WorkflowTemplate":
        name = fresh_name(f"{manifest.name}-")
    else:
        name = manifest.name or fresh_name(manifest.generate_name or "workflow-")
    if spec.active_deadline_seconds is not None and "{{" not in spec.active_deadline_seconds:
        seconds(spec.active_deadline_seconds)
    return Workflow(
        name=name, uid=str(uuid.uuid4()), created=time.time(), namespace=manifest.namespace, manifest=manifest.raw,
        parameters=values, labels=manifest.labels, annotations=manifest.annotations,
        templates={used: library.store.get(used).raw for used in sorted(library.used)},
        host_images=list(host_images), max_processes=max_processes,
    )  # fmt: skip
