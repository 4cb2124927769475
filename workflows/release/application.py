"""An application: one thing that is classified and served. Its facts: k8s/apps/<application>/application.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.common.errors import InvalidInput, NotFound, Refused
from workflows.release.component import EMPTY, component_path
from workflows.release.names import ENVIRONMENTS, check_name
from workflows.release.tree import ReadTree

APPS = "k8s/apps"
_NAMESPACE = "matchLabels/kubernetes.io~1metadata.name"


class ApplicationFacts(BaseModel):
    """The content of application.yaml; an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="as in paths, namespaces and the MLflow registry")
    title: str = Field(description="for people")
    kind: Literal["image", "audio"]
    data_source: str = Field(description="where train-model takes the data when it is not told another place")
    model_name: str = Field(description="the family that train-model trains when it is not told another")
    environments: tuple[str, ...] = Field(
        ENVIRONMENTS, min_length=1, max_length=10, description="in the order in which a version passes them"
    )
    ports: dict[str, int] = Field(default_factory=dict, description="on one machine, for each environment")

    @model_validator(mode="after")
    def _fits(self) -> ApplicationFacts:
        for environment in self.environments:
            check_name(environment, "environment")
        if len(set(self.environments)) != len(self.environments):
            raise ValueError("an environment is named twice")
        unknown = set(self.ports) - set(self.environments)
        if unknown:
            raise ValueError(f"ports of unknown environments: {', '.join(sorted(unknown))}")
        if any(not 0 < port < 65536 for port in self.ports.values()):
            raise ValueError("a port is a number from 1 to 65535")
        return self

    def check_environment(self, name: str) -> str:
        """The name itself when the application has such an environment.

        Raises:
            NotFound: it has not.
        """
        if name not in self.environments:
            raise NotFound(
                f"{self.name} has no such environment", value=name, allowed=", ".join(self.environments)
            )
        return name

    def check_transition(self, source: str, target: str) -> None:
        """Pass when a promotion from source to target skips no environment.

        Raises:
            NotFound: one of them does not exist.
            Refused: they are not neighbours in this order.
        """
        at = self.environments.index(self.check_environment(source))
        self.check_environment(target)
        if self.environments[at + 1 : at + 2] != (target,):
            pairs = zip(self.environments, self.environments[1:], strict=False)
            allowed = ", ".join(f"{a} to {b}" for a, b in pairs) or "none"
            raise Refused("a promotion skips no environment", value=f"{source} to {target}", allowed=allowed)


def list_applications(tree: ReadTree) -> list[str]:
    """Names of the applications that have an application.yaml, sorted."""
    return [name for name in tree.names(APPS) if tree.read(f"{APPS}/{name}/application.yaml") is not None]


def load_application(tree: ReadTree, name: str) -> ApplicationFacts:
    """The facts of one application.

    Raises:
        NotFound: there is none of this name.
        InvalidInput: its file is wrong; the message names the keys.
    """
    data = tree.read(f"{APPS}/{check_name(name)}/application.yaml")
    if data is None:
        known = ", ".join(list_applications(tree)) or "none yet"
        raise NotFound("there is no such application", value=name, allowed=known)
    return parse_application(data, name)


def parse_application(data: bytes, name: str) -> ApplicationFacts:
    """The facts in the bytes of an application.yaml that lies in the folder `name`."""
    path = f"{APPS}/{name}/application.yaml"
    try:
        content = yaml.safe_load(data)
        facts = ApplicationFacts.model_validate(content)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise InvalidInput(f"{path} is wrong: {problems}") from error
    if facts.name != name:
        raise InvalidInput(f"{path} names another application", value=facts.name, allowed=name)
    return facts


def create_application(root: Path, facts: ApplicationFacts) -> list[Path]:
    """Write the folder of a new application into a checkout; files that are there stay as they are.

    Returns:
        the files written, relative to `root`; they count once they are committed and pushed.
    """
    name = check_name(facts.name)
    files = {f"{APPS}/{name}/application.yaml": render_application(facts)}
    for environment in facts.environments:
        files[f"{APPS}/{name}/{environment}/kustomization.yaml"] = render_overlay(
            facts, environment, facts.ports.get(environment)
        )
        files[component_path(name, environment)] = EMPTY
    written = []
    for path, data in files.items():
        file = root / path
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            written.append(Path(path))
    return written


