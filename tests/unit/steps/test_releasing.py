"""Which number a release is shown with."""

import pytest

from services.common.errors import Refused
from workflows.steps.releasing import main_metric, verification_tag


def test_the_metric_is_the_one_that_the_policy_holds_against_production() -> None:
    verdict = {"policy": {"no_worse": {"metric": "map"}}, "metrics": {"map": 0.9, "macro_f1": 0.8}}
    assert (main_metric(verdict).name, main_metric(verdict).value) == ("map", 0.9)


def test_without_such_a_rule_it_is_macro_f1() -> None:
    assert main_metric({"policy": {"no_worse": None}, "metrics": {"macro_f1": 0.8}}).name == "macro_f1"


def test_a_metric_that_was_not_measured_is_refused_and_not_made_up() -> None:
    with pytest.raises(Refused, match="macro_f1"):
        main_metric({"policy": {}, "metrics": {"macro_f1": None}})


def test_each_environment_has_a_tag_of_its_own() -> None:
    assert verification_tag("staging") != verification_tag("canary")
