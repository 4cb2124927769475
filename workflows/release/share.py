"""The share of production's live traffic that the canary gets: two weights in the component of production's release/.

A release, promotion or rollback of production writes that component anew and so without a share; one of the canary
takes the share back in its own commit. A share therefore never outlives the pair of versions that it was set for.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from services.common.errors import IntegrityError
from workflows.release.application import ApplicationFacts, load_application
from workflows.release.component import component_path
from workflows.release.tree import ReadTree, Tree

MOST = 50
GATEWAY_FACT = "k8s/site/facts/gateway.yaml"
_WEIGHT = "/spec/rules/0/backendRefs/{}/weight"


def share_of(component: bytes | None, path: str) -> int:
    """Percent of live traffic that a component of the last environment gives to the one before it.

    Raises:
        IntegrityError: it has patches that are no share.
    """
    if component is None:
        return 0
    try:
        patches = yaml.safe_load(component).get("patches", [])
        percent = json.loads(patches[0]["patch"])[1]["value"] if patches else 0
    except (yaml.YAMLError, AttributeError, ValueError, LookupError, TypeError) as error:
        raise IntegrityError(f"{path} has patches that are no share of traffic: {error}") from error
    if patches and (type(percent) is not int or not 0 < percent <= MOST or patches != _patches(percent)):
        raise IntegrityError(f"{path} has patches that are no share of traffic", value=percent)
    return int(percent)


def with_share(component: bytes, percent: int) -> bytes:
    """A component with another share; 0 takes it away."""
    content: dict[str, Any] = yaml.safe_load(component)
    content.pop("patches", None)
    if percent:
        content["patches"] = _patches(percent)
    return yaml.safe_dump(content, sort_keys=False, width=200).encode()


def sharing_pair(facts: ApplicationFacts) -> tuple[str, str] | None:
    """The environment that may get a share and the one whose traffic it is; nothing when there is only one."""
    return (facts.environments[-2], facts.environments[-1]) if len(facts.environments) > 1 else None


def end_share(tree: Tree, application: str, environment: str) -> tuple[str, int] | None:
    """Stage the end of the share that an environment gets, when its component is changed.

    Returns:
        the environment whose traffic it was, with the percent; nothing when there was no share.
    """
    pair = sharing_pair(load_application(tree, application))
    if pair is None or pair[0] != environment or component_path(application, environment) not in tree.changes:
        return None
    path = component_path(application, pair[1])
    component = tree.read(path)
    percent = share_of(component, path)
    if component is None or percent == 0:
        return None
    tree.write(path, with_share(component, 0))
    return pair[1], percent


def has_gateway(tree: ReadTree) -> bool:
    """Whether the site has a gateway, by its facts; without one nothing splits traffic."""
    fact = tree.read(GATEWAY_FACT)
    try:
        return fact is not None and isinstance(yaml.safe_load(fact), list)
    except yaml.YAMLError as error:
        raise IntegrityError(f"{GATEWAY_FACT} is no YAML: {error}") from error


def _patches(percent: int) -> list[dict[str, Any]]:
    weights = [
        {"op": "replace", "path": _WEIGHT.format(at), "value": value}
        for at, value in enumerate((100 - percent, percent))
    ]
    return [{"target": {"kind": "HTTPRoute"}, "patch": json.dumps(weights)}]
