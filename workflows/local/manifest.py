"""A workflow's definition, read strictly: what the local engine does not support is refused by path and name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from services.common.errors import InvalidInput, NotFound, TooLarge
from workflows.local.models import Spec

MAX_BYTES = 1 << 20
_MAX_VALUES = 100_000
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


class Manifest(BaseModel):
    """A Workflow or WorkflowTemplate."""

    model_config = ConfigDict(frozen=True)
    kind: str
    name: str | None
    generate_name: str | None
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: Spec
    raw: dict[str, Any]


class _Loader(yaml.CSafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise InvalidInput(f"line {key.start_mark.line + 1}: a key is there twice", value=key.value)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str, source: str) -> list[Any]:
    """The documents of a YAML text, refused when too large or when a key is there twice."""
    if len(text.encode()) > MAX_BYTES:
        raise TooLarge(f"{source} is too large for a workflow", value=len(text), allowed=f"{MAX_BYTES} bytes")
    try:
        documents = [d for d in yaml.load_all(text, Loader=_Loader) if d is not None]
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{source} is no YAML: {error}") from error
    _count(documents, [0], 0)
    return documents


def _count(value: Any, total: list[int], depth: int) -> None:
    total[0] += 1
    if total[0] > _MAX_VALUES or depth > 100:
        raise TooLarge(
            "a workflow with so many values is refused", allowed=f"{_MAX_VALUES} values, 100 levels"
        )
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _count(item, total, depth + 1)


def load_manifest(source: dict[str, Any] | Path) -> Manifest:
    """Reads a Workflow or WorkflowTemplate from a file or a dict.

    Raises:
        NotFound: there is no such file.
        InvalidInput: a field is unknown, unsupported or wrong; the message has its path and name.
    """
    if isinstance(source, Path):
        if not source.is_file():
            raise NotFound("there is no such workflow file", value=str(source))
        try:
            documents = read_yaml(source.read_text(encoding="utf-8"), source.name)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{source.name} is not UTF-8 text") from error
        if len(documents) != 1:
            raise InvalidInput(f"{source.name} must hold one document", value=len(documents))
        return parse_manifest(documents[0])
    return parse_manifest(source)


def parse_manifest(raw: Any) -> Manifest:
    """A manifest from its parsed YAML."""
    if not isinstance(raw, dict):
        raise InvalidInput("a workflow is a mapping", value=raw)
    if raw.get("kind") not in ("Workflow", "WorkflowTemplate"):
        raise InvalidInput("kind: not supported by the local engine", value=raw.get("kind"),
                           allowed="Workflow, WorkflowTemplate")  # fmt: skip
    if raw.get("apiVersion") != "argoproj.io/v1alpha1":
        raise InvalidInput("apiVersion: unknown", value=raw.get("apiVersion"), allowed="argoproj.io/v1alpha1")
    for key in raw.keys() - {"apiVersion", "kind", "metadata", "spec", "status"}:
        raise InvalidInput(f"{key}: unknown field", allowed="apiVersion, kind, metadata, spec")
    metadata = raw.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InvalidInput("metadata: not a mapping", value=metadata)
    name, generate = metadata.get("name"), metadata.get("generateName")
    for key, value in (("name", name), ("generateName", str(generate).rstrip("-.") if generate else None)):
        if value is not None and not (isinstance(value, str) and _NAME.fullmatch(value)):
            raise InvalidInput(
                f"metadata.{key}: no valid name", value=value, allowed="lower-case letters, digits, - and ."
            )
    try:
        spec = Spec.model_validate(raw.get("spec"))
    except ValidationError as error:
        raise InvalidInput(_explain(error, raw)) from error
    return Manifest(
        kind=raw["kind"], name=name, generate_name=generate, namespace=str(metadata.get("namespace") or "default"),
        labels=_texts(metadata.get("labels")), annotations=_texts(metadata.get("annotations")), spec=spec, raw=raw,
    )  # fmt: skip


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _explain(error: ValidationError, raw: dict[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        path = show_path(raw.get("spec"), problem["loc"])
        context = problem.get("ctx", {})
        if problem["type"] in ("unsupported", "unknown"):
            line = f"{path}.{context['field']}: {problem['msg']}"
            lines.append(line + (f", {context['hint']}" if context.get("hint") else ""))
        else:
            shown = (
                "" if isinstance(problem["input"], dict | list) else f" (got {str(problem['input'])[:80]!r})"
            )
            lines.append(f"{path}: {problem['msg'][0].lower()}{problem['msg'][1:]}{shown}")
    return "; ".join(lines[:8])


def show_path(spec: Any, location: tuple[int | str, ...]) -> str:
    """A place in a spec for people: `spec.templates[train].container.image`."""
    text, value = "spec", spec
    for part in location:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
            name = value.get("name") if isinstance(value, dict) else None
            text += f"[{name if isinstance(name, str) else part}]"
        else:
            value = value.get(part) if isinstance(value, dict) else None
            text += f".{part}"
    return text
