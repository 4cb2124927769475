#!/usr/bin/env python3
"""Exit with 0 when this node's API server says that it lives."""

import ssl
import sys
import urllib.request

AUTHORITY = "/etc/kubernetes/pki/ca.crt"
URL = "https://127.0.0.1:6443/livez"
SECONDS = 2


def answers(url: str = URL, authority: str = AUTHORITY) -> bool:
    """Whether the server answers with a success, and as who it should be."""
    try:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)),
        )
        with opener.open(url, timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if answers() else 1)
