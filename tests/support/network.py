"""What NetworkPolicies let through, worked out from manifests as the API defines them, with no network at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Labels = Mapping[str, str]
Policy = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """An end of a connection.

    Attributes:
        namespace: empty for an address outside the pod network.
        ports: those it listens on, by number; protocol TCP unless in `udp`.
    """

    name: str
    address: str
    namespace: str = ""
    labels: Labels = field(default_factory=dict, hash=False)
    namespace_labels: Labels = field(default_factory=dict, hash=False)
    ports: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()


def may_reach(policies: Iterable[Policy], source: Place, target: Place, port: int, protocol: str) -> bool:
    """Whether a connection passes: it must be allowed where it leaves and where it arrives."""
    every = list(policies)
    return _passes(every, source, target, "egress", port, protocol) and _passes(
        every, target, source, "ingress", port, protocol
    )


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if not dict(selector.get("matchLabels") or {}).items() <= dict(labels).items():
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise AssertionError(f"no operator of a selector: {expression['operator']}")


def _passes(
    policies: list[Policy], place: Place, peer: Place, direction: str, port: int, protocol: str
) -> bool:
    if not place.namespace:
        return True
    isolating = [policy for policy in policies if _isolates(policy, place, direction)]
    if not isolating:
        return True
    return any(
        _rule_allows(rule, policy, peer, direction, port, protocol)
        for policy in isolating
        for rule in policy["spec"].get(direction) or ()
    )


def _isolates(policy: Policy, place: Place, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return (
        direction.capitalize() in types
        and policy["metadata"]["namespace"] == place.namespace
        and selects(spec.get("podSelector") or {}, place.labels)
    )


def _rule_allows(rule: Policy, policy: Policy, peer: Place, direction: str, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if ports and not any(_port_matches(one, port, protocol) for one in ports):
        return False
    peers = rule.get("from" if direction == "ingress" else "to")
    return not peers or any(_peer_matches(one, policy["metadata"]["namespace"], peer) for one in peers)


def _port_matches(given: Mapping[str, Any], port: int, protocol: str) -> bool:
    if given.get("protocol", "TCP") != protocol:
        return False
    low = given.get("port")
    assert low is None or isinstance(low, int), "ports by name are not understood by every network"
    return low is None or low <= port <= given.get("endPort", low)


def _peer_matches(given: Mapping[str, Any], namespace: str, peer: Place) -> bool:
    if block := given.get("ipBlock"):
        address = ip_address(peer.address)
        inside = address in ip_network(block["cidr"])
        return inside and not any(address in ip_network(out) for out in block.get("except") or ())
    if not peer.namespace:
        return False
    if "namespaceSelector" in given:
        if not selects(given["namespaceSelector"], peer.namespace_labels):
            return False
    elif peer.namespace != namespace:
        return False
    return selects(given.get("podSelector") or {}, peer.labels)
