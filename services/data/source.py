"""From the name of a source to a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.common.errors import DatasetError, InvalidInput, Unavailable
from services.data.dataset import Dataset, Problem
from services.data.digits import load_digits_dataset
from services.data.folders import load_folder
from services.data.mirror import mirror
from services.data.options import Options
from services.data.store import Location, ObjectStoreSettings
from services.data.synthetic import load_synthetic_birds
from services.data.versions import is_versioned, load_version

SOURCES = {
    "digits": "1797 scans of handwritten digits (scikit-learn); option items",
    "synthetic-birds": "generated recordings; options species, recordings, seconds, seed, overlap, shift, "
    "sample_rate, format",
    "/path/to/folder": "one folder per class, training/validation/evaluation, or the BirdCLEF layout",
    "s3://bucket/prefix": "the same layouts in an object store",
    "/path/to/labelled": "what the labels service makes, over another source; option version",
}
_LONGEST = 1000


def load_dataset(
    source: str,
    *,
    store: ObjectStoreSettings | None = None,
    roots: Sequence[Path] | None = None,
    cache: Path,
) -> Dataset:
    """Find, check and split the data that a source names.

    Args:
        source: a key of SOURCES, an absolute path or s3://, each with `?name=value&…` if it has options.
        store: the object store of s3:// sources.
        roots: folders in which local data may lie; None allows any.
        cache: folder for downloads, generated sounds and the checks of files seen before.

    Raises:
        InvalidInput: the source is unknown, has a wrong option or lies outside the roots.
        NotFound, TooLarge: the object store has it not, or has too much.
        Unavailable: the object store does not answer, or a disk is full or cannot be read.
        DatasetError: what is there cannot be read as a dataset at all.
    """
    if not source or len(source) > _LONGEST or any(ord(char) < 32 for char in source):
        raise InvalidInput("a source is one line of text", value=source, allowed=", ".join(SOURCES))
    name, _, query = source.partition("?")
    try:
        return _load(source, name, Options(query), store, roots, cache)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unavailable(f"the data or its cache cannot be used: {reason}", value=error.filename) from error


def _load(
    source: str,
    name: str,
    options: Options,
    store: ObjectStoreSettings | None,
    roots: Sequence[Path] | None,
    cache: Path,
    *,
    above: bool = False,
) -> Dataset:
    if name == "digits":
        return load_digits_dataset(source, options)
    if name == "synthetic-birds":
        return load_synthetic_birds(source, options, cache)
    if name.startswith("/"):
        folder, problems = _within(Path(name), roots), list[Problem]()
    elif name.startswith("s3://"):
        folder, problems = mirror(Location.parse(name), store, cache)
    else:
        raise InvalidInput("unknown data source", value=source, allowed=", ".join(SOURCES))
    if not is_versioned(folder):
        return load_folder(source, folder, options, cache, problems)

    def load_base(base: str) -> Dataset:
        if above:
            raise DatasetError("a labelled dataset cannot be the base of another", value=base)
        base_name, _, query = base.partition("?")
        return _load(base, base_name, Options(query), store, roots, cache, above=True)

    return load_version(source, folder, options, cache, load_base, problems)


def _within(path: Path, roots: Sequence[Path] | None) -> Path:
    """The path without links, if it is a folder in one of the roots."""
    real = path.resolve()
    if roots is not None and not any(real.is_relative_to(root.resolve()) for root in roots):
        allowed = "a folder in " + ", ".join(str(root) for root in roots) if roots else "no local folder"
        raise InvalidInput(
            "the data source lies outside the folders for data", value=str(path), allowed=allowed
        )
    if not real.is_dir():
        raise InvalidInput("the data source is no folder", value=str(path))
    return real
