"""The token that people log in with: given, or made once and kept in a file of its owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from services.board.settings import BoardSettings
from services.common.errors import InvalidInput

_NAME = "token"


def token_file(state_dir: Path) -> Path:
    """Where a token that nobody gave is kept."""
    return state_dir / _NAME


def ensure_token(settings: BoardSettings) -> str:
    """The token that is set, else that of the file, which is made when there is none.

    Raises:
        InvalidInput: the file can be read by others, or holds no token.
    """
    given = settings.token.get_secret_value()
    if given:
        return given
    path = token_file(settings.state_dir)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "w") as file:
        token = secrets.token_urlsafe(32)
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    return token


def _read(path: Path) -> str:
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise InvalidInput("the board's token can be read by others", value=str(path), allowed="chmod 600")
    token = path.read_text().strip()
    if not token:
        raise InvalidInput("the board's token file is empty", value=str(path), allowed="remove it")
    return token
