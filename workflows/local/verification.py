"""`verify ENV` on this machine: four witnesses and the golden inputs over HTTP."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.bundle.reader import read_bundle
from services.common.digest import short
from services.common.errors import IntegrityError, NotFound
from services.common.mlflow_rest import MlflowClient
from workflows.local.desired import read_tip
from workflows.local.members import HOST, MLFLOW
from workflows.local.platform import require_made, require_up
from workflows.local.settings import PlatformSettings
from workflows.release.application import load_application
from workflows.release.evidence import released
from workflows.release.git import Git
from workflows.release.image import ImageStore
from workflows.release.running import fetch_running
from workflows.release.tree import Tree
from workflows.release.verify import EnvironmentCheck, Verification, verify_environment, verify_golden

_MLFLOW_SECONDS = 10.0


@dataclass(frozen=True)
class Verdict:
    """What was compared.

    Attributes:
        golden: None when nothing is released, or the image is not whole.
    """

    places: EnvironmentCheck
    golden: Verification | None

    @property
    def differs(self) -> str:
        """Names of what differs."""
        answers = ["the answers to the golden inputs"] if self.golden and not self.golden.passed else []
        return ", ".join([*self.places.differs, *answers])

    @property
    def passed(self) -> bool:
        return not self.differs

    @property
    def empty(self) -> bool:
        """Whether nothing is released, and nothing is there that should not be."""
        return self.passed and not any(place.image_digest for place in self.places.places)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        golden = self.golden.as_dict() if self.golden else None
        return {**self.places.as_dict(), "golden": golden, "passed": self.passed}

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Place, verdict, version, image, bundle."""
        return [
            (
                place.name,
                "differs" if place.name in self.places.differs else "ok",
                place.model_version or "",
                short(place.image_digest or ""),
                short(place.bundle_digest or ""),
            )
            for place in self.places.places
        ]


def verify_here(settings: PlatformSettings, application: str, environment: str) -> Verdict:
    """Compares git, registry alias, image and memory of an environment of this machine.

    Raises:
        NotFound: no such application or environment.
        Unavailable: the platform does not run.
    """
    require_made(settings)
    tree = Tree(Git(settings.gitops), read_tip(settings.gitops))
    facts = load_application(tree, application)
    facts.check_environment(environment)
    ports = require_up(settings)
    url = f"http://{HOST}:{facts.ports.get(environment, 0)}"
    store = ImageStore(settings.images)
    with MlflowClient(f"http://{HOST}:{ports[MLFLOW]}", patience_seconds=_MLFLOW_SECONDS) as registry:
        places = verify_environment(
            tree,
            application,
            environment,
            registry=registry,
            image=store.check,
            running=lambda: fetch_running(url),
        )
    return Verdict(places, _golden(store, tree, application, environment, url))


def _golden(
    store: ImageStore, tree: Tree, application: str, environment: str, url: str
) -> Verification | None:
    try:
        found = released(tree, application, environment)
        if found is None:
            return None
        with tempfile.TemporaryDirectory(prefix="rookery-verify-") as folder:
            rootfs = store.unpack(found.image_digest, Path(folder) / "image")
            return verify_golden(url, read_bundle(rootfs / "bundle"))
    except (NotFound, IntegrityError):
        # What git or the image lacks is said by the places.
        return None
