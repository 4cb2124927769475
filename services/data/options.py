"""Options in a source: `synthetic-birds?species=6&seed=1`."""

from __future__ import annotations

from urllib.parse import parse_qsl

from services.common.errors import InvalidInput


class Options:
    """Reads each option once, within bounds; `finish` refuses those that nobody asked for."""

    def __init__(self, query: str) -> None:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=50)
        except ValueError as error:
            raise InvalidInput("the options of a source are name=value joined by &", value=query) from error
        self._values = dict(pairs)
        if len(self._values) != len(pairs):
            raise InvalidInput("an option of a source is given twice", value=query)
        self._known: list[str] = []

    def text(self, name: str, default: str, allowed: tuple[str, ...] | None = None) -> str:
        value = self._take(name)
        if value is None:
            return default
        if allowed is not None and value not in allowed:
            raise InvalidInput(f"option {name} of a source", value=value, allowed=", ".join(allowed))
        return value

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        value = self._take(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) < 20 and lowest <= int(value) <= highest):
            raise InvalidInput(f"option {name} of a source", value=value, allowed=f"{lowest} to {highest}")
        return int(value)

    def number(self, name: str, default: float, lowest: float, highest: float) -> float:
        value = self._take(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not lowest <= number <= highest:
            raise InvalidInput(f"option {name} of a source", value=value, allowed=f"{lowest} to {highest}")
        return number

    def finish(self) -> None:
        """Refuse options that are not known."""
        unknown = sorted(set(self._values) - set(self._known))
        if unknown:
            raise InvalidInput(
                "unknown option of a source", value=unknown[0], allowed=", ".join(self._known) or "none"
            )

    def _take(self, name: str) -> str | None:
        self._known.append(name)
        return self._values.get(name)
