"""Does an environment answer as it should, and do git, registry, image and memory name the same thing?"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
import numpy as np

from services.bundle.reader import Bundle
from services.common.digest import short
from services.common.errors import RookeryError
from services.common.mlflow_rest import MlflowClient
from services.common.trust import trust_for
from workflows.release.evidence import released, timestamp
from workflows.release.image import BUNDLE_DIGEST, MODEL_VERSION
from workflows.release.running import RunningModel
from workflows.release.tree import ReadTree

TOLERANCE = 1e-3
_SAMPLES = 20
_LATENCY_SECONDS = 3.0
_TRIES = 4
_PREDECESSOR_SECONDS = 15.0


@dataclass(frozen=True)
class Verification:
    """How a server answered the golden inputs.

    Attributes:
        items: golden inputs sent.
        labels_equal: how many got the expected label (multi-label: the expected set).
        max_difference: largest absolute difference of a probability.
        max_novelty_difference: largest difference of the novelty score, relative to scores above 1.
        p95_ms: 95th percentile of the time of one request, over at least 20 unless they take too long.
        reasons: why it did not pass; empty when it did.
    """

    passed: bool
    items: int
    labels_equal: int
    max_difference: float
    max_novelty_difference: float
    p95_ms: float
    tolerance: float
    bundle_digest: str
    at: str
    reasons: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For evidence and `--json`."""
        return asdict(self)


def verify_golden(
    url: str, bundle: Bundle, *, tolerance: float = TOLERANCE, timeout_seconds: float = 20.0
) -> Verification:
    """Send a bundle's golden inputs to `url`/predict and compare the answers.

    A label may differ only where the expected probabilities are nearer to each other, or to the threshold, than the
    tolerance. A server that does not answer is a verification that did not pass, not an error.
    """
    reasons: list[str] = []
    seconds: list[float] = []
    equal, difference, novelty = 0, 0.0, 0.0
    address = url.rstrip("/") + "/predict"
    until = time.monotonic() + _PREDECESSOR_SECONDS
    with httpx.Client(timeout=timeout_seconds, trust_env=False, verify=trust_for(url)) as http:
        for at, data in enumerate(bundle.golden.inputs):
            try:
                answer, took = _ask(http, address, data, bundle.digest, until)
                compared = _compare(answer, bundle, at, tolerance)
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                reasons.append(f"golden input {at} was not answered: {type(error).__name__}: {error}"[:300])
                continue
            seconds.append(took)
            equal += not any("label" in reason for reason in compared.reasons)
            difference = max(difference, compared.difference)
            novelty = max(novelty, compared.novelty)
            reasons += [f"golden input {at}: {reason}" for reason in compared.reasons]
        if not reasons:
            seconds += _more(http, address, bundle, _SAMPLES - len(seconds))
    return Verification(
        passed=not reasons,
        items=len(bundle.golden.inputs),
        labels_equal=equal,
        max_difference=difference,
        max_novelty_difference=novelty,
        p95_ms=round(float(np.percentile(seconds, 95)) * 1000, 3) if seconds else math.inf,
        tolerance=tolerance,
        bundle_digest=bundle.digest,
        at=timestamp(),
        reasons=reasons[:20],
    )


@dataclass(frozen=True)
class _Compared:
    difference: float
    novelty: float
    reasons: list[str]


def _ask(
    http: httpx.Client, address: str, data: bytes, digest: str, until: float = 0.0
) -> tuple[dict[str, Any], float]:
    """The answer and its seconds; asked again while the server is busy or, before `until`, a predecessor answers."""
    headers = {"Content-Type": "application/octet-stream"}
    for attempt in itertools.count():
        begun = time.perf_counter()
        answer = http.post(address, content=data, headers=headers)
        took = time.perf_counter() - begun
        busy = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        other = answer.is_success and answer.json().get("bundle_digest") != digest
        if not (busy and attempt < _TRIES - 1) and not (other and time.monotonic() < until):
            break
        # Behind a Service of a cluster a connection stays with the pod that it was opened to.
        headers["Connection"] = "close"
        time.sleep(min(0.5 * 2**attempt, 2.0))
    answer.raise_for_status()
    return dict(answer.json()), took


def _compare(answer: dict[str, Any], bundle: Bundle, at: int, tolerance: float) -> _Compared:
    labels = bundle.manifest.labels
    expected = bundle.golden.probabilities[at]
    given = {entry["label"]: float(entry["probability"]) for entry in answer["labels"]}
    reasons = []
    if answer.get("bundle_digest") != bundle.digest:
        reasons.append(f"answered by another bundle, {short(str(answer.get('bundle_digest')))}")
    if set(given) != set(labels):
        return _Compared(math.inf, math.inf, [*reasons, "the labels are others than the bundle's"])
    found = np.array([given[label] for label in labels])
    difference = _largest(found - expected)
    if not difference <= tolerance:
        reasons.append(f"a probability differs by {difference:.3g}, more than {tolerance:g}")
    if not _same_labels(answer["label"], found, expected, bundle, tolerance):
        reasons.append(f"the label is {answer['label']!r}, not {labels[int(expected.argmax())]!r}")
    score = float(bundle.golden.novelty[at])
    novelty = _largest(np.array([(float(answer["novelty"]) - score) / max(1.0, abs(score))]))
    if not novelty <= tolerance:
        reasons.append(f"the novelty score differs by {novelty:.3g}, more than {tolerance:g}")
    return _Compared(difference, novelty, reasons)