def render_application(facts: ApplicationFacts) -> bytes:
    """The bytes of application.yaml."""
    return yaml.safe_dump(facts.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode()


def render_overlay(facts: ApplicationFacts, environment: str, port: int | None = None) -> bytes:
    """The bytes of an environment's kustomization.yaml: facts over the common base.

    Args:
        port: on the cluster's outer addresses; kept in this file alone. None: reachable from inside alone.
    """
    application = facts.name
    place = {"app.kubernetes.io/part-of": application, "rookery/environment": environment}
    before, after = _neighbours(facts, environment)
    live = after is None
    components = [
        *(["../../../serve/replicated"] if live else []),
        *(["../../../serve/edge"] if port is not None else []),
        *(["../../../serve/copying", "../../../serve/gateway"] if live and before else []),
        *(["../../../serve/copied", "../../../serve/shared"] if after == facts.environments[-1] else []),
        "release",
        "../../../site",
    ]
    copies = [f"ROOKERY_SERVE_SHADOW_URL=http://serve.{application}-{before}.svc"] if live and before else []
    content: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": f"{application}-{environment}",
        "resources": ["../../../serve/base"],
        "components": components,
        "labels": [{"pairs": place, "includeSelectors": True, "includeTemplates": True}],
        "configMapGenerator": [
            {
                "name": "environment",
                "literals": [
                    f"ROOKERY_SERVE_APPLICATION={application}",
                    f"ROOKERY_SERVE_ENVIRONMENT={environment}",
                    *copies,
                ],
            }
        ],
    }
    patches = [_patch("Service", "edge", {"/spec/ports/0/port": port})] if port is not None else []
    if live and before:
        patches += _live_patches(f"{application}-{environment}", f"{application}-{before}")
    elif after == facts.environments[-1]:
        patches += _canary_patches(f"{application}-{after}")
    if patches:
        content["patches"] = patches
    return yaml.safe_dump(content, sort_keys=False, width=110).encode()


def _neighbours(facts: ApplicationFacts, environment: str) -> tuple[str | None, str | None]:
    """The environment before and the one after."""
    padded = (None, *facts.environments, None)
    at = padded.index(environment)
    return padded[at - 1], padded[at + 1]


def _live_patches(own: str, canary: str) -> list[dict[str, Any]]:
    """Where copies go, and where the gateway of live traffic finds the environment that may get a share."""
    backend = "/spec/rules/{}/backendRefs/{}/namespace"
    watched = f"--providers.kubernetesGateway.namespaces={own},{canary}"
    return [
        _patch("Deployment", "gateway", {"/spec/template/spec/containers/0/args/0": watched}),
        _patch("HTTPRoute", "gateway", {backend.format(0, 1): canary, backend.format(1, 0): canary}),
        _patch("RoleBinding", "gateway", {"/subjects/0/namespace": own}),
        _patch("NetworkPolicy", "gateway", {f"/spec/egress/0/to/1/namespaceSelector/{_NAMESPACE}": canary}),
        _patch("NetworkPolicy", "copying", {f"/spec/egress/0/to/0/namespaceSelector/{_NAMESPACE}": canary}),
    ]


def _canary_patches(live: str) -> list[dict[str, Any]]:
    """From where copies and the gateway come in."""
    return [
        _patch("ReferenceGrant", "gateway", {"/spec/from/0/namespace": live}),
        _patch("RoleBinding", "gateway", {"/subjects/0/namespace": live}),
        *(
            _patch("NetworkPolicy", name, {f"/spec/ingress/0/from/0/namespaceSelector/{_NAMESPACE}": live})
            for name in ("from-gateway", "copied")
        ),
    ]


def _patch(kind: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    changes = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(changes)}
