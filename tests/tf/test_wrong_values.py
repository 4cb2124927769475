"""Each rule refuses what it should, in its own words; and there is no rule without a wrong value."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.tf.conftest import REPOSITORY, Tool, copy_tree
from tests.tf.wrong_values import CHAMELEON, RIGHT, VOLUME, WRONG

pytestmark = pytest.mark.timeout(900)


def assignment(environment: str, variable: str, value: str) -> str:
    values = RIGHT[environment] | {variable: value}
    lines = [f"    {name} = {text}" for name, text in values.items()]
    provider = "libvirt" if "libvirt" in environment else "openstack"
    body = "\n".join(lines)
    return f'mock_provider "{provider}" {{}}\n\nrun "wrong" {{\n  command = plan\n  variables {{\n{body}\n  }}\n}}\n'


@pytest.fixture(scope="module")
def said(terraform: Tool, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What Terraform said of each wrong value: one `terraform test` for each environment, a file for each value."""
    tree = copy_tree(tmp_path_factory.mktemp("wrong"))
    found: dict[int, list[str]] = defaultdict(list)
    for environment in RIGHT:
        folder = tree / environment
        for path in (folder / "tests").glob("*"):
            path.unlink()
        for index, (where, variable, value, _) in enumerate(WRONG):
            if where == environment:
                (folder / "tests" / f"wrong_{index}.tftest.hcl").write_text(
                    assignment(where, variable, value)
                )
        terraform.init(folder)
        for event in terraform.events(folder, "test"):
            if event["type"] == "diagnostic" and event["diagnostic"]["severity"] == "error":
                index = int(re.findall(r"wrong_(\d+)", event["@testfile"])[0])
                found[index].append(" ".join(event["diagnostic"]["detail"].split()))
    return {index: " | ".join(texts) for index, texts in found.items()}


@pytest.mark.parametrize(
    "index", range(len(WRONG)), ids=[f"{env}-{name}-{value}" for env, name, value, _ in WRONG]
)
def test_a_wrong_value_is_refused_in_the_rule_s_own_words(said: dict[int, str], index: int) -> None:
    assert WRONG[index][3] in said[index]


@pytest.mark.parametrize("environment", sorted(RIGHT))
def test_every_rule_has_a_wrong_value(environment: str) -> None:
    text = (REPOSITORY / "tf" / environment / "variables.tf").read_text()
    rules = re.findall(r'error_message = "((?:[^"\\]|\\.)*)"', text)
    assert rules
    messages = [message for where, _, _, message in WRONG if where == environment]
    assert [rule for rule in rules if not any(message in rule for message in messages)] == []


@pytest.mark.parametrize("environment", sorted(RIGHT))
def test_every_variable_has_a_type_and_says_what_it_is(environment: str) -> None:
    for path in sorted(Path(REPOSITORY / "tf" / environment).glob("variables.tf")):
        for block in re.split(r'(?m)^variable "', path.read_text())[1:]:
            assert "type " in block and "description " in block, block.split('"')[0]


def test_what_the_volume_and_the_machines_are_both_told_has_the_same_rules() -> None:
    def declared(environment: str) -> dict[str, str]:
        text = (REPOSITORY / "tf" / environment / "variables.tf").read_text()
        blocks = re.split(r'(?m)^variable "', text)[1:]
        return {block.split('"')[0]: block.partition("type ")[2].strip() for block in blocks}

    volume, machines = declared(VOLUME), declared(CHAMELEON)
    shared = sorted(volume.keys() & machines.keys())
    assert shared == ["cloud", "suffix"]
    assert [name for name in shared if volume[name] != machines[name]] == []
