"""The conditions and expressions of a workflow, read and evaluated without ever running code.

Three small languages share one grammar; they differ in what a bare word means.

- `when`: Argo's govaluate conditions. A bare word is a string (`foo != bar`), numbers and booleans are themselves.
- `depends`: words are task results (`a.Succeeded && (b || c-d.Failed)`).
- expressions (`retryStrategy.expression`, `valueFrom.expression`, `{{=…}}`): words are paths
  (`lastRetry.exitCode`, `steps['a-b'].outputs.parameters.x`), with the functions in FUNCTIONS.

Operators: == != < > <= >= && || ! and or not in, =~ !~ (when), matches contains startsWith endsWith ?: ?? +
(expressions), parentheses and lists. Everything else is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from services.common.errors import InvalidInput
from workflows.local.evaluation import FUNCTIONS, evaluate

Dialect = Literal["when", "depends", "expression"]
Value = Any
_MAX_LENGTH = 4096
_MAX_DEPTH = 60

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?\d+(?:\.\d+)?(?![\w.-]))
    | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<operator>==|!=|<=|>=|&&|\|\||=~|!~|\?\?|[<>!()\[\],?:+.])
    | (?P<word>[^\W\d][\w]*)
    | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_DEPENDS_WORD = re.compile(r"\s*(?P<word>[A-Za-z0-9_][A-Za-z0-9_.-]*)")
_PLACEHOLDER = re.compile(r"\ue000(\d+)\ue001")
_PLAIN = re.compile(r"[^\W\d]\w*|-?\d+(\.\d+)?")


_LEVELS: tuple[tuple[str, ...], ...] = (
    ("??",),
    ("||", "or"),
    ("&&", "and"),
    (
        "==",
        "!=",
        "<",
        ">",
        "<=",
        ">=",
        "=~",
        "!~",
        "in",
        "not in",
        "matches",
        "contains",
        "startsWith",
        "endsWith",
    ),
    ("+",),
)
_WHEN_ONLY = {"=~", "!~"}
_EXPRESSION_ONLY = {"??", "matches", "contains", "startsWith", "endsWith", "+", "or", "and", "?"}


class ExpressionError(InvalidInput):
    """A condition or expression that cannot be read or has no value."""


@dataclass(frozen=True)
class Token:
    kind: str
    text: str


@dataclass(frozen=True)
class Expression:
    """A parsed expression. `paths` are the names it looks up, for checks before anything runs."""

    text: str
    root: tuple[Any, ...]
    paths: frozenset[str]

    def evaluate(self, lookup: Callable[[str], Value]) -> Value:
        """Its value; `lookup` gives the value of a path, or None where there is none."""
        try:
            return evaluate(self.root, lookup)
        except ExpressionError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, ArithmeticError, re.error) as error:
            raise ExpressionError(f"the expression has no value: {error}", value=self.text) from error

    def test(self, lookup: Callable[[str], Value]) -> bool:
        """Its value, which must be a boolean."""
        value = self.evaluate(lookup)
        if not isinstance(value, bool):
            raise ExpressionError("the expression is neither true nor false", value=self.text)
        return value


def parse(text: str, dialect: Dialect) -> Expression:
    """Reads an expression; refuses what the dialect lacks, naming it."""
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(
            "the expression is too long", value=len(text), allowed=f"{_MAX_LENGTH} characters"
        )
    parser = _Parser(text, dialect)
    return Expression(text, parser.whole(), frozenset(parser.paths))


def evaluate_when(text: str, values: Callable[[str], str]) -> bool:
    """Whether a step runs. Tags such as `{{inputs.parameters.x}}` are put in as values, never as syntax.

    Inside quotes a value may be any text. Outside quotes it must be a plain word or number, as anything else is a
    different expression on Argo or none at all.
    """
    found: list[str] = []

    def keep(match: re.Match[str]) -> str:
        found.append(values(match.group(1).strip()))
        return f"\ue000{len(found) - 1}\ue001"

    masked = re.sub(r"\{\{(.*?)\}\}", keep, text)
    pieces = re.split(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", masked)
    for index in range(0, len(pieces), 2):
        pieces[index] = _fill_bare(pieces[index], found, text)
    for index in range(1, len(pieces), 2):
        quote = pieces[index][0]
        inner = _PLACEHOLDER.sub(lambda m: found[int(m.group(1))], _unquote(pieces[index]))
        pieces[index] = quote + inner.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
    return parse("".join(pieces), "when").test(lambda word: word)


def _fill_bare(piece: str, found: list[str], text: str) -> str:
    def fill(match: re.Match[str]) -> str:
        word = _PLACEHOLDER.sub(lambda m: found[int(m.group(1))], match.group(0))
        if not _PLAIN.fullmatch(word):
            raise ExpressionError(
                f"in the condition {text!r} a value outside quotes is no plain word",
                value=word,
                allowed="put it in quotes",
            )
        return word

    return re.sub(r"[\w.-]*(?:\ue000\d+\ue001[\w.-]*)+", fill, piece)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


class _Parser:
    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.paths: set[str] = set()
        self.tokens = self._tokens()
        self.at = 0
        self.depth = 0

    def _tokens(self) -> list[Token]:
        tokens, position = [], 0
        text = self.text.rstrip()
        while position < len(text):
            match = _DEPENDS_WORD.match(text, position) if self.dialect == "depends" else None
            match = match or _TOKEN.match(text, position)
            assert match is not None
            kind = str(match.lastgroup)
            token = Token(kind, match.group(kind))
            if kind == "other":
                raise self._refuse(token.text)
            tokens.append(token)
            position = match.end()
        return tokens

    def _refuse(self, what: str) -> ExpressionError:
        return ExpressionError(
            f"{what!r} is not supported in this {self.dialect} expression",
            value=self.text,
            allowed="see expressions.py",
        )

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token is not None and token.kind != "string" and token.text == text:
            self.at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise ExpressionError(f"{text!r} is missing", value=self.text)

    def whole(self) -> tuple[Any, ...]:
        if not self.tokens:
            raise ExpressionError("the expression is empty", value=self.text)
        root = self.ternary()
        left = self._peek()
        if left is not None:
            raise self._refuse(left.text)
        return root

    def ternary(self) -> tuple[Any, ...]:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ExpressionError("the expression is nested too deeply", value=self.text)
        condition = self.binary(0)
        if self.dialect == "expression" and self._take("?"):
            yes = self.ternary()
            self._need(":")
            condition = ("choose", condition, yes, self.ternary())
        self.depth -= 1
        return condition

    def _operator(self, level: int) -> str | None:
        token = self._peek()
        if token is None or token.kind == "string":
            return None
        text = token.text
        if text == "not" and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].text == "in":
            text = "not in"
        if text not in _LEVELS[level]:
            return None
        if text in _WHEN_ONLY and self.dialect != "when":
            raise self._refuse(text)
        if text in _EXPRESSION_ONLY and self.dialect != "expression":
            raise self._refuse(text)
        self.at += 2 if text == "not in" else 1
        return {"or": "||", "and": "&&"}.get(text, text)

    def binary(self, level: int) -> tuple[Any, ...]:
        if level == len(_LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while (operator := self._operator(level)) is not None:
            left = ("binary", operator, left, self.binary(level + 1))
        return left

    def unary(self) -> tuple[Any, ...]:
        if self._take("!") or (self.dialect == "expression" and self._take("not")):
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise ExpressionError("the expression is nested too deeply", value=self.text)
            inner = self.unary()
            self.depth -= 1
            return ("not", inner)
        return self.primary()

    def primary(self) -> tuple[Any, ...]:
        if self._take("("):
            inner = self.ternary()
            if self.dialect == "when" and self._take(","):
                return ("list", (inner, *self._items(")")))
            self._need(")")
            return inner
        if self.dialect == "expression" and self._take("["):
            return ("list", self._items("]"))
        token = self._peek()
        if token is None:
            raise ExpressionError("the expression ends too soon", value=self.text)
        self.at += 1
        if token.kind == "number":
            return (
                "value",
                float(token.text) if self.dialect == "when" or "." in token.text else int(token.text),
            )
        if token.kind == "string":
            return ("value", _unquote(token.text))
        if token.kind == "word":
            return self.word(token.text)
        raise self._refuse(token.text)

    def _items(self, end: str) -> tuple[tuple[Any, ...], ...]:
        items: list[tuple[Any, ...]] = []
        while not self._take(end):
            items.append(self.ternary())
            if not self._take(","):
                self._need(end)
                break
        return tuple(items)

    def word(self, word: str) -> tuple[Any, ...]:
        if word in ("true", "false"):
            return ("value", word == "true")
        if self.dialect == "when":
            return ("value", word)
        if self.dialect == "depends":
            self.paths.add(word)
            return ("path", word)
        if word == "nil":
            return ("value", None)
        if self._take("("):
            if word not in FUNCTIONS:
                raise self._refuse(f"{word}()")
            return ("call", word, self._items(")"))
        return self.path(word)

    def path(self, word: str) -> tuple[Any, ...]:
        while True:
            if self._take("."):
                token = self._peek()
                if token is None or token.kind != "word":
                    raise ExpressionError("a name is missing after '.'", value=self.text)
                word += f".{token.text}"
                self.at += 1
            elif self._take("["):
                token = self._peek()
                if token is None or token.kind != "string":
                    raise self._refuse("[…] without a quoted name")
                word += f".{_unquote(token.text)}"
                self.at += 1
                self._need("]")
            else:
                self.paths.add(word)
                return ("path", word)
