"""Where pretrained weights may come from; checked by the service, which has no torch loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.common.errors import InvalidInput

SUFFIXES = (".safetensors", ".pt", ".pth")


def check_pretrained(source: str, roots: Sequence[Path] | None) -> None:
    """What can be said of the address alone.

    Raises:
        InvalidInput: it is neither an absolute path in the roots nor on S3, or not named as weights are.
    """
    allowed = "an absolute path or s3:// address that ends in " + ", ".join(SUFFIXES)
    if not source.startswith(("/", "s3://")) or not source.endswith(SUFFIXES):
        raise InvalidInput("pretrained weights are no such file", value=source, allowed=allowed)
    if source.startswith("/") and roots is not None:
        real = Path(source).resolve()
        if not any(real.is_relative_to(root.resolve()) for root in roots):
            raise InvalidInput(
                "the pretrained weights lie outside the folders for data",
                value=source,
                allowed=", ".join(map(str, roots)),
            )
