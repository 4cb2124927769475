"""What a serving process says it has in memory, asked over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from services.common.errors import Unavailable
from services.common.trust import trust_for


@dataclass(frozen=True)
class RunningModel:
    """The answer of GET /version, as far as releases need it; a digest that it does not give is empty."""

    bundle_digest: str
    image_digest: str = ""
    model_version: str = ""
    application: str = ""
    environment: str = ""


def fetch_running(url: str, *, timeout_seconds: float = 5.0) -> RunningModel:
    """Ask the server at `url`, such as http://127.0.0.1:8081; once more when no answer came in time.

    Raises:
        Unavailable: no answer in time, or one that is no version.
    """
    address = url.rstrip("/") + "/version"
    try:
        try:
            answer = httpx.get(address, timeout=timeout_seconds, trust_env=False, verify=trust_for(url))
        except (httpx.ReadTimeout, httpx.RemoteProtocolError):
            answer = httpx.get(address, timeout=timeout_seconds, trust_env=False, verify=trust_for(url))
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        digest = content["bundle_digest"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"{address} does not say what it runs: {type(error).__name__}: {error}") from error
    texts = {
        key: str(content.get(key) or "")
        for key in ("image_digest", "model_version", "application", "environment")
    }
    return RunningModel(bundle_digest=str(digest), **texts)