def _same_labels(label: str, found: Any, expected: Any, bundle: Bundle, tolerance: float) -> bool:
    if bundle.manifest.task == "multi-label":
        threshold = bundle.manifest.threshold
        clear = np.abs(expected - threshold) > tolerance
        return bool(((found >= threshold) == (expected >= threshold))[clear].all())
    return bool(expected[bundle.manifest.labels.index(label)] >= expected.max() - tolerance)


def _largest(values: Any) -> float:
    largest = float(np.abs(values).max())
    return largest if math.isfinite(largest) else math.inf


def _more(http: httpx.Client, address: str, bundle: Bundle, wanted: int) -> list[float]:
    inputs = bundle.golden.inputs
    seconds: list[float] = []
    deadline = time.monotonic() + _LATENCY_SECONDS
    while len(seconds) < wanted and time.monotonic() < deadline:
        try:
            data = inputs[len(seconds) % len(inputs)]
            seconds.append(_ask(http, address, data, bundle.digest)[1])
        except httpx.HTTPError:
            break
    return seconds


@dataclass(frozen=True)
class Place:
    """What one of git, registry, image and memory says; `problem` when it cannot say."""

    name: str
    bundle_digest: str | None = None
    image_digest: str | None = None
    model_version: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class EnvironmentCheck:
    """Whether the four agree.

    Attributes:
        places: git, registry, image and memory, in this order.
        differs: names of those that stand alone; empty when all agree.
        reasons: a sentence for each of them.
    """

    application: str
    environment: str
    places: list[Place]
    differs: list[str]
    reasons: list[str]

    @property
    def agrees(self) -> bool:
        return not self.differs

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "agrees": self.agrees}


def verify_environment(
    tree: ReadTree,
    application: str,
    environment: str,
    *,
    registry: MlflowClient,
    image: Callable[[str], dict[str, str]],
    running: Callable[[], RunningModel],
) -> EnvironmentCheck:
    """Compare what git, the registry's alias, the image and the running server say, and name the one that differs.

    Git, registry and memory are independent witnesses: what two of them say counts. The image is the one that git
    names, so it is only held against git.

    Args:
        tree: of the commit to compare with, usually the tip.
        image: hashes the image of a digest again and gives its labels, such as `ImageStore(...).check`.
        running: asks the server, such as `lambda: fetch_running(url)`.
    """
    git = _git(tree, application, environment)
    alias = _registry(registry, application, environment)
    memory = _memory(running)
    picture = _image(image, git.image_digest) if git.image_digest else Place("image")
    places = [git, alias, picture, memory]
    if _nothing(git) and _nothing(alias) and memory.bundle_digest is None:
        return EnvironmentCheck(application, environment, places, [], [])
    reasons = {place.name: place.problem for place in places if place.problem}
    for what in ("bundle_digest", "image_digest", "model_version"):
        witnesses = [place for place in (git, alias, memory) if place.name not in reasons]
        for place, reason in _odd_ones(what, witnesses):
            reasons.setdefault(place, reason)
    if "git" not in reasons and "image" not in reasons and picture.bundle_digest != git.bundle_digest:
        reasons["image"] = (
            f"it holds bundle {_shown(picture.bundle_digest)}, git says {_shown(git.bundle_digest)}"
        )
    differs = [place.name for place in places if place.name in reasons]
    sentences = [f"{name}: {reasons[name]}" for name in differs]
    return EnvironmentCheck(application, environment, places, differs, sentences)


def _odd_ones(what: str, witnesses: list[Place]) -> list[tuple[str, str]]:
    said = {place.name: getattr(place, what) for place in witnesses}
    if what != "bundle_digest":
        said = {name: value for name, value in said.items() if value}
    counts = Counter(said.values())
    if len(counts) < 2:
        return []
    most = max(counts.values())
    # Without a majority git is right: it is the only way into an environment.
    leading = [value for value, count in counts.items() if count == most]
    right = said["git"] if "git" in said and said["git"] in leading else leading[0]
    agreeing = [name for name, value in said.items() if value == right]
    others = " and ".join(agreeing) + (" says" if len(agreeing) == 1 else " say")
    noun = what.replace("_", " ")
    return [
        (name, f"{noun} is {_shown(value)}, {others} {_shown(right)}")
        for name, value in said.items()
        if value != right
    ]


def _git(tree: ReadTree, application: str, environment: str) -> Place:
    try:
        found = released(tree, application, environment)
    except RookeryError as error:
        return Place("git", problem=str(error))
    if found is None:
        return Place("git")
    proof = found.evidence
    return Place("git", proof.bundle_digest, proof.image_digest, proof.model_version)


def _registry(client: MlflowClient, application: str, environment: str) -> Place:
    try:
        version = client.version_by_alias(application, environment)
    except RookeryError as error:
        return Place("registry", problem=str(error))
    if version is None:
        return Place("registry")
    return Place("registry", version["tags"].get("rookery.bundle_digest"), None, str(version["version"]))


def _image(check: Callable[[str], dict[str, str]], digest: str) -> Place:
    try:
        labels = check(digest)
    except RookeryError as error:
        return Place("image", image_digest=digest, problem=str(error))
    return Place("image", labels.get(BUNDLE_DIGEST), digest, labels.get(MODEL_VERSION))


def _memory(running: Callable[[], RunningModel]) -> Place:
    try:
        model = running()
    except RookeryError as error:
        return Place("memory", problem=str(error))
    return Place("memory", model.bundle_digest, model.image_digest or None, model.model_version or None)


def _nothing(place: Place) -> bool:
    return place.bundle_digest is None and place.problem is None


def _shown(value: str | None) -> str:
    return "nothing" if value is None else short(value)
