"""What train-model would run again and why: the parts of a training now against those of the last finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.common.digest import short
from services.common.errors import InvalidInput, RookeryError, Unavailable
from services.common.mlflow_rest import MlflowClient, params_of, tags_of
from workflows.local.desired import read_tip
from workflows.local.members import HOST, MLFLOW, TRAIN
from workflows.local.settings import PlatformSettings
from workflows.release.application import load_application
from workflows.release.evidence import released
from workflows.release.git import Git
from workflows.release.image import ImageStore
from workflows.release.tree import Tree
from workflows.steps.reuse import Past, ask_recipe, newest_run, past_training

_SECONDS = 10.0
_NOT_ASKED = frozenset({"application", "train-ip", "eval-ip", "mlflow-ip", "requested-by", "force"})


@dataclass(frozen=True)
class Part:
    """One thing that a training is made of.

    Attributes:
        before: of the last finished run; empty when there is none or it did not say.
    """

    name: str
    before: str
    now: str

    @property
    def same(self) -> bool:
        return self.before == self.now

    def row(self) -> tuple[str, str, str, str]:
        """For a table."""
        return self.name, _shown(self.before), _shown(self.now), "same" if self.same else "differs"


@dataclass(frozen=True)
class StepPlan:
    """Whether a step would run, and why or why not."""

    name: str
    runs: bool
    reason: str


@dataclass(frozen=True)
class Explanation:
    """The whole answer."""

    application: str
    key: str
    parts: list[Part]
    steps: list[StepPlan]

    @property
    def words(self) -> str:
        """In a line."""
        names = [step.name for step in self.steps if step.runs]
        return (
            f"would run again: {', '.join(names)}"
            if names
            else "nothing would run again (-p force=true trains)"
        )

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "application": self.application,
            "key": self.key,
            "parts": [{**asdict(part), "same": part.same} for part in self.parts],
            "steps": [asdict(step) for step in self.steps],
            "would_run": [step.name for step in self.steps if step.runs],
        }


def explain(
    settings: PlatformSettings, ports: Mapping[str, int], application: str, parameters: Mapping[str, str]
) -> Explanation:
    """Compare; nothing is started.

    Raises:
        NotFound: there is no such application.
        InvalidInput: a parameter that does not exist or is not a part of a training.
        Unavailable: the train service or MLflow does not answer.
    """
    wrong = sorted(_NOT_ASKED & parameters.keys())
    if wrong:
        raise InvalidInput("these parameters are no part of a training", value=", ".join(wrong))
    tree = Tree(Git(settings.gitops), read_tip(settings.gitops))
    facts = load_application(tree, application)
    given = {name.replace("-", "_"): value for name, value in parameters.items() if value}
    query = {"model_name": facts.model_name, "data_source": facts.data_source, **given}
    recipe = ask_recipe(f"http://{HOST}:{ports[TRAIN]}", {**query, "application": application})
    if recipe is None:
        raise Unavailable("the train service is older and does not say what it would train")
    with MlflowClient(f"http://{HOST}:{ports[MLFLOW]}", patience_seconds=_SECONDS) as mlflow:
        newest = newest_run(mlflow, application)
        past = past_training(mlflow, application, str(recipe["key"]))
    parts = _parts(recipe, newest)
    return Explanation(
        application, str(recipe["key"]), parts, _steps(settings, tree, application, recipe, newest, past)
    )


def _parts(recipe: Mapping[str, Any], newest: Mapping[str, Any] | None) -> list[Part]:
    tags = tags_of(newest) if newest else {}
    params = params_of(newest) if newest else {}
    parts = [
        Part("data", tags.get("rookery.dataset_digest", ""), str(recipe["data"])),
        Part("code", tags.get("rookery.code_digest", ""), str(recipe["code"])),
        Part("environment", tags.get("rookery.environment_digest", ""), str(recipe["environment"])),
        Part("model", tags.get("rookery.model_name", ""), str(recipe["model_name"])),
    ]
    for name, value in recipe["parameters"].items():
        before = params.get(name, "")
        if before != str(value) and not (value == "auto" and before):
            parts.append(Part(f"parameter {name}", before, str(value)))
    return parts


def _steps(
    settings: PlatformSettings,
    tree: Tree,
    application: str,
    recipe: Mapping[str, Any],
    newest: Mapping[str, Any] | None,
    past: Past | None,
) -> list[StepPlan]:
    if newest is None:
        train = "nothing was trained before"
    elif past is None:
        differing = [part.name for part in _parts(recipe, newest) if not part.same]
        train = f"differs: {', '.join(differing) or 'the recipe'}"
    elif past.missing:
        train = past.words
    elif newest["info"]["run_id"] != past.run_id:
        train = f"{past.words}, but run {str(newest['info']['run_id'])[:12]} is newer"
    else:
        train = ""
    if train:
        after = "a new run is judged, packed and released"
        return [
            StepPlan("train", True, train),
            *(StepPlan(n, True, after) for n in ("evaluate", "release", "deliver")),
        ]
    assert past is not None
    steps = [StepPlan("train", False, f"{past.words}, and its bundle is there")]
    if not past.version:
        return [*steps, StepPlan("evaluate", True, "the run has no version; its verdict is asked for again")]
    steps.append(StepPlan("evaluate", False, f"version {past.version} is registered with its verdict"))
    return [*steps, *_release_steps(settings, tree, application, past.version)]


def _release_steps(settings: PlatformSettings, tree: Tree, application: str, version: str) -> list[StepPlan]:
    environment = load_application(tree, application).environments[0]
    found = released(tree, application, environment)
    if found is None or found.evidence.model_version != version:
        other = f"version {found.evidence.model_version}" if found else "nothing"
        return [
            StepPlan(name, True, f"{environment} has {other}, not version {version}")
            for name in ("release", "deliver")
        ]
    digest = found.evidence.image_digest
    try:
        ImageStore(settings.images).check(digest)
    except RookeryError as error:
        return [StepPlan("release", True, f"image {short(digest)} is missing: {error.message}")]
    return [
        StepPlan("release", False, f"image {short(digest)} is whole and {environment} has it"),
        StepPlan("deliver", False, f"{environment} was verified with it"),
    ]


def _shown(value: str) -> str:
    return short(value) if value.startswith("sha256:") else value or "-"
