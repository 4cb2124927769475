#!/usr/bin/env python3
"""Wait until Argo CD has an application for every folder of a work tree, each synced and healthy.

    wait_for_applications.py WORK_TREE SECONDS [EXCLUDED_FOLDER…]

When the time is up, says of each application that is not what is wrong with it, in Argo CD's words, and fails.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PAUSE_SECONDS = 2.0
SECONDS = 60


def wanted(tree: Path, excluded: list[str]) -> set[str]:
    """Return the names of the applications that the folders of k8s/ become."""
    parts = [p for parent in ("k8s/platform", "k8s/pipeline") for p in (tree / parent).iterdir()]
    names = {p.name for p in parts if p.is_dir() and str(p.relative_to(tree)) not in excluded}
    environments = [p for p in (tree / "k8s/apps").glob("*/*") if (p / "kustomization.yaml").is_file()]
    return names | {f"{p.parent.name}-{p.name}" for p in environments} | {"rookery"}


def wrong(application: dict[str, Any] | None) -> str:
    """Return what keeps an application from being as git says, or an empty string."""
    if application is None:
        return "there is no such application yet"
    status = application.get("status", {})
    sync, health = (
        status.get("sync", {}).get("status", "Unknown"),
        status.get("health", {}).get("status", "Unknown"),
    )
    if (sync, health) == ("Synced", "Healthy"):
        return ""
    said = [c["message"] for c in status.get("conditions", []) if "message" in c]
    said += [
        f"{r['kind']} {r['name']}: {r['health'].get('message', r['health']['status'])}"
        for r in status.get("resources", [])
        if r.get("health", {}).get("status", "Healthy") != "Healthy"
    ]
    operation = status.get("operationState", {})
    if operation.get("phase") not in {None, "Succeeded"}:
        said.append(operation.get("message", ""))
    return "; ".join([f"{sync}, {health}", *filter(None, said)])


def look(names: set[str]) -> dict[str, str]:
    """Return what is wrong with each application that is not as it should be."""
    try:
        listed = subprocess.run(
            ["kubectl", "get", "applications.argoproj.io", "--namespace", "argocd", "--output", "json"],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return dict.fromkeys(names, f"the cluster did not say within {SECONDS} seconds")
    if listed.returncode != 0:
        return dict.fromkeys(names, listed.stderr.strip())
    found = {item["metadata"]["name"]: item for item in json.loads(listed.stdout)["items"]}
    return {name: said for name in sorted(names) if (said := wrong(found.get(name)))}


def main() -> int:
    """Look again and again until all is well or the time is up."""
    names = wanted(Path(sys.argv[1]), sys.argv[3:])
    end = time.monotonic() + float(sys.argv[2])
    while left := look(names):
        if time.monotonic() > end:
            print(f"after {sys.argv[2]} seconds these are not synced and healthy:", file=sys.stderr)
            for name, said in left.items():
                print(f"  {name}: {said}", file=sys.stderr)
            return 1
        time.sleep(PAUSE_SECONDS)
    print(f"{len(names)} applications are synced and healthy: {', '.join(sorted(names))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
