"""A bare remote with two applications, bundles and evidence, as the tests of releases need them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workflows.release.application import ENVIRONMENTS, ApplicationFacts, create_application
from workflows.release.evidence import Evidence, Gate, Metric
from workflows.release.gitops import GitOps
from workflows.release.running import RunningModel
from workflows.release.settings import GitSettings

ACCEPTED = Gate(
    decision="accepted",
    reasons=[],
    checks=[{"name": "accuracy", "value": 0.97, "bound": 0.9, "passed": True, "detail": "at least"}],
    policy_digest="sha256:" + "c" * 64,
    metrics={"accuracy": 0.97},
)


def digest(text: str) -> str:
    """A digest that stands for something called `text`."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def git(*arguments: str, cwd: Path) -> str:
    """Run git as a person would, with an identity of its own."""
    identity = {f"GIT_{who}_{what}": f"{what.lower()}@localhost" for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")}  # fmt: skip
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, **identity},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def make_remote(folder: Path, *names: str, ports: tuple[int, int, int] = (8081, 8080, 8082)) -> Path:
    """A bare repository on `main` with the given applications (digits when none is named)."""
    remote, work = folder / "gitops.git", folder / "work"
    folder.mkdir(parents=True, exist_ok=True)
    git("init", "-q", "--bare", "-b", "main", str(remote), cwd=folder)
    git("init", "-q", "-b", "main", str(work), cwd=folder)
    for name in names or ("digits",):
        facts = ApplicationFacts(
            name=name,
            title=name.title(),
            kind="image",
            data_source=name,
            model_name="cnn",
            ports=dict(zip(ENVIRONMENTS, ports, strict=True)),
        )
        create_application(work, facts)
    (work / "README.md").write_text("# for the tests\n")
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "start", cwd=work)
    git("push", "-q", str(remote), "main", cwd=work)
    return remote


def gitops(remote: Path | str, folder: Path, **settings: Any) -> GitOps:
    """Access to a remote with a cache of its own."""
    return GitOps(str(remote), folder, GitSettings(**settings))


def evidence(version: int | str = 1, **changes: Any) -> Evidence:
    """Evidence of a version whose digests follow from its number."""
    content: dict[str, Any] = {
        "application": "digits",
        "environment": "staging",
        "model_name": "cnn",
        "model_version": str(version),
        "run_id": f"run{version}",
        "dataset_digest": digest("data"),
        "bundle_digest": digest(f"bundle {version}"),
        "image_digest": digest(f"image {version}"),
        "image_name": "rookery/digits",
        "code_revision": "a" * 40,
        "metric": Metric(name="accuracy", value=0.97),
        "gate": ACCEPTED,
        "requested_by": "a tester",
        "workflow": f"train-model-{version}",
    }
    return Evidence(**{**content, **changes})


def runs(version: int | str) -> Callable[[], RunningModel]:
    """A server that has this version in memory."""
    return lambda: RunningModel(
        bundle_digest=digest(f"bundle {version}"), image_digest=digest(f"image {version}")
    )


def write_bundle_files(folder: Path, model: bytes = b"model", **files: bytes) -> Path:
    """Four files with the names of a bundle; what they hold does not matter to an image."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {"model.onnx": model, "novelty.onnx": b"novelty", "bundle.json": b"{}", "golden.npz": b"golden"}
    for name, data in {**named, **files}.items():
        (folder / name).write_bytes(data)
    return folder
