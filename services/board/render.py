"""Templates to HTML: every text escaped, nothing inline, headers that let browsers run our own files only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment
from markupsafe import Markup

from services.board.charts import HEIGHT, SPARK_HEIGHT, SPARK_WIDTH, WIDTH, drift_charts, spark
from services.common.digest import short
from services.common.pages import templates

FOLDER = Path(__file__).parent
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def render(template: str, /, **values: Any) -> Markup:
    """A template of ours with these values; the result is HTML."""
    return Markup(_environment().get_template(template).render(**values))  # noqa: S704 what Jinja escaped


@lru_cache(maxsize=1)
def _environment() -> Environment:
    filters = {
        "short": short,
        "iso": iso,
        "clock": clock,
        "web": web,
        "duration": duration,
        "number": number,
        "percent": percent,
        "spark": spark,
        "drift_charts": drift_charts,
        "first_line": first_line,
        "said": said,
    }
    environment = templates(FOLDER / "templates", filters)
    environment.globals |= {
        "chart_width": WIDTH,
        "chart_height": HEIGHT,
        "spark_width": SPARK_WIDTH,
        "spark_height": SPARK_HEIGHT,
    }
    return environment


def moment(value: object) -> datetime | None:
    """A time given as seconds since the epoch or ISO 8601; nothing for anything else."""
    if not value or isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def iso(value: object) -> str:
    """For the `datetime` of a `<time>`; the page's script shows it in the reader's own time."""
    found = moment(value)
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if found else ""


def clock(value: object) -> str:
    """The same for people whose browser runs no script."""
    found = moment(value)
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if found else ""


def web(value: object) -> str:
    """An address that a link may lead to; empty for any other scheme, and for a name that only pods know."""
    text = str(value or "")
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    host = parts.hostname or ""
    inside = host.endswith((".svc", ".svc.cluster.local"))
    return text if parts.scheme in ("http", "https") and host and not inside else ""


def duration(seconds: float | None) -> str:
    """A length of time."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def number(value: object, digits: int = 3) -> str:
    """A number, or a dash."""
    return f"{float(str(value)):.{digits}f}" if _is_number(value) else "–"


def percent(value: object) -> str:
    """A share, or a dash."""
    return f"{100 * float(str(value)):.1f} %" if _is_number(value) else "–"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def first_line(text: object, limit: int = 160) -> str:
    """The beginning of a message."""
    lines = str(text or "").strip().splitlines()
    return (lines[0][:limit] + "…" if len(lines[0]) > limit else lines[0]) if lines else ""


def said(values: object) -> str:
    """What somebody wrote as JSON, for people: a text, or names and values in a line."""
    if isinstance(values, Mapping):
        return ", ".join(f"{key} {said(value)}" for key, value in values.items())
    if isinstance(values, list | tuple):
        return ", ".join(said(value) for value in values)
    return "" if values is None else str(values)
