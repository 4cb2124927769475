"""Messages in words: Jinja templates in one folder, `KIND.txt` for each kind and `mail.html` around them in mail.

The first line of a text is its title, which is the subject of mail; the rest is what people read.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, select_autoescape

from services.notify.message import MOST_SUBJECT, Message, one_line

FOLDER = Path(__file__).parent / "templates"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Words:
    """A message as people read it; `title` is one line."""

    title: str
    text: str
    html: str


class Phrasebook:
    """The templates.

    Args:
        own: folder whose files replace ours of the same name.
    """

    def __init__(self, own: Path | None = None) -> None:
        folders = [FOLDER] if own is None else [own, FOLDER]
        self._environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
            autoescape=select_autoescape(["html"]),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )

    def words(self, message: Message, time: float) -> Words:
        """The message in words; a template that fails costs its form, never the message."""
        values = {
            "kind": message.kind,
            "application": message.application,
            "environment": message.environment,
            "place": message.place,
            "subject": message.subject,
            "facts": message.facts,
            "time": datetime.fromtimestamp(time, UTC),
        }
        try:
            title, _, text = self._render(f"{message.kind}.txt", values).strip().partition("\n")
        except Exception as error:
            _log.warning("the template %s.txt failed: %s", message.kind, error)
            title = f"{message.kind}: {message.subject}"
            text = "\n".join(f"{name}: {value}" for name, value in message.facts.items())
        title, text = one_line(title)[:MOST_SUBJECT], text.strip()
        try:
            html = self._render("mail.html", values | {"title": title, "text": text})
        except Exception as error:
            _log.warning("the template mail.html failed: %s", error)
            html = ""
        return Words(title, text, html)

    def _render(self, name: str, values: dict[str, object]) -> str:
        return self._environment.get_template(name).render(values)
