"""Puts values in the place of `{{tags}}`, once: a value is never read as a tag, an expression or a command."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from services.common.errors import InvalidInput
from workflows.local import expressions
from workflows.local.models import nearest
from workflows.local.nodes import plain

TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class Unresolved(InvalidInput):
    """A tag that has no value here."""


def substitute(text: str, scope: Mapping[str, str]) -> str:
    """The text with each tag's value; raises Unresolved with the tag that has none."""
    return TAG.sub(lambda match: tag_value(match.group(1).strip(), scope), text) if "{{" in text else text


def tag_value(tag: str, scope: Mapping[str, str]) -> str:
    """The value of one tag, which is a name or, after `=`, an expression."""
    if tag.startswith("="):
        return plain(expressions.parse(tag[1:].strip(), "expression").evaluate(lookup(scope)))
    value = scope.get(tag)
    if value is None:
        raise Unresolved(f"failed to resolve {{{{{tag}}}}}", allowed=nearest(tag, scope))
    return value


def lookup(scope: Mapping[str, str]) -> Callable[[str], Any]:
    """How an expression finds a path in a scope: the value; a set of names; or nil."""
    return scope.get


def substitute_all(value: Any, scope: Mapping[str, str]) -> Any:
    """The same for every text in lists and mappings (not the keys)."""
    if isinstance(value, str):
        return substitute(value, scope)
    if isinstance(value, list):
        return [substitute_all(item, scope) for item in value]
    if isinstance(value, dict):
        return {key: substitute_all(item, scope) for key, item in value.items()}
    return value


def tags(value: Any) -> list[str]:
    """Every tag in a value, without its braces."""
    if isinstance(value, str):
        return [tag.strip() for tag in TAG.findall(value)]
    if isinstance(value, dict):
        return [tag for item in value.values() for tag in tags(item)]
    if isinstance(value, list):
        return [tag for item in value for tag in tags(item)]
    return []
