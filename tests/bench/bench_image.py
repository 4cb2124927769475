"""Packing an image for a 100 MB model: time and bytes written, beside building the whole image again.

    python tests/bench/bench_image.py [--json] [--megabytes 100] [--rounds 5]

The peer does what an image build without a cache does once its packages are there: pack the serving environment (the
site-packages of .venv-serve) with code and bundle into one compressed layer. Its interpreter and system
packages are left out, and so is downloading, which makes the peer faster than it is.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from services.common.digest import digest_file
from workflows.release.base import ServingBase
from workflows.release.image import ImageStore

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / ".venv-serve"


def bundle_of(folder: Path, megabytes: int) -> tuple[Path, int]:
    """A bundle folder whose model is random bytes (weights hardly compress); and its size in bytes."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(os.urandom(megabytes * 1_000_000))
    for name, size in (("novelty.onnx", 200_000), ("golden.npz", 100_000), ("bundle.json", 5_000)):
        (folder / name).write_bytes(os.urandom(size))
    return folder, sum(path.stat().st_size for path in folder.iterdir())


def written(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rebuild(bundle: Path, out: Path, level: int) -> None:
    """One compressed layer with everything, its digest, and a flush to disk, as a build writes it."""
    out.mkdir()
    path = out / "layer.tar.gz"
    with path.open("wb") as raw:
        with (
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=level, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            tar.add(SITE, "venv")
            for package in ("common", "media", "bundle", "serve"):
                tar.add(ROOT / "services" / package, f"app/services/{package}")
            tar.add(bundle, "bundle")
        raw.flush()
        os.fsync(raw.fileno())
    digest_file(path)


def measure(work: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each round."""
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return seconds


def run(megabytes: int, rounds: int) -> dict[str, float]:
    """Medians in seconds, bytes written, and the ratios that the design sets aims for."""
    with tempfile.TemporaryDirectory(prefix="bench-image-") as name:
        folder = Path(name)
        bundle, size = bundle_of(folder / "model", megabytes)
        base = ServingBase.from_checkout(ROOT)
        store = ImageStore(folder / "images")
        small, _ = bundle_of(folder / "small", 1)
        store.build(base, small, {})
        before = written(store.root)
        labels = iter(range(rounds + 1))
        fresh = measure(lambda: _fresh(store, base, bundle, next(labels)), rounds)
        added = written(store.root) - before
        image = store.build(base, bundle, {"io.rookery.model-version": "last"})
        again = measure(lambda: store.build(base, bundle, {"io.rookery.model-version": "last"}), rounds)
        unpack = measure(lambda: _unpack(store, image, folder / "run"), rounds)
        found = {
            "bundle_bytes": size,
            "pack_seconds": statistics.median(fresh),
            "pack_bytes_written": added,
            "bytes_ratio": added / size,
            "pack_again_seconds": statistics.median(again),
            "unpack_seconds": statistics.median(unpack),
        }
        if SITE.is_dir():
            for level in (6, 1):
                times = []
                for at in range(min(rounds, 3 if level == 1 else 1)):
                    out = folder / f"peer{level}{at}"
                    times += measure(partial(rebuild, bundle, out, level), 1)
                    found[f"rebuild_gzip{level}_bytes_written"] = written(out)
                    shutil.rmtree(out)
                found[f"rebuild_gzip{level}_seconds"] = statistics.median(times)
                found[f"times_faster_gzip{level}"] = statistics.median(times) / found["pack_seconds"]
        return found


def _fresh(store: ImageStore, base: ServingBase, bundle: Path, number: int) -> None:
    """A model that the store has not seen: its first bytes are new."""
    with (bundle / "model.onnx").open("r+b") as file:
        file.write(number.to_bytes(8, "big"))
    for entry in store.images():
        layers = store.manifest(entry["digest"])["layers"]
        if layers[-1]["size"] > 50_000_000:
            store.blobs.path(layers[-1]["digest"]).unlink(missing_ok=True)
    store.build(base, bundle, {"io.rookery.model-version": "1"})


def _unpack(store: ImageStore, image: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    store.unpack(image, folder)


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = run(options.megabytes, options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:32} {value:>16,.3f}" if isinstance(value, float) else f"{name:32} {value:>16,}")


if __name__ == "__main__":
    main()
