"""`python -m services.data.generate {birds,birdclef,pictures} DIR`: real folders to try the platform with."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.common.errors import InvalidInput, RookeryError
from services.data.birdsong import NAMES
from services.data.encoding import FORMATS, encode_sound
from services.data.options import Options
from services.data.pictures import SHAPES, pictures
from services.data.splits import assign_splits
from services.data.synthetic import BirdOptions, recordings

_AUTHORS = 12
_RECORDINGS = 240
_PICTURES = 600
_COLUMNS = ("primary_label", "secondary_labels", "author", "license", "rating", "filename")


def write_pictures(folder: Path, *, items: int, classes: int, seed: int, faults: bool = False) -> None:
    """Pictures as Food-11 lays them out: `training|validation|evaluation/class_00/…`."""
    _check_range("classes", classes, 2, len(SHAPES))
    made = {f"class_{one.label:02d}/{one.name}": one for one in pictures(classes, items, seed)}
    splits = assign_splits({name: name.split("/")[0] for name in made})
    for name, picture in made.items():
        _write(folder / splits[name] / name, picture.data)
    if faults:
        first, second = (next(one.data for one in made.values() if one.label == label) for label in (0, 1))
        _write(folder / "training/class_00/empty.jpg", b"")
        _write(folder / "training/class_00/cut-off.png", first[: len(first) // 2])
        _write(folder / "training/class_00/notes.jpg", b"this is no picture")
        _write(folder / "training/class_00/of-class-01.png", second)


def write_birds(folder: Path, options: BirdOptions, *, faults: bool = False) -> None:
    """Recordings in one folder per species."""
    for recording in recordings(options):
        _write(folder / recording.name, recording.data)
    if faults:
        _write_bad_sounds(folder / NAMES[0], options)


def write_birdclef(folder: Path, options: BirdOptions, *, faults: bool = False) -> None:
    """Recordings as BirdCLEF lays them out: `train.csv` and `train_audio/<species>/*.ogg`."""
    rows = []
    for index, recording in enumerate(recordings(options)):
        rng = np.random.default_rng([options.seed, index, 1])
        species, filename = recording.name.split("/")
        name = f"{species}/XC{filename.removeprefix('recording-')}"
        _write(folder / "train_audio" / name, recording.data)
        author = f"recordist {int(rng.integers(_AUTHORS)):02d}"
        secondary = repr(list(recording.labels[1:]))
        rows.append([species, secondary, author, "CC0-1.0", str(rng.integers(2, 11) / 2), name])
    if faults:
        _write_bad_sounds(folder / "train_audio" / NAMES[0], options)
        rows += [[NAMES[0], "[]", "recordist 00", "CC0-1.0", "1", f"{NAMES[0]}/silent.{options.format}"]]
        rows += [[NAMES[0], "[]", "recordist 00", "CC0-1.0", "1", f"{NAMES[0]}/cut-off.{options.format}"]]
        rows += [[NAMES[0], "[]", "recordist 00", "CC0-1.0", "1", f"{NAMES[0]}/gone.{options.format}"]]
        rows += [[NAMES[1], "[]", "recordist 00", "CC0-1.0", "1", f"{NAMES[0]}/empty.{options.format}"]]
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)


def _write_bad_sounds(folder: Path, options: BirdOptions) -> None:
    silence = encode_sound(np.zeros(options.sample_rate), options.sample_rate, options.format)
    _write(folder / f"silent.{options.format}", silence)
    _write(folder / f"cut-off.{options.format}", silence[:40])
    _write(folder / f"empty.{options.format}", b"")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise InvalidInput(f"--{name}", value=value, allowed=f"{lowest} to {highest}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.data.generate", description=__doc__)
    parser.add_argument("what", choices=("birds", "birdclef", "pictures"))
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is new or empty")
    parser.add_argument("--items", type=int, help="default: 240 recordings or 600 pictures")
    parser.add_argument("--classes", type=int, default=6, help="species or shapes (default 6)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a recording (default 4)")
    parser.add_argument(
        "--overlap", type=float, default=0.0, help="share of recordings with a second species"
    )
    parser.add_argument("--shift", type=float, default=0.0, help="0 to 1: how unlike the usual recordings")
    parser.add_argument("--format", choices=FORMATS, help="default: ogg for birdclef, wav for birds")
    parser.add_argument("--faults", action="store_true", help="add broken, silent and mislabelled files")
    return parser


def _bird_options(asked: argparse.Namespace) -> BirdOptions:
    """Through the source's own options, so that the bounds are the same."""
    values = {
        "species": asked.classes,
        "recordings": asked.items,
        "seconds": asked.seconds,
        "seed": asked.seed,
        "overlap": asked.overlap,
        "shift": asked.shift,
        "format": asked.format or ("ogg" if asked.what == "birdclef" else "wav"),
    }
    return BirdOptions.parse(Options("&".join(f"{name}={value}" for name, value in values.items())))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a sentence on standard error."""
    asked = _parser().parse_args(arguments)
    if asked.items is None:
        asked.items = _PICTURES if asked.what == "pictures" else _RECORDINGS
    try:
        if asked.folder.exists() and any(asked.folder.iterdir()):
            raise InvalidInput("the folder is not empty", value=str(asked.folder))
        if asked.what == "pictures":
            _check_range("items", asked.items, 6, 1_000_000)
            _check_range("seed", asked.seed, 0, 2**31)
            write_pictures(
                asked.folder, items=asked.items, classes=asked.classes, seed=asked.seed, faults=asked.faults
            )
        else:
            write = write_birds if asked.what == "birds" else write_birdclef
            write(asked.folder, _bird_options(asked), faults=asked.faults)
    except (RookeryError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{asked.items} items in {asked.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
