#!/usr/bin/env python3
"""Let the addresses of a file through this machine's firewall, where there is one that refuses anything.

Looks at the base chains of hooks `input` and `forward` that drop or reject, inserts an accepting rule for each source
at their head, and prints one line for each rule that it inserted: nothing printed means nothing changed.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

MARK = "rookery: nodes and pods"


def refusing(ruleset: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the base chains for arriving or forwarded IPv4 traffic that refuse some of it.

    `ruleset` is what `nft --json list ruleset` prints.
    """
    entries = ruleset["nftables"]
    deny = {
        (r["family"], r["table"], r["chain"])
        for r in (e["rule"] for e in entries if "rule" in e)
        if any("drop" in part or "reject" in part for part in r["expr"])
    }
    chains = [e["chain"] for e in entries if "chain" in e]
    return [
        c
        for c in chains
        if c.get("hook") in {"input", "forward"}
        and c["family"] in {"ip", "inet"}
        and (c.get("policy") == "drop" or (c["family"], c["table"], c["name"]) in deny)
    ]


def opened(ruleset: dict[str, Any], chain: dict[str, Any]) -> set[str]:
    """Return the sources for which `chain` has our rule already, as `address` or `address/length`."""
    place = (chain["family"], chain["table"], chain["name"])
    found = set()
    for rule in (e["rule"] for e in ruleset["nftables"] if "rule" in e):
        if rule.get("comment") == MARK and (rule["family"], rule["table"], rule["chain"]) == place:
            right = rule["expr"][0]["match"]["right"]
            found.add(
                f"{right['prefix']['addr']}/{right['prefix']['len']}" if isinstance(right, dict) else right
            )
    return found


def commands(ruleset: dict[str, Any], sources: list[str]) -> list[list[str]]:
    """Return the nft commands that are still needed."""
    return [
        ["nft", "insert", "rule", *place, "ip", "saddr", source, "counter", "accept", "comment", f'"{MARK}"']
        for chain in refusing(ruleset)
        for place in [(chain["family"], chain["table"], chain["name"])]
        for source in sources
        if source not in opened(ruleset, chain)
    ]


def main() -> None:
    """Open what is shut; a machine without nft has no firewall that we know."""
    sources = Path(sys.argv[1]).read_text(encoding="utf-8").split()
    if shutil.which("nft") is None:
        return
    listed = subprocess.run(["nft", "--json", "list", "ruleset"], check=True, capture_output=True, text=True)
    for command in commands(json.loads(listed.stdout), sources):
        subprocess.run(command, check=True)
        print(" ".join(command))


if __name__ == "__main__":
    main()
