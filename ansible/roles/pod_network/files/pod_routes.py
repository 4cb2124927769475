#!/usr/bin/env python3
"""Set the routes to the pods of the other nodes, and hide pods that speak to the world behind this node's address.

Reads a file with `pods` (the network of all pods), `own` (this node's part of it) and `routes` (network of another
node's pods: that node's address). Says what it changed, a line each; said twice, the second time is silent.
"""

import json
import subprocess
import sys
from pathlib import Path

PROTOCOL = "static"


def output(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wanted_routes(pods: str, routes: dict[str, str], present: list[dict[str, str]]) -> list[list[str]]:
    """Return the `ip route` commands from what there is to what should be.

    `present` is what `ip --json route show root <pods> proto static` prints; routes to networks that no node has any
    more are removed.
    """
    have = {route["dst"]: route.get("gateway", "") for route in present}
    add = [
        ["ip", "route", "replace", network, "via", gateway, "proto", PROTOCOL]
        for network, gateway in routes.items()
        if have.get(network) != gateway
    ]
    gone = [
        ["ip", "route", "delete", network, "proto", PROTOCOL]
        for network in have
        if network not in routes and network != pods
    ]
    return add + gone


def main() -> None:
    """Bring routes and the masquerading rule to what the file says."""
    facts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    present = json.loads(
        output("ip", "--json", "route", "show", "root", facts["pods"], "proto", PROTOCOL) or "[]"
    )
    for command in wanted_routes(facts["pods"], facts["routes"], present):
        subprocess.run(command, check=True)
        print(" ".join(command))
    rule = [
        "POSTROUTING",
        "--source",
        facts["own"],
        "!",
        "--destination",
        facts["pods"],
        "--jump",
        "MASQUERADE",
    ]
    table = ["iptables", "--wait", "--table", "nat"]
    if subprocess.run([*table, "--check", *rule], check=False, capture_output=True).returncode != 0:
        subprocess.run([*table, "--append", *rule], check=True)
        print("masquerading", facts["own"])


if __name__ == "__main__":
    main()
