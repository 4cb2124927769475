from __future__ import annotations

import json

import numpy as np

from services.monitor.segment import parse_segment
from services.monitor.summary import MOST_SOURCES, OTHER, Summary, merged, summarise
from tests.support.predictions import BUNDLE, NOON, drawn, failure, prediction, reference, segment


def summary(records: list[list[object]], **changes: object) -> Summary:
    return summarise(parse_segment(segment(records, **changes)), reference())


def test_parts_add_up_to_the_whole() -> None:
    records = drawn(600)
    whole, parts = (
        summary(records).total(),
        merged(summary(records[at : at + 77]) for at in range(0, 600, 77)).total(),
    )
    assert whole.count == parts.count == 600
    assert whole.labels == parts.labels
    for name in whole.histograms:
        np.testing.assert_array_equal(whole.histograms[name], parts.histograms[name])
    np.testing.assert_array_equal(whole.latency, parts.latency)


def test_cells_are_by_hour_version_and_source() -> None:
    hour = 3_600_000
    records = [prediction(n, time=NOON + n * hour // 2, source=f"site-{n % 2}") for n in range(8)]
    found = summary([*records, failure(NOON)])
    assert len(found.cells) == 9
    first = NOON // hour
    assert found.total(hours=(first, first + 2)).count == 4
    assert found.total(source="site-1").count == 4
    assert found.total(hours=(first, first + 1)).failed == 1
    assert found.total(version="8").count == 0
    assert found.total(bundle_digest=BUNDLE).count == 8


def test_golden_inputs_are_nobody_s() -> None:
    told = reference(golden=range(50, 60))
    verified = [prediction(50 + n % 10, time=NOON + n, novel=True, source="verifier") for n in range(40)]
    records = [*drawn(50), *verified, failure(NOON)]
    found = summarise(parse_segment(segment(records)), told)
    assert found.as_dict() == summarise(parse_segment(segment([*drawn(50), failure(NOON)])), told).as_dict()
    assert (found.total().count, found.total().failed, found.total().novel) == (50, 1, 0)
    assert summarise(parse_segment(segment(verified)), told).cells == {}


def test_json_keeps_everything() -> None:
    found = summary([*drawn(200, source="a"), failure(NOON)])
    again = Summary.from_dict(json.loads(json.dumps(found.as_dict())))
    assert again.as_dict() == found.as_dict()


def test_sources_are_bounded_whatever_clients_send() -> None:
    found = merged(summary([prediction(n, source=f"{part}-{n}") for n in range(200)]) for part in range(5))
    assert len({key.source for key in found.cells}) <= MOST_SOURCES + 1
    assert found.total().count == 1000
    assert found.total(source=OTHER).count >= 800


def test_labels_that_the_bundle_does_not_have_are_one() -> None:
    found = summary([prediction(n, labels=[[f"made up {n}", 0.5]]) for n in range(50)])
    assert found.total().labels == {OTHER: 50}


def test_without_a_reference_confidence_and_latency_are_still_counted() -> None:
    found = summarise(parse_segment(segment(drawn(100))), None).total()
    assert list(found.histograms) == ["confidence"]
    assert found.latency.sum() == found.histograms["confidence"].sum() == 100


def test_a_segment_of_nothing_is_empty() -> None:
    assert summary([]).cells == {}
