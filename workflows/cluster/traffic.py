"""Whether the gateway of an environment divides its traffic as git says, asked through the Kubernetes API."""

from __future__ import annotations

import time

from services.common.errors import NotFound, Unavailable
from workflows.cluster.api import Kubernetes, Object
from workflows.steps.rollout import namespace_of

ROUTE = "gateway"
_PAUSE_SECONDS = 0.5


def route_path(application: str, live: str) -> str:
    """Where the route of an environment lies."""
    space = namespace_of(application, live)
    return f"/apis/gateway.networking.k8s.io/v1/namespaces/{space}/httproutes/{ROUTE}"


def await_share(
    kube: Kubernetes,
    application: str,
    live: str,
    percent: int,
    seconds: float,
    *,
    pause: float = _PAUSE_SECONDS,
) -> None:
    """Wait until the gateway has taken in that the environment before `live` gets a share.

    Raises:
        Unavailable: it has not in time; the message says what is missing.
        Forbidden: who asks may not read routes.
    """
    deadline = time.monotonic() + seconds
    while (missing := missing_of(_route(kube, route_path(application, live)), percent)) != "":
        if time.monotonic() > deadline:
            raise Unavailable(
                f"the gateway of {application} {live} has no share of {percent} % yet: {missing}"
            )
        time.sleep(pause)


def missing_of(route: Object | None, percent: int) -> str:
    """What a route lacks to give a share; empty when nothing, as where no route is and no share is asked for.

    Source: Gateway API, HTTPRoute: the status of each parent is of the generation that `observedGeneration` names.
    """
    if route is None:
        return "there is no HTTPRoute" if percent else ""
    weights = [backend.get("weight", 1) for backend in route["spec"]["rules"][0]["backendRefs"]]
    if weights != [100 - percent, percent]:
        return f"the HTTPRoute says {' to '.join(map(str, weights))}"
    parents = (route.get("status") or {}).get("parents") or []
    if not parents:
        return "no gateway has taken the HTTPRoute"
    for parent in parents:
        for condition in parent.get("conditions") or []:
            if int(condition.get("observedGeneration") or 0) < int(route["metadata"].get("generation") or 0):
                return "the gateway has not read it yet"
            if condition["status"] != "True":
                return f"{condition['type']} is {condition['status']}: {condition.get('message', '')}".strip()
    return ""


def _route(kube: Kubernetes, path: str) -> Object | None:
    try:
        return kube.get(path)
    except NotFound:
        return None
