from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.evaluate.policy import Policy, find_policy, parse_policy

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("floors: {acuracy: 0.9}", ["'floors.acuracy'", "0.9", "did you mean 'accuracy'?"]),
        ("flors: {accuracy: 0.9}", ["'flors'", "did you mean 'floors'?"]),
        ("no_worse: {metrik: map}", ["'no_worse.metrik'", "'map'", "did you mean 'metric'?"]),
        ("zzzzzz: 1", ["unknown key 'zzzzzz'", "Allowed: floors, class_floors"]),
        ("floors: {accuracy: 93}", ["floors.accuracy", "less than or equal to 1", "93"]),
        ("floors: {accuracy: '0.9'}", ["floors.accuracy", "valid number", "'0.9'"]),
        ("floors: {accuracy: .nan}", ["floors.accuracy", "nan"]),
        ("minimum_holdout: true", ["minimum_holdout", "valid integer"]),
        ("no_worse: {metric: speed}", ["no_worse.metric", "'accuracy'", "'speed'"]),
        ("max_p95_ms: 5\nmax_p95_ms: 9", ["max_p95_ms", "twice"]),
        ("- accuracy", ["must be a mapping"]),
        ("", ["must be a mapping"]),
        ("floors: [", ["not YAML"]),
        ("a: !!python/object/apply:os.system ['id']", ["not YAML", "python/object"]),
        ("resamples: 1000000000", ["resamples", "less than or equal to 100000"]),
        ("a: &a [*a]", ["not YAML", "recursive"]),
        ("? [a, b]\n: c", ["not YAML"]),
        ("max_ece: 2020-13-99", ["not YAML", "month"]),
    ],
)
def test_what_is_refused_and_how_it_is_said(text, said):
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text.encode())
    for words in said:
        assert words in str(caught.value)


@pytest.mark.parametrize("name", ["digits", "birds"])
def test_the_policies_of_the_repository_are_valid(name):
    policy = find_policy(name, REPOSITORY / "k8s" / "apps")
    assert policy.digest != Policy().digest
    assert policy.no_worse is not None


def test_an_application_without_a_file_gets_the_default(tmp_path):
    assert find_policy("photos", tmp_path) == find_policy("photos", None)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "policy.yaml").write_text("floors: {map: 0.5}\n")
    assert find_policy("photos", tmp_path).floors.map == 0.5
    (tmp_path / "prints.yaml").write_text("floors: {map: 0.6}\n")
    assert find_policy("prints", tmp_path).floors.map == 0.6


@pytest.mark.parametrize("name", ["../digits", "", "a/b", "Digits", "a" * 64, "digits\n", "$(id)"])
def test_a_name_that_is_no_application_leads_to_no_file(name, tmp_path):
    with pytest.raises(InvalidInput, match="no name of an application"):
        find_policy(name, tmp_path)


def test_the_digest_is_of_the_values_and_not_of_the_spelling():
    spelled = parse_policy(b"# words\nfloors: {accuracy: 0.90}\n")
    assert spelled.digest == parse_policy(b"floors:\n  accuracy: 0.9\nmax_ece: null\n").digest
    assert spelled.digest != parse_policy(b"floors: {accuracy: 0.91}").digest


def test_a_file_over_the_bound_is_refused(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "policy.yaml").write_bytes(b"#" * 70_000)
    with pytest.raises(InvalidInput, match="too large"):
        find_policy("big", tmp_path)
