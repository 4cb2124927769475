"""Tell Argo CD of a push, in the format of GitHub's webhook; told or not, the push stands.

Source: GitHub documentation, webhook events and payloads, `push`; validating webhook deliveries (HMAC).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from services.git.rules import Update
from services.git.settings import GitServerSettings

_MAX_FILES = 1000
_KINDS = {"A": "added", "D": "removed"}


def notify(settings: GitServerSettings, user: str, updates: list[Update]) -> list[str]:
    """Send one notice for each branch that moved; returns what the pusher is told of it, one line each."""
    if not settings.webhook_url:
        return []
    moved = [update for update in updates if update.ref.startswith("refs/heads/") and not update.deletes]
    said: list[str] = []

    def send_all() -> None:
        for update in moved:
            said.append(_send(settings, payload(settings, user, update)))

    # The bound holds for names that do not resolve and answers that trickle, too.
    worker = threading.Thread(target=send_all, daemon=True)
    worker.start()
    worker.join(settings.webhook_seconds)
    if worker.is_alive():
        said.append(
            f"Argo CD was not told within {settings.webhook_seconds:g} s; it will find the push by itself"
        )
    return list(said)


def payload(settings: GitServerSettings, user: str, update: Update) -> dict[str, Any]:
    """The body of a push event."""
    changed = {"added": [], "removed": [], "modified": []} if update.creates else _changed(update)
    commit = {"id": update.new, "message": "", "distinct": True, **changed}
    return {
        "ref": update.ref,
        "before": update.old,
        "after": update.new,
        "created": update.creates,
        "deleted": False,
        "forced": False,
        "head_commit": commit,
        "commits": [commit],
        "pusher": {"name": user},
        "repository": {
            "name": settings.repository.removesuffix(".git"),
            "full_name": f"rookery/{settings.repository.removesuffix('.git')}",
            "html_url": settings.public_url,
            "clone_url": settings.public_url,
            "url": settings.public_url,
            "default_branch": settings.branch,
        },
    }


def signatures(body: bytes, secret: bytes) -> dict[str, str]:
    """The headers that prove who sent the body."""
    return {
        "X-Hub-Signature": "sha1=" + hmac.new(secret, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
    }


def _send(settings: GitServerSettings, content: dict[str, Any]) -> str:
    body = json.dumps(content).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/rookery",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": content["after"],
    }
    try:
        secret = Path(settings.webhook_secret_file)
        if secret.is_file():
            headers |= signatures(body, secret.read_bytes().strip())
        request = urllib.request.Request(settings.webhook_url, data=body, headers=headers, method="POST")  # noqa: S310
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_context(settings))
        )
        with opener.open(request, timeout=settings.webhook_seconds) as answer:
            return f"Argo CD was told of {content['ref']} ({answer.status})"
    except urllib.error.HTTPError as error:
        return f"Argo CD refused the notice of {content['ref']}: {error.code}"
    except (OSError, ValueError) as error:
        return f"Argo CD was not told of {content['ref']}: {error}"


def _context(settings: GitServerSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.webhook_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _changed(update: Update) -> dict[str, list[str]]:
    """The files of a push, none when they are too many to list: then all of the repository is looked at."""
    found: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
    command = ["git", "diff-tree", "-r", "-z", "--name-status", "--no-renames", update.old, update.new]
    done = subprocess.run(command, check=False, capture_output=True, timeout=30)
    parts = done.stdout.decode(errors="replace").split("\0")
    pairs = list(zip(parts[0::2], parts[1::2], strict=False))
    if len(pairs) <= _MAX_FILES:
        for kind, path in pairs:
            found[_KINDS.get(kind, "modified")].append(path)
    return found
