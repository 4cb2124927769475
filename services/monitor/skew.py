"""Does a running server see an input as training saw it? `python -m services.monitor.skew --bundle DIR --url URL`.

The bundle's golden inputs go both ways: through the preprocessing and the models here, on the bytes of the bundle as
training left them, and through the server. Answers must agree, and so must the features that the server logs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.common.errors import InvalidInput, RookeryError, Unavailable

if TYPE_CHECKING:
    from services.bundle.reader import Bundle
    from services.monitor.objects import Objects

TOLERANCE = 1e-3
FEATURE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Skew:
    """The largest differences found, and where.

    Attributes:
        probability, novelty: absolute.
        feature: relative to the larger of the value and 1.
        compared: inputs; `logged` of them were found in the log.
    """

    compared: int
    logged: int
    probability: float
    novelty: float
    feature: float
    worst: list[str]

    @property
    def agrees(self) -> bool:
        """Whether both paths see the same."""
        return not self.worst


Logged = Callable[[], Mapping[str, Mapping[str, float]]]


def check_skew(bundle: Bundle, url: str, logged: Logged = dict) -> Skew:
    """Send the golden inputs to the server and compare.

    Args:
        logged: features by digest of the input, as the server's log says once the inputs were sent; those found there
            are compared too.

    Raises:
        Unavailable: the server does not answer.
        InvalidInput: it answers for another bundle.
    """
    from services.media.prepare import prepare

    served = _ask(url, "/version")["bundle_digest"]
    if served != bundle.digest:
        raise InvalidInput("another bundle is served there", value=served, allowed=bundle.digest)
    worst: list[str] = []
    probability = novelty = feature = 0.0
    found = 0
    for number, data in enumerate(bundle.golden.inputs):
        answer = _ask(url, "/predict", data)
        said = {entry["label"]: entry["probability"] for entry in answer["labels"]}
        expected = dict(
            zip(bundle.manifest.labels, bundle.golden.probabilities[number].tolist(), strict=True)
        )
        differences = {name: abs(said.get(name, 0.0) - value) for name, value in expected.items()}
        probability = max(probability, *differences.values())
        distance = abs(answer["novelty"] - float(bundle.golden.novelty[number]))
        distance /= max(1.0, abs(float(bundle.golden.novelty[number])))
        novelty = max(novelty, distance)
        if max(differences.values()) > TOLERANCE or distance > TOLERANCE:
            worst.append(
                f"golden input {number}: probabilities {max(differences.values()):.2g}, novelty {distance:.2g}"
            )
    features = logged()
    for number, data in enumerate(bundle.golden.inputs):
        seen = features.get(hashlib.sha256(data).hexdigest())
        if seen:
            found += 1
            own = prepare(data, bundle.manifest.preprocessing).features
            gaps = feature_gaps(own, seen)
            feature = max(feature, *gaps.values())
            worst += [
                f"golden input {number}: {n} {gap:.2g}" for n, gap in gaps.items() if gap > FEATURE_TOLERANCE
            ]
    return Skew(len(bundle.golden.inputs), found, probability, novelty, feature, worst)


def feature_gaps(own: Mapping[str, float], seen: Mapping[str, float]) -> dict[str, float]:
    """Relative differences by name; a feature that only one path knows differs by infinity."""
    return {
        name: abs(own[name] - seen[name]) / max(1.0, abs(own[name]))
        if name in own and name in seen
        else float("inf")
        for name in sorted({*own, *seen})
    }


def archived(objects: Objects, url: str, inputs: Sequence[bytes], *, seconds: float) -> Logged:
    """What the monitor's archive says of the inputs in the last hour, asked until all are there or time is over."""
    from services.monitor.archive import Archive

    server = _ask(url, "/version")
    place = (server["application"], server["environment"] or "local")
    wanted = {hashlib.sha256(data).digest() for data in inputs}

    def look() -> dict[str, dict[str, float]]:
        now = datetime.now(UTC)
        found: dict[str, dict[str, float]] = {}
        span = (now - timedelta(hours=1), now + timedelta(minutes=1))
        for table in Archive(objects).read("predictions", *place, *span, ["input_digest"], prefix="feature_"):
            for row in table.to_pylist():
                digest = row.pop("input_digest")
                values = {
                    name.removeprefix("feature_"): value
                    for name, value in row.items()
                    if value is not None and not math.isnan(value)
                }
                if digest in wanted and values:
                    found[digest.hex()] = values
        return found

    def wait() -> dict[str, dict[str, float]]:
        end = time.monotonic() + seconds
        while len(found := look()) < len(wanted) and time.monotonic() < end:
            time.sleep(1)
        return found

    return wait


def _ask(url: str, path: str, data: bytes | None = None) -> dict[str, Any]:
    import httpx

    from services.common.trust import trust_for

    try:
        method = "GET" if data is None else "POST"
        answer = httpx.request(
            method, url.rstrip("/") + path, content=data, timeout=60, verify=trust_for(url)
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"the server does not answer: {error}", value=url) from error
    return dict(answer.json())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found as JSON; the exit code is 1 where the paths differ or cannot be compared."""
    from services.bundle.reader import read_bundle
    from services.data.store import ObjectStoreSettings
    from services.monitor.objects import open_objects

    parser = argparse.ArgumentParser(prog="python -m services.monitor.skew", description="Compare two paths.")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle that is served")
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument("--store", help="where the monitor keeps its log, to compare features too")
    parser.add_argument("--seconds", type=float, default=60, help="how long to wait for the log")
    given = parser.parse_args(arguments)
    try:
        bundle = read_bundle(given.bundle)
        logged: Logged = dict
        if given.store:
            objects = open_objects(given.store, ObjectStoreSettings.read())
            logged = archived(objects, given.url, bundle.golden.inputs, seconds=given.seconds)
        skew = check_skew(bundle, given.url, logged)
    except RookeryError as error:
        print(f"rookery monitor: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps({"agrees": skew.agrees, **vars(skew)}))  # noqa: T201
    return 0 if skew.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
