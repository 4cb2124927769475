"""How Label Studio is served in the cluster: its program and its environment.

Source: Label Studio's settings in `core/settings/base.py`; gunicorn's documentation, settings.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from services.common.errors import InvalidInput

NEEDED = (
    *("POSTGRE_HOST", "POSTGRE_NAME", "POSTGRE_USER", "POSTGRE_PASSWORD"),
    *("LABEL_STUDIO_USERNAME", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN", "SECRET_KEY"),
)
_THREADS = 8
_LONGEST_TOKEN = 40
_SCRATCH = "/tmp"  # noqa: S108
_DEFAULTS = {
    "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
    "DJANGO_DB": "default",
    "LABEL_STUDIO_BASE_DATA_DIR": f"{_SCRATCH}/label-studio",
    "DEBUG": "0",
    "LOG_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore",
    "COLLECT_ANALYTICS": "0",
    "LATEST_VERSION_CHECK": "0",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    # What somebody could have it read: files of its own machine, and addresses that it alone reaches.
    "ENABLE_LOCAL_FILES_STORAGE": "false",
    "LOCAL_FILES_SERVING_ENABLED": "false",
    "SSRF_PROTECTION_ENABLED": "true",
}


def packages() -> str:
    """The folder that Label Studio's own modules import each other from.

    Raises:
        InvalidInput: it is not installed.
    """
    found = importlib.util.find_spec("label_studio")
    if found is None or not found.submodule_search_locations:
        raise InvalidInput("Label Studio is not installed here", allowed="the image of services/studio")
    return str(Path(found.submodule_search_locations[0]))


def command(host: str, port: int) -> list[str]:
    """The argument list of the server; nothing in it is secret."""
    return [
        *(sys.executable, "-m", "gunicorn", "--pythonpath", packages(), "core.wsgi:application"),
        *("--bind", f"{host}:{port}", "--worker-class", "gthread", "--workers", "1"),
        *("--threads", str(_THREADS), "--timeout", "120", "--graceful-timeout", "20", "--keep-alive", "30"),
        *("--worker-tmp-dir", _SCRATCH, "--no-control-socket", "--log-level", "warning"),
    ]


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """What the server's process finds in its environment: what was given comes first.

    Raises:
        InvalidInput: a variable that is needed is missing, or the token is too long.
    """
    missing = [name for name in NEEDED if not own.get(name)]
    if missing:
        raise InvalidInput("a setting of Label Studio is missing", value=", ".join(missing))
    if (length := len(own["LABEL_STUDIO_USER_TOKEN"])) > _LONGEST_TOKEN:
        allowed = f"up to {_LONGEST_TOKEN} characters, which its table has room for"
        raise InvalidInput("LABEL_STUDIO_USER_TOKEN is too long", value=length, allowed=allowed)
    return _DEFAULTS | dict(own)
