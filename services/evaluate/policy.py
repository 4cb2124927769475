"""What a model must reach to be registered: one YAML file for each application, strictly read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.digest import canonical_json, digest_bytes
from services.common.errors import InvalidInput
from services.common.names import check_name
from services.evaluate.metrics import MetricName

DEFAULT = Path(__file__).parent / "policy.yaml"
_MAX_BYTES = 64 * 1024


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Floors(_Strict):
    """The least point value of each metric; what is left out is not asked for."""

    accuracy: float | None = Field(None, ge=0, le=1, description="share of items whose first guess is right")
    balanced_accuracy: float | None = Field(None, ge=0, le=1, description="mean recall over the classes")
    macro_f1: float | None = Field(None, ge=0, le=1, description="mean F1 over the classes")
    micro_f1: float | None = Field(None, ge=0, le=1, description="F1 over all answers together")
    map: float | None = Field(None, ge=0, le=1, description="mean average precision over the classes")
    macro_auc: float | None = Field(None, ge=0, le=1, description="mean area under the ROC curve")


class ClassFloors(_Strict):
    """The least value in every class that has enough items to be judged."""

    recall: float | None = Field(None, ge=0, le=1, description="least recall of a class")
    precision: float | None = Field(None, ge=0, le=1, description="least precision of a class")
    f1: float | None = Field(None, ge=0, le=1, description="least F1 of a class")
    average_precision: float | None = Field(
        None, ge=0, le=1, description="least average precision of a class"
    )
    minimum_support: int = Field(10, ge=1, description="holdout items below which a class is not judged")


class NoWorse(_Strict):
    """The comparison with the version in production; the rule is stated in `services.evaluate.gate`."""

    metric: MetricName = Field("macro_f1", description="what is compared")
    margin: float = Field(
        0.02, ge=0, le=1, description="the most that the point value may lie below production's"
    )


class Policy(_Strict):
    """One application's policy."""

    floors: Floors = Field(Floors(), description="least values of the whole holdout")
    class_floors: ClassFloors = Field(ClassFloors(), description="least values of each class")
    no_worse: NoWorse | None = Field(
        NoWorse(), description="comparison with the version in production; null: none"
    )
    allow_fewer_labels: bool = Field(
        False, description="whether a model may lack labels that the version in production knows"
    )
    max_bundle_mb: float | None = Field(250.0, gt=0, description="size of the bundle, in units of 10⁶ bytes")
    max_p95_ms: float | None = Field(
        None, gt=0, description="95th percentile of decode to answer on one thread, milliseconds"
    )
    max_ece: float | None = Field(
        None, ge=0, le=1, description="expected calibration error after temperature"
    )
    minimum_holdout: int = Field(50, ge=1, description="readable items the holdout must have")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of all bootstrap intervals")
    resamples: int = Field(1000, ge=100, le=100_000, description="draws of the bootstrap")
    seed: int = Field(20_260_101, ge=0, description="of the bootstrap")

    @property
    def digest(self) -> str:
        """Digest of the values, defaults written out; the spelling of the file does not matter."""
        return digest_bytes(canonical_json(self.model_dump()))


def find_policy(application: str, folder: Path | None) -> Policy:
    """The policy of an application: `<folder>/<application>/policy.yaml`, or `<folder>/<application>.yaml` as a
    ConfigMap lays it out, or the default when it has none.

    Raises:
        InvalidInput: the name is no application's name, or the file is not a policy.
    """
    check_name(application)
    own = () if folder is None else (folder / application / "policy.yaml", folder / f"{application}.yaml")
    return read_policy(next((path for path in own if path.is_file()), DEFAULT))


def read_policy(path: Path) -> Policy:
    """Read and check one file.

    Raises:
        InvalidInput: it names the file, the key's path, the value, and the key that was likely meant.
    """
    data = path.read_bytes()[: _MAX_BYTES + 1]
    if len(data) > _MAX_BYTES:
        raise InvalidInput(f"{path.name} is too large for a policy", allowed=f"{_MAX_BYTES} bytes")
    return parse_policy(data, name=f"{path.parent.name}/{path.name}")


def parse_policy(data: bytes, *, name: str = "policy.yaml") -> Policy:
    """Check the text of a policy; `name` is what errors call it."""
    try:
        content = yaml.load(data, _StrictLoader)  # noqa: S506 a SafeLoader that also refuses doubled keys
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{name} must be a mapping", value=content, allowed=", ".join(Policy.model_fields))
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(_explain(name, error)) from error


class _StrictLoader(yaml.SafeLoader):
    pass


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key.value!r} is there twice", key.start_mark
            )
        seen.add(str(key.value))
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _explain(name: str, error: ValidationError) -> str:
    return "; ".join(_explain_one(name, dict(one)) for one in error.errors())


def _explain_one(name: str, error: Mapping[str, Any]) -> str:
    where = [str(part) for part in error["loc"]]
    path = ".".join(where)
    if error["type"] != "extra_forbidden":
        return f"{name}: {path}: {error['msg']} (got {error['input']!r})"
    allowed = _keys(where[:-1])
    near = difflib.get_close_matches(where[-1], allowed, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name}: unknown key {path!r} (value {error['input']!r}){hint} Allowed: {', '.join(allowed)}"


def _keys(path: Iterable[str]) -> list[str]:
    model: type[BaseModel] = Policy
    for part in path:
        annotation = model.model_fields[part].annotation
        options = get_args(annotation) or (annotation,)
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(model.model_fields)
