"""A workflow's definition, read strictly: what the local engine does not support is refused by path and name.

The models are Argo Workflows' API v1alpha1 (v4.0) as far as the engine runs it; fields that make no difference on one
machine are listed in `fields.py` and left out. Nothing is ever ignored silently.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from services.common.errors import InvalidInput, NotFound, TooLarge
from workflows.local import fields

MAX_BYTES = 1 << 20
_MAX_VALUES = 100_000
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def nearest(name: str, known: Any) -> str | None:
    """The known name that was likely meant, if one is close."""
    found = difflib.get_close_matches(name, sorted(known), 1)
    return f"did you mean {found[0]!r}?" if found else None


def seconds(text: str) -> float:
    """A duration as Argo writes it (`10`, `30s`, `1m30s`, `2h`) in seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", text)
    if (
        not parts
        or "".join(a + b for a, b in parts) != text
        or (len(parts) > 1 and not all(b for _, b in parts))
    ):
        raise InvalidInput(
            "this is no duration", value=text, allowed="seconds, or for example 30s, 5m, 1h30m"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _any_string(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return value


AnyString = Annotated[str, BeforeValidator(_any_string)]


class Model(BaseModel):
    """An object of the API. Unknown and unsupported fields are refused, harmless ones left out."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)
    HARMLESS: ClassVar[frozenset[str]] = frozenset()
    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        kept = {}
        for key, item in value.items():
            if key in known:
                kept[key] = item
            elif key in cls.UNSUPPORTED:
                if item in (None, [], {}, False):
                    continue
                raise PydanticCustomError("unsupported", "not supported by the local engine", {"field": key})
            elif key not in cls.HARMLESS:
                hint = nearest(str(key), known | cls.UNSUPPORTED | cls.HARMLESS)
                raise PydanticCustomError("unknown", "unknown field", {"field": str(key), "hint": hint})
        return kept


class KeyRef(Model):
    """One key of a ConfigMap."""

    name: str
    key: str
    optional: bool = False


class ValueFrom(Model):
    """Where an output parameter's value comes from."""

    UNSUPPORTED = fields.UNSUPPORTED_VALUE_FROM
    path: str | None = None
    parameter: str | None = None
    expression: str | None = None
    config_map_key_ref: KeyRef | None = None
    default: AnyString | None = None


class Parameter(Model):
    """A named text value."""

    name: str
    value: AnyString | None = None
    default: AnyString | None = None
    enum: list[AnyString] | None = None
    description: str | None = None
    value_from: ValueFrom | None = None
    global_name: str | None = None


class Parameters(Model):
    """Arguments, inputs or outputs."""

    UNSUPPORTED = fields.UNSUPPORTED_ARTIFACTS
    parameters: list[Parameter] = []

    def named(self, name: str) -> Parameter | None:
        """The parameter of that name."""
        return next((p for p in self.parameters if p.name == name), None)


class Outputs(Parameters):
    """Output parameters; `result` is never declared, only referred to."""


class TemplateRef(Model):
    """A template of a WorkflowTemplate."""

    UNSUPPORTED = frozenset(["clusterScope"])
    name: str
    template: str


class ContinueOn(Model):
    """Which ends of a step do not end the workflow."""

    failed: bool = False
    error: bool = False


class Sequence(Model):
    """A loop over numbers."""

    count: AnyString | None = None
    start: AnyString | None = None
    end: AnyString | None = None
    format: str | None = None


class Step(Model):
    """A call of a template."""

    UNSUPPORTED = fields.UNSUPPORTED_STEP
    name: str
    template: str | None = None
    template_ref: TemplateRef | None = None
    arguments: Parameters = Parameters()
    when: str | None = None
    with_items: list[Any] | None = None
    with_param: AnyString | None = None
    with_sequence: Sequence | None = None
    continue_on: ContinueOn = ContinueOn()

    @property
    def loops(self) -> bool:
        """Whether it is expanded to one node for each item."""
        return self.with_items is not None or self.with_param is not None or self.with_sequence is not None


class Task(Step):
    """A step of a DAG."""

    dependencies: list[str] = []
    depends: str | None = None


class Dag(Model):
    """Tasks with dependencies."""

    tasks: list[Task]
    target: str | None = None
    fail_fast: bool = True


class EnvSource(Model):
    """Where an environment variable's value comes from."""

    UNSUPPORTED = frozenset("fieldRef resourceFieldRef secretKeyRef fileKeyRef".split())
    config_map_key_ref: KeyRef


class Env(Model):
    """An environment variable."""

    name: str
    value: AnyString | None = None
    value_from: EnvSource | None = None


class EnvFromRef(Model):
    """A ConfigMap or Secret whose keys become environment variables."""

    name: str
    optional: bool = False


class EnvFrom(Model):
    """Environment variables from a ConfigMap; an optional Secret counts as absent here."""

    prefix: str = ""
    config_map_ref: EnvFromRef | None = None
    secret_ref: EnvFromRef | None = None


class Mount(Model):
    """Where an emptyDir appears in the container."""

    HARMLESS = frozenset("readOnly recursiveReadOnly mountPropagation".split())
    UNSUPPORTED = frozenset("subPath subPathExpr".split())
    name: str
    mount_path: str


class Container(Model):
    """A command with its arguments and environment."""

    HARMLESS = fields.HARMLESS_CONTAINER
    UNSUPPORTED = fields.UNSUPPORTED_CONTAINER
    image: str
    command: list[AnyString] = []
    args: list[AnyString] = []
    env: list[Env] = []
    env_from: list[EnvFrom] = []
    working_dir: str | None = None
    volume_mounts: list[Mount] = []


class Script(Container):
    """A container whose last argument is a file with `source`."""

    source: str


class Suspend(Model):
    """A wait for a person, or for a time."""

    duration: AnyString | None = None


class Backoff(Model):
    """Waits between attempts."""

    duration: AnyString
    factor: AnyString | None = None
    max_duration: AnyString | None = None
    cap: AnyString | None = None


class RetryStrategy(Model):
    """When and how often a template is tried again."""

    HARMLESS = fields.HARMLESS_RETRY
    limit: AnyString | None = None
    retry_policy: str | None = None
    backoff: Backoff | None = None
    expression: str | None = None

    @property
    def policy(self) -> str:
        """The policy in force: as Argo, OnFailure, or Always when there is an expression."""
        return self.retry_policy or ("Always" if self.expression else "OnFailure")


class Mutex(Model):
    """A lock shared by all runs under one home."""

    UNSUPPORTED = frozenset(["database"])
    name: str
    namespace: str | None = None


class Synchronization(Model):
    """Mutexes to hold while a template or workflow runs."""

    UNSUPPORTED = fields.UNSUPPORTED_SYNCHRONIZATION
    mutexes: list[Mutex] = []


class Volume(Model):
    """An emptyDir."""

    UNSUPPORTED = fields.UNSUPPORTED_VOLUME
    name: str
    empty_dir: dict[str, Any]


class Template(Model):
    """One template: a container, script, suspend, steps or dag."""

    HARMLESS = fields.HARMLESS_TEMPLATE
    UNSUPPORTED = fields.UNSUPPORTED_TEMPLATE
    name: str
    inputs: Parameters = Parameters()
    outputs: Outputs = Outputs()
    container: Container | None = None
    script: Script | None = None
    steps: list[list[Step]] | None = None
    dag: Dag | None = None
    suspend: Suspend | None = None
    retry_strategy: RetryStrategy | None = None
    active_deadline_seconds: AnyString | None = None
    timeout: AnyString | None = None
    parallelism: int | None = Field(default=None, ge=1)
    fail_fast: bool = False
    synchronization: Synchronization = Synchronization()
    volumes: list[Volume] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [
            k for k in ("container", "script", "steps", "dag", "suspend") if getattr(self, k) is not None
        ]
        if len(kinds) != 1:
            raise PydanticCustomError(
                "kind", "a template is one of container, script, steps, dag and suspend; this one is {kinds}",
                {"kinds": ", ".join(kinds) or "none"},
            )  # fmt: skip
        if kinds[0] in ("steps", "dag") and (
            self.active_deadline_seconds is not None or self.timeout is not None
        ):
            raise PydanticCustomError(
                "leaf", "a deadline or timeout is only valid on a template that runs something", {}
            )
        return self

    @property
    def pod(self) -> Container | None:
        """The container or script, for a template that runs a process."""
        return self.script or self.container


class WorkflowTemplateRef(Model):
    """The WorkflowTemplate that a workflow is made of."""

    UNSUPPORTED = frozenset(["clusterScope"])
    name: str


class Spec(Model):
    """What a workflow does."""

    HARMLESS = fields.HARMLESS_WORKFLOW
    UNSUPPORTED = fields.UNSUPPORTED_WORKFLOW
    entrypoint: str | None = None
    templates: list[Template] = []
    template_defaults: dict[str, Any] | None = None
    arguments: Parameters = Parameters()
    on_exit: str | None = None
    parallelism: int | None = Field(default=None, ge=1)
    active_deadline_seconds: AnyString | None = None
    workflow_template_ref: WorkflowTemplateRef | None = None
    synchronization: Synchronization = Synchronization()
    volumes: list[Volume] = []

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        defaults = value.get("templateDefaults") if isinstance(value, dict) else None
        if not isinstance(defaults, dict) or not isinstance(value.get("templates"), list):
            return value
        leaf = {"container", "script", "suspend"}
        merged = [
            _merge(defaults, t) if isinstance(t, dict) and leaf & t.keys() else t for t in value["templates"]
        ]
        return {**value, "templates": merged}


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


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merge(result[key], value) if both else value
    kinds = {"container", "script", "suspend"}
    return {k: v for k, v in result.items() if k not in kinds or k in over} if kinds & over.keys() else result


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
