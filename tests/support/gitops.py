"""A GitOps remote with one application, image stores with real bundles, and releases by the code that makes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from services.bundle.reader import read_bundle
from tests.support.bundles import tiny_image_bundle
from tests.support.servers import free_port
from workflows.release.application import ApplicationFacts, create_application
from workflows.release.evidence import Evidence, Gate, Metric
from workflows.release.gitops import GitOps
from workflows.release.image import ImageStore, ServingBase
from workflows.release.release import ReleaseResult, release

REPOSITORY = Path(__file__).resolve().parents[2]


def git(folder: Path, *arguments: str) -> str:
    """Runs git with an identity of its own."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Remote:
    """<home>/gitops.git with the application `digits`, whose environments have free ports.

    Args:
        home: a temporary folder; images lie in <home>/images.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "gitops.git"
        self.ports = {name: free_port() for name in ("staging", "canary", "production")}
        work = home / "work"
        work.mkdir(parents=True)
        git(home, "init", "-q", "--bare", "-b", "main", str(self.path))
        git(work, "init", "-q", "-b", "main")
        facts = ApplicationFacts(
            name="digits",
            title="Digits",
            kind="image",
            data_source="digits",
            model_name="cnn",
            ports=self.ports,
        )
        create_application(work, facts)
        git(work, "add", ".")
        git(work, "commit", "-q", "-m", "Start")
        git(work, "push", "-q", str(self.path), "main")
        self.gitops = GitOps(str(self.path), home / "cache")
        self.store = ImageStore(home / "images")
        self.base = ServingBase.from_checkout(REPOSITORY)

    def url(self, environment: str = "staging") -> str:
        return f"http://127.0.0.1:{self.ports[environment]}"

    def build(self, version: int) -> tuple[str, str]:
        """An image of a model version; returns its digest and that of the bundle."""
        folder = tiny_image_bundle(self.home / f"bundle-{version}", run_id=f"{version:032x}")
        labels = {"io.rookery.model-version": str(version)}
        return self.store.build(self.base, folder, labels), read_bundle(folder).digest

    def release(self, version: int, image: str, bundle: str) -> ReleaseResult:
        """One release commit for staging."""
        zero = "sha256:" + "0" * 64
        evidence = Evidence(
            application="digits",
            environment="staging",
            model_name="cnn",
            model_version=str(version),
            run_id=f"{version:032x}",
            dataset_digest=zero,
            bundle_digest=bundle,
            image_digest=image,
            image_name="rookery/digits",
            code_revision="test",
            metric=Metric(name="accuracy", value=0.97),
            gate=Gate(decision="accepted", policy_digest=zero),
            requested_by="test",
            workflow=f"test-{version}",
        )
        return release(self.gitops, evidence)
