from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.train.hyperparameters import AUTO, Hyperparameters, describe, names, parse


def test_every_hyperparameter_is_described_with_default_and_range() -> None:
    rows = describe()
    assert [row["name"] for row in rows] == names()
    assert all(row["description"] and row["allowed"] for row in rows)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="did you mean epochs"):
        parse({"epoch": "3"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "0"),
        ("epochs", "2.5"),
        ("lr", "nan"),
        ("lr", "fast"),
        ("precision", "fp8"),
        ("dropout", "1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"hyperparameter {name}.*allowed: "):
        parse({name: value})


def test_empty_values_mean_the_default_and_auto_means_none() -> None:
    assert parse({"epochs": "", "lr": " "}) == Hyperparameters()
    assert parse({"mixup": AUTO}).mixup is None
    with pytest.raises(InvalidInput, match="lr"):
        parse({"lr": AUTO})


@given(
    st.integers(1, 1000),
    st.floats(1e-6, 1, exclude_min=True),
    st.none() | st.floats(0, 2),
    st.booleans(),
    st.sampled_from(["none", "balanced"]),
)
def test_params_as_logged_give_the_same_hyperparameters_again(
    epochs: int, lr: float, mixup: float | None, flip: bool, weights: str
) -> None:
    made = Hyperparameters(epochs=epochs, lr=lr, mixup=mixup, horizontal_flip=flip, class_weights=weights)  # type: ignore[arg-type]
    assert parse(made.as_params()) == made
