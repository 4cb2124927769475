"""What of the workflow's parameters goes to the train service, and what of a run is shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from workflows.steps.training import hyperparameters, progress


def as_argo(values: dict[str, str]) -> str:
    return json.dumps([{"name": name, "value": value} for name, value in values.items()])


def test_only_what_is_set_and_is_a_hyperparameter_is_passed_on() -> None:
    given_text = as_argo(
        {"epochs": "3", "batch-size": "16", "lr": "", "application": "digits", "requested-by": "me"}
    )
    assert hyperparameters(given_text) == {"epochs": "3", "batch_size": "16"}


@pytest.mark.parametrize("bad", ["", "{", "[1]", '[{"value": "x"}]', "null"])
def test_what_is_no_list_of_parameters_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput):
        hyperparameters(bad)


@given(st.dictionaries(st.sampled_from(["epochs", "lr", "seed"]), st.text(min_size=1)))
def test_values_arrive_as_they_were_given(values: dict[str, str]) -> None:
    assert hyperparameters(as_argo(values)) == values


def test_progress_names_the_newest_epoch() -> None:
    metrics = [{"key": "loss", "value": 0.25, "step": 4}, {"key": "val_accuracy", "value": 0.9, "step": 4}]
    run = {"info": {"run_id": "r1", "status": "RUNNING"}, "data": {"metrics": metrics}}
    assert progress(run) == "epoch 4: loss 0.25, val_accuracy 0.9"
    assert "RUNNING" in progress({"info": run["info"], "data": {}})
