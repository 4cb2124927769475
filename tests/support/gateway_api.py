"""The schemas of the Gateway API, from its own definitions."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.support.manifests import ROOT, Resource

GROUP = "gateway.networking.k8s.io"


@lru_cache
def definitions() -> Path:
    """The folder of the definitions of the standard channel."""
    done = subprocess.run([ROOT / "tests/tools/gateway-api.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@lru_cache
def schemas() -> dict[tuple[str, str], Draft202012Validator]:
    """(apiVersion, kind) → what such a resource must be; a field that is not defined is refused."""
    found = {}
    for path in sorted(definitions().glob("gateway.*.yaml")):
        for definition in filter(None, yaml.safe_load_all(path.read_text())):
            names = definition["spec"]["names"]
            for version in definition["spec"]["versions"]:
                schema = _strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                found[f"{GROUP}/{version['name']}", names["kind"]] = Draft202012Validator(schema)
    return found


def problems(resource: Resource) -> list[str]:
    """What keeps a resource from being valid, rules in the expression language of Kubernetes aside."""
    validator = schemas()[resource["apiVersion"], resource["kind"]]
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)]


def lacks(resource: Resource) -> list[str]:
    """The fields that the API server would add; with them Argo CD would see a difference for ever."""
    validator = schemas()[resource["apiVersion"], resource["kind"]]
    schema: Any = validator.schema
    return list(_missing(schema["properties"]["spec"], resource["spec"], "spec"))


def _missing(schema: dict[str, Any], value: Any, where: str) -> list[str]:
    found = []
    if isinstance(value, dict):
        for name, field in schema.get("properties", {}).items():
            if name in value:
                found += _missing(field, value[name], f"{where}.{name}")
            elif "default" in field:
                found.append(f"{where}.{name}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            found += _missing(schema["items"], item, f"{where}[{at}]")
    return found


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {key: _strict(value) for key, value in schema.items()}
    if copied.get("type") == "object" and "properties" in copied:
        copied.setdefault("additionalProperties", False)
    return copied
