"""What a decision needs to know of the world: the applications, what would be trained, and what was trained before."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.arbiter.decide import Recipe
from services.arbiter.settings import ArbiterSettings
from services.common.codebase import TRAINING, code_digest
from services.common.errors import InvalidInput, NotFound, RookeryError, Unavailable
from services.common.mlflow_rest import MlflowClient
from workflows.release.application import ApplicationFacts, list_applications, load_application
from workflows.release.gitops import GitOps
from workflows.release.tree import Tree
from workflows.steps.http import call
from workflows.steps.reuse import Past, past_training

_SECONDS = 10.0


@dataclass(frozen=True)
class Tip:
    """The newest commit, and the digest of the code in it that trainings run."""

    commit: str
    code: str


class Facts:
    """Asks git, the train service and MLflow. Every method raises RookeryError when one of them does not answer."""

    def __init__(self, settings: ArbiterSettings) -> None:
        self._settings = settings
        self._git = GitOps(settings.git_remote, settings.cache)
        self._lock = threading.Lock()
        self._codes: dict[str, str] = {}

    def tip(self) -> Tip:
        """The tip of git."""
        tree = self._git.tree()
        return Tip(tree.revision, self._code(tree))

    def applications(self) -> list[str]:
        """Their names."""
        return list_applications(self._git.tree())

    def application(self, name: str) -> ApplicationFacts:
        """One of them; NotFound when there is none of that name."""
        return load_application(self._git.tree(), name)

    def recipe(self, application: str, parameters: Mapping[str, str]) -> Recipe:
        """What a training with these parameters of train-model would be made of now."""
        try:
            tree = self._git.tree()
            try:
                load_application(tree, application)
            except NotFound as error:
                return Recipe(problem=str(error), fault="application")
            found = self.describe(application, parameters)
        except (InvalidInput, NotFound) as error:
            return Recipe(problem=str(error), fault="asked")
        except RookeryError as error:
            return Recipe(problem=str(error))
        return Recipe(str(found["key"]), str(found["data"]), str(found["code"]))

    def describe(self, application: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The same with all that the train service says.

        Raises:
            Unavailable: it is still reading the data.
        """
        facts = self.application(application)
        given = {name.replace("-", "_"): value for name, value in parameters.items() if value}
        query = {"model_name": facts.model_name, "data_source": facts.data_source} | given
        answer = call(
            "GET",
            f"{self._settings.train_url.rstrip('/')}/recipe",
            params={**query, "application": application},
            patience_seconds=0,
        )
        if answer.status_code != 200:
            raise Unavailable("the train service is still reading the data")
        return dict(answer.json())

    def past(self, application: str, key: str) -> Past | None:
        """A finished training with this recipe."""
        with MlflowClient(self._settings.mlflow_url, patience_seconds=0, timeout_seconds=_SECONDS) as mlflow:
            return past_training(mlflow, application, key)

    def _code(self, tree: Tree) -> str:
        """By the identity of the folder in git, so that a commit that only promotes is not read again."""
        folder = tree.git.text("rev-parse", "--verify", f"{tree.revision}:services")
        with self._lock:
            if folder not in self._codes:
                self._codes = {folder: code_digest(tree.committed, TRAINING)}
            return self._codes[folder]
