"""Facts of an application: read strictly, scaffolded whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from services.common.errors import InvalidInput, NotFound, Refused
from workflows.release.application import (
    ApplicationFacts,
    create_application,
    list_applications,
    load_application,
    parse_application,
)
from workflows.release.tree import FolderTree

GOOD = {"name": "moths", "title": "Moths", "kind": "image", "data_source": "/data", "model_name": "cnn"}


def facts(**changes: object) -> bytes:
    return yaml.safe_dump({**GOOD, **changes}).encode()


def test_the_three_environments_are_the_default() -> None:
    assert parse_application(facts(), "moths").environments == ("staging", "canary", "production")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (facts(colour="red"), "colour: Extra inputs are not permitted"),
        (facts(kind="video"), "kind"),
        (facts(environments=["a", "a"]), "named twice"),
        (facts(environments=["../x"]), "no name of an environment"),
        (facts(ports={"nowhere": 1}), "unknown environments: nowhere"),
        (facts(ports={"staging": 70_000}), "1 to 65535"),
        (facts(name="wasps"), "names another application"),
        (b"{", "no YAML"),
        (b"just text", "wrong"),
        (b"!!python/object/apply:os.system [id]", "no YAML"),
    ],
)
def test_a_wrong_file_is_refused_by_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_application(data, "moths")


def test_only_neighbours_may_be_promoted() -> None:
    found = parse_application(facts(), "moths")
    found.check_transition("staging", "canary")
    found.check_transition("canary", "production")
    for source, target in [("staging", "production"), ("canary", "staging"), ("canary", "canary")]:
        with pytest.raises(Refused, match="staging to canary, canary to production"):
            found.check_transition(source, target)
    with pytest.raises(NotFound, match="staging, canary, production"):
        found.check_transition("staging", "moon")


def test_another_order_can_be_named() -> None:
    found = parse_application(facts(environments=["try", "live"]), "moths")
    found.check_transition("try", "live")
    with pytest.raises(NotFound):
        found.check_transition("staging", "canary")


def test_a_new_application_is_written_whole_and_only_once(tmp_path: Path) -> None:
    made = ApplicationFacts.model_validate({**GOOD, "ports": {"staging": 9001}})
    assert len(create_application(tmp_path, made)) == 7
    tree = FolderTree(tmp_path)
    assert load_application(tree, "moths") == made
    assert list_applications(tree) == ["moths"]
    overlay = tmp_path / "k8s/apps/moths/canary/kustomization.yaml"
    overlay.write_text("# mine\n")
    assert create_application(tmp_path, made) == []
    assert overlay.read_text() == "# mine\n"


def test_an_unknown_application_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    create_application(tmp_path, ApplicationFacts.model_validate(GOOD))
    with pytest.raises(NotFound, match="moths"):
        load_application(FolderTree(tmp_path), "wasps")
