"""Request ids that prove their own origin: feedback can be checked without looking anything up."""

from __future__ import annotations

import os
import re
import time
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path

from services.common.errors import InvalidInput, Refused

_SIGNATURE = 12
_ID = re.compile(r"[0-9a-f]{56}")
_KEY_BYTES = 32
_KEY_FILE = "key"


class RequestIds:
    """Makes and checks ids of predictions: 6 bytes milliseconds, 4 of the process, 6 of a counter, 12 of signature.

    The signature is keyed BLAKE2b (RFC 7693) over the first 16 bytes. The key is bound to the application and the
    environment, so an id of staging says nothing in production.
    """

    def __init__(self, key: bytes, application: str, environment: str) -> None:
        self._key = blake2b(f"{application}/{environment}".encode(), key=key[:64], digest_size=32).digest()
        self._process = int.from_bytes(os.urandom(4)) << 48
        self._count = 0

    def next(self, milliseconds: int) -> str:
        """A new id: 32 hex digits that name the prediction, and its signature."""
        self._count += 1
        raw = ((milliseconds << 80) | self._process | self._count).to_bytes(16)
        return (raw + blake2b(raw, key=self._key, digest_size=_SIGNATURE).digest()).hex()

    def check(self, text: str, *, oldest_seconds: float, now: float | None = None) -> str:
        """The first 32 digits of an id that was made with this key.

        Raises:
            InvalidInput: not of the form of an id.
            Refused: made with another key or altered, or older than `oldest_seconds`.
        """
        if not _ID.fullmatch(text):
            raise InvalidInput(
                "this is no request id", value=text, allowed="56 hex digits, as /predict gave it"
            )
        raw, signature = bytes.fromhex(text[:32]), bytes.fromhex(text[32:])
        if not compare_digest(signature, blake2b(raw, key=self._key, digest_size=_SIGNATURE).digest()):
            raise Refused("no prediction with this request id was made here", value=text)
        age = (time.time() if now is None else now) - int.from_bytes(raw[:6]) / 1000
        if age > oldest_seconds:
            raise Refused(
                "the prediction is too old for feedback",
                value=f"{age / 86_400:.1f} days",
                allowed=f"{oldest_seconds / 86_400:g} days",
            )
        return text[:32]


def find_key(given: str, folder: Path) -> bytes:
    """The key that was given, else that of the folder, made when there is none.

    Raises:
        InvalidInput: the given key is too short, or the one in the folder cannot be read.
    """
    if given:
        if len(given) < 16:
            raise InvalidInput("the key that signs request ids is too short", allowed="16 characters or more")
        return given.encode()
    path = folder / _KEY_FILE
    draft = folder / f".{_KEY_FILE}.{os.getpid()}"
    try:
        if not path.exists():
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(os.urandom(_KEY_BYTES))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        key = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"no key in the folder of the log: {error.strerror}", value=str(path)) from error
    if len(key) != _KEY_BYTES:
        raise InvalidInput("the key in the folder of the log is not whole", value=str(path))
    return key
