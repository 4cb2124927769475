"""What is asked of git, the train service and MLflow, and what is made of their silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.arbiter import facts as module
from services.arbiter.facts import Facts
from services.arbiter.settings import ArbiterSettings
from services.common.errors import NotFound, RookeryError, Unavailable
from tests.support.asgi import serving
from tests.support.release import git, make_remote
from tests.support.servers import free_port
from workflows.steps.reuse import Past

RECIPE = {"key": "sha256:k", "data": "sha256:d", "code": "sha256:c", "items": 7, "source": "digits"}


class Train:
    """A train service; what it was asked is kept."""

    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps(RECIPE)
        self.asked: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert scope["path"] == "/recipe"
        query = parse_qs(scope["query_string"].decode(), strict_parsing=True)
        self.asked.append({name: values[0] for name, values in query.items()})
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.body.encode()})


@pytest.fixture
def train() -> Train:
    return Train()


def write(work: Path, files: dict[str, str], message: str) -> str:
    """Commits files of the checkout that the remote was made from, and pushes them; the commit."""
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", message, cwd=work)
    git("push", "-q", str(work.parent / "gitops.git"), "HEAD:main", cwd=work)
    return git("rev-parse", "HEAD", cwd=work)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make_remote(tmp_path, "digits", "birds")
    code = {
        "services/train/training.py": "from services.train import fit\n",
        "services/train/fit.py": "LAYERS = 1\n",
        "services/serve/app.py": "PAGE = 1\n",
    }
    write(tmp_path / "work", code, "Code")
    return tmp_path / "work"


@pytest.fixture
def facts(tmp_path: Path, work: Path, train: Train) -> Iterator[Facts]:
    with serving(train) as client:
        yield Facts(
            ArbiterSettings(
                git_remote=str(tmp_path / "gitops.git"),
                cache=tmp_path / "cache",
                train_url=str(client.base_url),
                mlflow_url=f"http://127.0.0.1:{free_port()}",
            )
        )


def test_the_code_is_new_only_when_what_trainings_run_is(facts: Facts, work: Path) -> None:
    first = facts.tip()
    assert first.commit == git("rev-parse", "HEAD", cwd=work) and first.code.startswith("sha256:")
    promoted = write(work, {"k8s/apps/digits/staging/release/x.yaml": "a: 1\n"}, "Promote")
    assert facts.tip() == module.Tip(promoted, first.code)
    served = write(work, {"services/serve/app.py": "PAGE = 2\n"}, "Serve")
    assert facts.tip() == module.Tip(served, first.code)
    trained = write(work, {"services/train/fit.py": "LAYERS = 2\n"}, "Train")
    found = facts.tip()
    assert found.commit == trained and found.code != first.code
    write(work, {"services/train/fit.py": "LAYERS = 1\n"}, "Back")
    assert facts.tip().code == first.code


def test_applications_are_those_of_the_tip(facts: Facts, work: Path) -> None:
    assert facts.applications() == ["birds", "digits"]
    assert facts.application("birds").data_source == "birds"
    with pytest.raises(NotFound):
        facts.application("owls")
    git("rm", "-q", "-r", "k8s/apps/birds", cwd=work)
    write(work, {}, "Birds go")
    assert facts.applications() == ["digits"]


def test_the_train_service_is_asked_for_what_train_model_would_ask(facts: Facts, train: Train) -> None:
    given = {"data-source": "s3://bucket/x", "epochs": "3", "model-name": "", "noise-share": "0.5"}
    found = facts.recipe("digits", given)
    assert (found.key, found.data, found.code, found.problem) == ("sha256:k", "sha256:d", "sha256:c", "")
    assert train.asked == [
        {
            "application": "digits",
            "model_name": "cnn",
            "data_source": "s3://bucket/x",
            "epochs": "3",
            "noise_share": "0.5",
        }
    ]
    assert facts.describe("digits", {})["items"] == 7
    assert train.asked[1] == {"application": "digits", "model_name": "cnn", "data_source": "digits"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (202, "{}", "still reading the data"),
        (422, '{"message": "no such data", "value": "digits"}', "no such data"),
        (500, "broken", "500"),
        (503, '{"message": "starting"}', "starting"),
    ],
)
def test_what_cannot_be_said_is_a_recipe_with_a_problem(
    facts: Facts, train: Train, status: int, body: str, said: str
) -> None:
    train.status, train.body = status, body
    recipe = facts.recipe("digits", {})
    assert said in recipe.problem and (recipe.key, recipe.data, recipe.code) == ("", "", "")
    assert recipe.fault == ("asked" if status == 422 else "")
    with pytest.raises(RookeryError, match=said):
        facts.describe("digits", {})


def test_an_application_that_is_gone_and_a_train_service_that_is_away_are_problems(
    facts: Facts, tmp_path: Path
) -> None:
    gone = facts.recipe("owls", {})
    assert "owls" in gone.problem and gone.fault == "application"
    away = f"http://127.0.0.1:{free_port()}"
    alone = Facts(
        ArbiterSettings(git_remote=str(tmp_path / "gitops.git"), cache=tmp_path / "c", train_url=away)
    )
    late = alone.recipe("digits", {})
    assert urlsplit(away).netloc in late.problem and late.fault == ""


def test_a_git_that_is_away_is_no_tip(tmp_path: Path) -> None:
    facts = Facts(ArbiterSettings(git_remote=str(tmp_path / "none.git"), cache=tmp_path / "cache"))
    for ask in (facts.tip, facts.applications):
        with pytest.raises(RookeryError):
            ask()
    found = facts.recipe("digits", {})
    assert found.problem and found.fault == ""


def test_what_was_trained_before_is_mlflow_s_to_say(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def past(client: Any, application: str, key: str) -> Past:
        asked.append((application, key))
        return Past("run", "7")

    with pytest.raises(Unavailable):
        facts.past("digits", "sha256:k")
    monkeypatch.setattr(module, "past_training", past)
    found = facts.past("digits", "sha256:k")
    assert found is not None and found.version == "7" and asked == [("digits", "sha256:k")]
