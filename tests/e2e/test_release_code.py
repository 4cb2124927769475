"""The serving code changes: the model in staging goes on the new base and through staging again. In this order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest

from tests.support import web
from tests.support.gitops import git
from tests.support.platform import Platform, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

RELEASE = "k8s/apps/digits/staging/release"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("code")) as running:
        done = running("submit", "train-model", "-p", "application=digits", "-p", "epochs=4", "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
        assert promoted(running, "staging", "canary").returncode == 0
        yield running


def promoted(platform: Platform, source: str, target: str) -> CompletedProcess[str]:
    places = ("-p", f"source-environment={source}", "-p", f"target-environment={target}")
    return platform("submit", "promote-model", *places, "-p", "model-version=1", "--wait")


def change(platform: Platform, file: str, old: str, new: str) -> None:
    path = platform.settings.repository / "services" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def shown(platform: Platform, environment: str) -> str:
    return web.get(platform.environment(environment)["url"] + "/").text


def evidence(platform: Platform) -> dict[str, object]:
    found: dict[str, object] = json.loads(git(platform.gitops, "show", f"main:{RELEASE}/evidence.json"))
    return found


def test_nothing_is_done_while_the_serving_code_is_the_same(platform: Platform) -> None:
    tip = git(platform.gitops, "rev-parse", "main")
    done = platform("submit", "release-code", "-p", "application=digits", "--wait")
    assert done.returncode != 0
    assert "already" in done.stdout + done.stderr
    assert git(platform.gitops, "rev-parse", "main") == tip


def test_the_model_goes_on_the_new_base_by_one_commit(platform: Platform) -> None:
    before = platform.environment("staging")
    first = evidence(platform)
    commits = int(git(platform.gitops, "rev-list", "--count", "main"))
    change(platform, "serve/page/index.html", "</body>", "<!-- the new code --></body>")
    done = platform("submit", "release-code", "--wait", "-p", "requested-by=a test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(git(platform.gitops, "rev-list", "--count", "main")) == commits + 1
    after, proof = platform.environment("staging"), evidence(platform)
    assert after["version"] == before["version"] and after["digest"] != before["digest"]
    assert proof["bundle_digest"] == first["bundle_digest"]
    assert proof["rebased_from"] == first["image_digest"]
    assert proof["serving_base"] and proof["requested_by"] == "a test"
    message = git(platform.gitops, "log", "-1", "--format=%B", "main")
    assert "From: release-code" in message and f"Serving-Base: {proof['serving_base']}" in message
    assert "the new code" in shown(platform, "staging")
    assert "the new code" not in shown(platform, "canary")
    assert platform("verify", "staging").returncode == 0


def test_it_goes_on_by_promotion(platform: Platform) -> None:
    done = promoted(platform, "staging", "canary")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the new code" in shown(platform, "canary")
    assert platform("why", "canary").returncode == 0


def test_code_that_answers_otherwise_is_withdrawn_and_the_model_is_not_blamed(platform: Platform) -> None:
    good = platform.environment("staging")["digest"]
    change(platform, "serve/predictor.py", '{"input": tensor}', '{"input": 1 - tensor}')
    done = platform("submit", "release-code", "-p", "application=digits", "--wait")
    assert done.returncode != 0, done.stdout
    assert "withdrawn" in done.stdout + done.stderr
    assert platform.environment("staging")["digest"] == good
    listed = json.loads(git(platform.gitops, "show", f"main:{RELEASE}/quarantine.json"))["entries"]
    assert [entry["bundle_digest"] for entry in listed] == [None]
    assert platform("verify", "staging").returncode == 0
    again = platform("submit", "release-code", "-p", "application=digits", "--wait")
    assert again.returncode != 0
    assert "quarantine" in again.stdout + again.stderr
