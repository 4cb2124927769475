"""checkov finds nothing in what a site applies, but for the exceptions listed with their reasons."""

from __future__ import annotations

import json
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from tests.manifests.conftest import Built
from tests.support.manifests import ROOT

EXCEPTIONS = yaml.safe_load((Path(__file__).parent / "exceptions.yaml").read_text())
pytestmark = pytest.mark.slow


def checkov() -> str:
    """The path of checkov, installed by the first caller."""
    done = subprocess.run([ROOT / "tests/tools/checkov.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_finding_but_those_with_a_reason(site: Built, gated: Built, tmp_path: Path) -> None:
    environments = {folder: resources for folder, resources in gated.items() if "/apps/" in folder}
    for folder, resources in (site | environments).items():
        (tmp_path / f"{folder.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(resources))
    options = ["--framework", "kubernetes", "--output", "json", "--compact", "--quiet", "--skip-download"]
    command = [checkov(), "--directory", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 700
    failed = {(f["check_id"], f["resource"]): f["check_name"] for f in report["results"]["failed_checks"]}
    excused = {
        (check, resource)
        for check, resource in failed
        for exception in EXCEPTIONS
        if check == exception["check"] and any(fnmatchcase(resource, p) for p in exception["resources"])
    }
    assert not {finding: name for finding, name in failed.items() if finding not in excused}
    for exception in EXCEPTIONS:
        assert exception["reason"] and exception["name"]
        for pattern in exception["resources"]:
            assert any(c == exception["check"] and fnmatchcase(r, pattern) for c, r in failed), exception
