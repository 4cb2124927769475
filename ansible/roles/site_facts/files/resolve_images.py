#!/usr/bin/env python3
"""Say which digest each image has in its registry.

Reads from standard input a JSON object with `images` (name: host/repository:tag) and `mirrors` (registry host: list of
URLs to ask instead of it, as the container runtime is told), and prints a list of {name, newName, digest}. Registries
that want a token of everybody are asked for one; passwords are not supported.
"""

import http.client
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

ACCEPT = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.index.v1+json",
        "docker.distribution.manifest.list.v2+json",
        "oci.image.manifest.v1+json",
        "docker.distribution.manifest.v2+json",
    )
)
HOSTS = {"docker.io": "registry-1.docker.io"}
SECONDS = 20


def split(image: str) -> tuple[str, str, str]:
    """Return host, repository and tag of `host/repository:tag`.

    Raises:
        ValueError: it is not written so.
    """
    parts = re.fullmatch(r"([^/]+[.:][^/]*)/([a-z0-9._/-]+):([\w.-]+)", image)
    if parts is None:
        raise ValueError(f"the image {image!r} is not written host/repository:tag")
    return parts[1], parts[2], parts[3]


def head(url: str, token: str = "") -> str:
    """Return the digest that a registry answers for a manifest's URL.

    Raises:
        urllib.error.URLError: it answers something else.
    """
    request = urllib.request.Request(url, method="HEAD", headers={"Accept": ACCEPT})  # noqa: S310
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        asked = error.headers.get("WWW-Authenticate", "")
        if error.code != 401 or token or not asked.startswith("Bearer "):
            raise
        return head(url, anonymous_token(asked))


def anonymous_token(asked: str) -> str:
    """Return the token that everybody gets, from what a registry asks for."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', asked))
    query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    with urllib.request.urlopen(f"{fields['realm']}?{query}", timeout=SECONDS) as answer:  # noqa: S310
        given = json.load(answer)
    return str(given.get("token") or given["access_token"])


def resolve(image: str, mirrors: dict[str, list[str]]) -> str:
    """Return the digest of an image, asking the mirrors of its registry first, then the registry itself.

    Raises:
        LookupError: none of them has it; the text has each answer.
    """
    host, repository, tag = split(image)
    places = [*mirrors.get(host, []), f"https://{HOSTS.get(host, host)}"]
    answers = []
    for place in dict.fromkeys(place.rstrip("/") for place in places):
        try:
            return head(f"{place}/v2/{repository}/manifests/{tag}")
        except (OSError, http.client.HTTPException) as error:
            answers.append(f"{place}: {error}")
    raise LookupError(f"no registry has {image}: {'; '.join(answers)}")


def main() -> int:
    """Resolve every image, or say which cannot be."""
    asked: dict[str, Any] = json.load(sys.stdin)
    found = []
    try:
        for name, image in asked["images"].items():
            digest = resolve(image, asked["mirrors"])
            host, repository, _ = split(image)
            found.append({"name": name, "newName": f"{host}/{repository}", "digest": digest})
    except (LookupError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
