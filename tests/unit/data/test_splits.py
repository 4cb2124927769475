from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.data.splits import SPLITS, assign_splits, hashed_split, position

names = st.text(min_size=1, max_size=8)
grouped = st.dictionaries(names, st.sampled_from("abc"), max_size=40)


def sizes(groups: dict[str, str]) -> dict[str, int]:
    return {label: list(groups.values()).count(label) for label in set(groups.values())}


@given(grouped)
def test_every_class_of_three_groups_is_in_every_split(groups: dict[str, str]) -> None:
    splits = assign_splits(groups)
    for label, count in sizes(groups).items():
        present = {splits[group] for group in groups if groups[group] == label}
        expected = {1: {"training"}, 2: {"training", "evaluation"}}.get(count, set(SPLITS))
        assert present == expected


@given(grouped)
def test_the_hash_alone_decides_in_a_class_that_it_serves(groups: dict[str, str]) -> None:
    splits = assign_splits(groups)
    for label in sizes(groups):
        members = [group for group in groups if groups[group] == label]
        if {hashed_split(group) for group in members} == set(SPLITS):
            assert all(splits[group] == hashed_split(group) for group in members)


@given(grouped, grouped)
def test_growth_moves_nothing_out_of_training(groups: dict[str, str], more: dict[str, str]) -> None:
    before = assign_splits(groups)
    after = assign_splits({**more, **groups})
    for label, count in sizes(groups).items():
        members = [group for group in groups if groups[group] == label]
        if count >= 3 and "training" in {hashed_split(group) for group in members}:
            assert all(after[group] == "training" for group in members if before[group] == "training")


@given(grouped)
def test_order_does_not_matter(groups: dict[str, str]) -> None:
    assert assign_splits(dict(reversed(groups.items()))) == assign_splits(groups)


@given(names)
def test_a_position_is_in_the_unit_interval(group: str) -> None:
    assert 0 <= position(group) < 1


def test_shares_of_many_groups_are_as_stated() -> None:
    splits = list(assign_splits({f"recording {number}": "a" for number in range(5000)}).values())
    assert abs(splits.count("training") / 5000 - 0.70) < 0.02
    assert abs(splits.count("validation") / 5000 - 0.15) < 0.02
