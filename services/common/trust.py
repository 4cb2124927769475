"""Which authorities are believed when something is asked over HTTP.

httpx reads the certificates of all authorities anew for every client, and for every call of `httpx.get` and its like,
also when the address is plain http: 19 ms of a processor each time, far more than such a request takes.
"""

from __future__ import annotations

import os
import ssl
from functools import cache

import httpx

from services.common.errors import InvalidInput


def trust_for(url: str) -> ssl.SSLContext:
    """For httpx' `verify`: the usual authorities where the address is https, and else nobody.

    An http address that redirects to https fails therefore; whoever follows redirects takes `authorities`.
    """
    return authorities() if url[:6].lower() == "https:" else _nobody()


@cache
def authorities() -> ssl.SSLContext:
    """Those of httpx, or of SSL_CERT_FILE and SSL_CERT_DIR; read once by a process.

    Raises:
        InvalidInput: the file that is named cannot be read or holds no certificates.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise InvalidInput(
            f"the certificates of the authorities cannot be read: {error}",
            value=os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"),
            allowed="a file in PEM in SSL_CERT_FILE, or a folder in SSL_CERT_DIR",
        ) from error


@cache
def _nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
