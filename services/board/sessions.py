"""Who is logged in: random identities in a cookie, kept hashed on disk, so that a restart logs nobody out."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from services.common.bearer import Unauthorized
from services.common.errors import InvalidInput, RookeryError
from services.common.files import write_json

MOST_NAME = 60
_TRIES = 10
_TRIES_SECONDS = 60.0
_MOST_ADDRESSES = 10_000


class TooManyTries(RookeryError):
    """Somebody who guesses tokens."""

    code = "too-many-tries"
    status = 429


@dataclass(frozen=True)
class Session:
    """A login. `key` is the hash of the cookie; `csrf` is what each form of this login carries."""

    key: str
    name: str
    csrf: str
    expires: float


class Sessions:
    """The logins, and the tries of those who have none.

    Args:
        path: the file; who takes it away logs everybody out.
        token: logins that were made with another one count no more.
    """

    def __init__(self, path: Path, token: str, seconds: float) -> None:
        self._path = path
        self._token = token
        self._seconds = seconds
        self._lock = threading.Lock()
        self._tries: dict[str, deque[float]] = {}
        self._mark = _hash("mark:" + token)
        self._open = self._load()

    def login(self, name: str, token: str, address: str) -> tuple[str, Session]:
        """A new login and its cookie.

        Raises:
            InvalidInput: no name, or one that could not stand in a log or a commit.
            TooManyTries: from this address came too many wrong tokens.
            Unauthorized: the token is wrong.
        """
        name = check_person(name)
        self._count(address)
        if not hmac.compare_digest(token.strip().encode(), self._token.encode()):
            raise Unauthorized("this is not the board's token")
        self._forgive(address)
        cookie = secrets.token_urlsafe(32)
        session = Session(
            _hash(cookie), name, secrets.token_urlsafe(32), round(time.time() + self._seconds, 3)
        )
        with self._lock:
            self._open[session.key] = session
            self._save()
        return cookie, session

    def find(self, cookie: str | None) -> Session | None:
        """The login of a cookie, if it is one and has not ended."""
        session = self._open.get(_hash(cookie)) if cookie else None
        return session if session and session.expires > time.time() else None

    def logout(self, session: Session) -> None:
        """Ends a login."""
        with self._lock:
            self._open.pop(session.key, None)
            self._save()

    def _count(self, address: str) -> None:
        now = time.monotonic()
        with self._lock:
            if len(self._tries) > _MOST_ADDRESSES:
                self._tries.clear()
            tries = self._tries.setdefault(address, deque())
            while tries and now - tries[0] > _TRIES_SECONDS:
                tries.popleft()
            if len(tries) >= _TRIES:
                raise TooManyTries("too many wrong tokens from this address", allowed="wait for a minute")
            tries.append(now)

    def _forgive(self, address: str) -> None:
        with self._lock:
            self._tries.pop(address, None)

    def _load(self) -> dict[str, Session]:
        try:
            content = json.loads(self._path.read_bytes())
            if content["mark"] != self._mark:
                return {}
            found = [Session(**item) for item in content["sessions"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {session.key: session for session in found if session.expires > time.time()}

    def _save(self) -> None:
        now = time.time()
        self._open = {key: session for key, session in self._open.items() if session.expires > now}
        content = {"mark": self._mark, "sessions": [asdict(session) for session in self._open.values()]}
        write_json(self._path, content)


def check_person(name: str) -> str:
    """The name itself, without space around it.

    Raises:
        InvalidInput: empty, too long, or with characters that are not printable.
    """
    name = " ".join(name.split(" ")).strip()
    if not name or len(name) > MOST_NAME or not name.isprintable():
        raise InvalidInput(
            "say who you are: it is written beside what you do",
            value=name or None,
            allowed=f"1 to {MOST_NAME} printable characters",
        )
    return name


def same(given: str, expected: str) -> bool:
    """Whether two secrets are the same, in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
