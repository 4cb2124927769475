"""The objects of Argo Workflows' API v1alpha1 (v4.0) as far as the local engine runs them.

Fields that make no difference on one machine are listed in `fields.py` and left out; every other field that is not here
is refused by its path and name.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from services.common.errors import InvalidInput
from workflows.local import fields

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


_Secret = TypeVar("_Secret", "KeyRef", "EnvFromRef")
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
    """One key of a ConfigMap or Secret."""

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


class EnvFromRef(Model):
    """A ConfigMap or Secret whose keys become environment variables."""

    name: str
    optional: bool = False


def _optional_secret(secret: _Secret) -> _Secret:
    if not secret.optional:
        raise PydanticCustomError("required", "not supported by the local engine unless optional")
    return secret


class EnvSource(Model):
    """Where an environment variable's value comes from; an optional Secret counts as absent here."""

    UNSUPPORTED = frozenset("fieldRef resourceFieldRef fileKeyRef".split())
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: Annotated[KeyRef, AfterValidator(_optional_secret)] | None = None


class Env(Model):
    """An environment variable."""

    name: str
    value: AnyString | None = None
    value_from: EnvSource | None = None


class EnvFrom(Model):
    """Environment variables from a ConfigMap; an optional Secret counts as absent here."""

    prefix: str = ""
    config_map_ref: EnvFromRef | None = None
    secret_ref: Annotated[EnvFromRef, AfterValidator(_optional_secret)] | None = None


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


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merge(result[key], value) if both else value
    kinds = {"container", "script", "suspend"}
    return {k: v for k, v in result.items() if k not in kinds or k in over} if kinds & over.keys() else result
