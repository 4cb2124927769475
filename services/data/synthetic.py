"""The source `synthetic-birds`: recordings of invented birds, generated into the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.common.digest import canonical_json, digest_bytes, short
from services.common.errors import InvalidInput
from services.data.birdsong import NAMES, Scene, sing, species
from services.data.dataset import Dataset, Item, Task, make_dataset
from services.data.encoding import FORMATS, encode_sound
from services.data.lock import locked
from services.data.options import Options
from services.data.splits import assign_splits

_GENERATOR = 1
_MOST_SECONDS = 100_000


@dataclass(frozen=True)
class BirdOptions:
    """What `synthetic-birds?…` says. `overlap` is the share of recordings in which a second species sings."""

    species: int = 6
    recordings: int = 240
    seconds: float = 4.0
    seed: int = 1
    overlap: float = 0.0
    shift: float = 0.0
    sample_rate: int = 22_050
    format: str = "wav"

    @classmethod
    def parse(cls, options: Options) -> BirdOptions:
        """Raises InvalidInput for a value out of bounds and for unknown names."""
        parsed = cls(
            species=options.integer("species", cls.species, 2, len(NAMES)),
            recordings=options.integer("recordings", cls.recordings, 6, 20_000),
            seconds=options.number("seconds", cls.seconds, 0.5, 60),
            seed=options.integer("seed", cls.seed, 0, 2**31),
            overlap=options.number("overlap", cls.overlap, 0, 1),
            shift=options.number("shift", cls.shift, 0, 1),
            sample_rate=options.integer("sample_rate", cls.sample_rate, 8_000, 48_000),
            format=options.text("format", cls.format, FORMATS),
        )
        options.finish()
        seconds = parsed.recordings * parsed.seconds
        if seconds > _MOST_SECONDS:
            raise InvalidInput(
                "the recordings are too long together", value=f"{seconds:g} s", allowed=f"{_MOST_SECONDS} s"
            )
        return parsed


@dataclass(frozen=True)
class Recording:
    """One generated recording: the file's name, who sings (the loudest first) and the encoded sound."""

    name: str
    labels: tuple[str, ...]
    data: bytes


def recordings(options: BirdOptions) -> Iterator[Recording]:
    """The recordings, each from a random stream of its own: more of them leave the first ones as they are."""
    birds = species(options.species)
    for index in range(options.recordings):
        rng = np.random.default_rng([options.seed, index])
        singers = [birds[index % len(birds)]]
        if rng.uniform() < options.overlap:
            singers.append(birds[(index + int(rng.integers(1, len(birds)))) % len(birds)])
        scene = Scene(
            seconds=options.seconds,
            sample_rate=options.sample_rate,
            noise=float(0.02 * 20 ** rng.uniform()) * (1 + options.shift),
            shift=options.shift,
        )
        sound = sing(singers, scene, rng)
        name = f"{singers[0].name}/recording-{index:05d}.{options.format}"
        data = encode_sound(sound, options.sample_rate, options.format)
        yield Recording(name, tuple(bird.name for bird in singers), data)


def load_synthetic_birds(source: str, options: Options, cache: Path) -> Dataset:
    """The recordings as a dataset; multi-label if species overlap. Generated once per set of options."""
    parsed = BirdOptions.parse(options)
    made_from = {"generator": _GENERATOR, **asdict(parsed)}
    folder = cache / "synthetic-birds" / short(digest_bytes(canonical_json(made_from)))
    with locked(folder.with_suffix(".lock")):
        rows = _index(folder)
        if not rows:
            _generate(folder, parsed)
            rows = _index(folder)
    splits = assign_splits({row["name"]: row["labels"][0] for row in rows})
    items = [
        Item(
            id=row["name"],
            labels=tuple(row["labels"]),
            group=row["name"],
            split=splits[row["name"]],
            media_type=parsed.format,
            sha256=row["sha256"],
            content=folder / row["name"],
            seconds=parsed.seconds,
        )
        for row in rows
    ]
    defaults: dict[str, int | float | bool] = {"sample_rate": parsed.sample_rate, "seconds": parsed.seconds}
    task: Task = "multi-label" if parsed.overlap > 0 else "single-label"
    return make_dataset(source, "audio", task, items, defaults=defaults)


def _index(folder: Path) -> list[dict[str, Any]]:
    """The recordings of an earlier generation, or none if a file of it is missing or was cut."""
    try:
        rows: list[dict[str, Any]] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        whole = all((folder / row["name"]).stat().st_size == row["size"] for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return rows if whole else []


def _generate(folder: Path, options: BirdOptions) -> None:
    """Write into another folder and rename it, so that a generation cut off is not taken for a whole one."""
    work = folder.with_suffix(".making")
    for left in (work, folder):
        shutil.rmtree(left, ignore_errors=True)
    rows = []
    for recording in recordings(options):
        path = work / recording.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recording.data)
        digest, size = hashlib.sha256(recording.data).hexdigest(), len(recording.data)
        rows.append({"name": recording.name, "labels": recording.labels, "sha256": digest, "size": size})
    (work / "index.json").write_text(json.dumps(rows), encoding="utf-8")
    work.rename(folder)
