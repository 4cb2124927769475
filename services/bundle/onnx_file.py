"""Whether bytes may be given to a runtime as an ONNX model, decided without any runtime.

Field numbers are those of onnx.proto (ONNX IR specification).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.bundle.wire import fields
from services.common.errors import InvalidInput, TooLarge

DEFAULT_MAX_BYTES = 512 << 20
OPSETS = {"": (13, 25), "ai.onnx": (13, 25), "ai.onnx.ml": (1, 5), "com.microsoft": (1, 1)}

_MAX_DEPTH = 16
_MAX_NODES = 200_000
_FILE_READING_OPERATORS = {"EPContext"}
_OTHER_FORMATS = (
    (b"\x80\x02", 0, "a Python pickle"),
    (b"\x80\x03", 0, "a Python pickle"),
    (b"\x80\x04", 0, "a Python pickle"),
    (b"\x80\x05", 0, "a Python pickle"),
    (b"PK", 0, "a zip archive, as PyTorch and Keras save"),
    (b"\x89HDF", 0, "an HDF5 file"),
    (b"\x1f\x8b", 0, "a gzip archive"),
    (b"ORTM", 4, "a model in ONNX Runtime's own format"),
    (b"TFL3", 4, "a TensorFlow Lite model"),
    (b"\x7fELF", 0, "a program"),
)


@dataclass
class OnnxSummary:
    """What a model file says of itself."""

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: int = 0


def check_onnx(data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> OnnxSummary:
    """Refuses everything but a single-file ONNX model with known operator sets.

    Raises:
        TooLarge: more than `max_bytes`.
        InvalidInput: another format, tensors kept in other files, an unknown operator set, or an operator
            that reads files.
    """
    if len(data) > max_bytes:
        raise TooLarge("the model file is too large", value=len(data), allowed=f"up to {max_bytes:,} bytes")
    if not data:
        raise InvalidInput("the model file is empty", allowed="a single-file ONNX model")
    for magic, offset, name in _OTHER_FORMATS:
        if data[offset : offset + len(magic)] == magic:
            raise InvalidInput(f"the model file is {name}", allowed="a single-file ONNX model")
    summary = OnnxSummary()
    _walk_model(memoryview(data), summary)
    if summary.nodes == 0 or not summary.opsets:
        raise InvalidInput("the file is no whole ONNX model: it has no graph or no operator set")
    for domain, version in summary.opsets.items():
        low, high = OPSETS.get(domain, (1, 0))
        if not low <= version <= high:
            allowed = ", ".join(
                f"{name or 'ai.onnx'} {a} to {b}" for name, (a, b) in OPSETS.items() if name != "ai.onnx"
            )
            raise InvalidInput(
                "the model uses an operator set that is not known",
                value=f"{domain or 'ai.onnx'} {version}",
                allowed=allowed,
            )
    return summary


def _walk_model(model: memoryview, summary: OnnxSummary) -> None:
    for number, value in fields(model):
        if number == 1 and isinstance(value, int):
            summary.ir_version = value
        elif number == 7:
            _walk_graph(_message(value), summary, 0)
        elif number == 8:
            domain, version = _opset(_message(value))
            summary.opsets[domain] = version
        elif number == 20:
            raise InvalidInput("the model carries training graphs", allowed="a model for inference only")
        elif number == 25:
            for inner, content in fields(_message(value)):
                if inner == 7:
                    _walk_node(_message(content), summary, 1)


def _walk_graph(graph: memoryview, summary: OnnxSummary, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise InvalidInput("the graphs of the model are nested too deeply", allowed=f"up to {_MAX_DEPTH}")
    for number, value in fields(graph):
        if number == 1:
            _walk_node(_message(value), summary, depth)
        elif number == 5:
            _check_tensor(_message(value))
        elif number == 15:
            _check_sparse(_message(value))
        elif depth == 0 and number in (11, 12):
            names = summary.inputs if number == 11 else summary.outputs
            names.append(_name(_message(value)))


def _walk_node(node: memoryview, summary: OnnxSummary, depth: int) -> None:
    summary.nodes += 1
    if summary.nodes > _MAX_NODES:
        raise TooLarge("the model has too many operators", allowed=f"up to {_MAX_NODES:,}")
    for number, value in fields(node):
        if number == 4 and _text(value) in _FILE_READING_OPERATORS:
            raise InvalidInput("the model has an operator that reads files", value=_text(value))
        if number == 5:
            _walk_attribute(_message(value), summary, depth)


def _walk_attribute(attribute: memoryview, summary: OnnxSummary, depth: int) -> None:
    for number, value in fields(attribute):
        if number in (5, 10):
            _check_tensor(_message(value))
        elif number in (6, 11):
            _walk_graph(_message(value), summary, depth + 1)
        elif number in (22, 23):
            _check_sparse(_message(value))


def _check_sparse(sparse: memoryview) -> None:
    for number, value in fields(sparse):
        if number in (1, 2):
            _check_tensor(_message(value))


def _check_tensor(tensor: memoryview) -> None:
    for number, value in fields(tensor):
        if number == 13 or (number == 14 and value != 0):
            raise InvalidInput(
                "the model keeps tensors in other files (external data)",
                allowed="all weights inside one ONNX file",
            )


def _opset(message: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in fields(message):
        if number == 1:
            domain = _text(value)
        elif number == 2 and isinstance(value, int):
            version = value
    return domain, version


def _name(message: memoryview) -> str:
    return next((_text(value) for number, value in fields(message) if number == 1), "")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise InvalidInput("the file is no whole ONNX model: a number stands where a message must be")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)[:256]).decode("utf-8", "replace")
