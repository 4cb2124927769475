from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.serve.prediction import merge, ranked


def window(start: float, *pairs: tuple[str, float], length: float = 5.0) -> dict[str, Any]:
    labels = [{"label": label, "probability": value} for label, value in pairs]
    return {"start": start, "end": start + length, "labels": labels}


def test_labels_are_ranked_and_ties_keep_their_order() -> None:
    found = ranked(["a", "b", "c", "d"], np.array([0.2, 0.5, 0.2, 0.1], np.float32))
    assert [entry["label"] for entry in found] == ["b", "a", "c", "d"]
    assert len(ranked(["a", "b"], np.array([0.1, 0.9], np.float32), 1)) == 1


def test_windows_with_one_label_are_joined() -> None:
    timeline = [window(0, ("a", 0.6)), window(5, ("a", 0.9)), window(10, ("b", 0.7)), window(15, ("a", 0.5))]
    assert merge(timeline, None) == [
        {"label": "a", "start": 0, "end": 10.0, "probability": 0.9},
        {"label": "b", "start": 10, "end": 15.0, "probability": 0.7},
        {"label": "a", "start": 15, "end": 20.0, "probability": 0.5},
    ]


def test_overlapping_calls_of_several_labels_are_kept_apart() -> None:
    timeline = [
        window(0, ("a", 0.8), ("b", 0.2)),
        window(2.5, ("b", 0.9), ("a", 0.7)),
        window(5, ("b", 0.6), ("a", 0.1)),
    ]
    assert merge(timeline, 0.5) == [
        {"label": "a", "start": 0, "end": 7.5, "probability": 0.8},
        {"label": "b", "start": 2.5, "end": 10.0, "probability": 0.9},
    ]


def test_windows_under_the_threshold_give_no_segment() -> None:
    assert merge([window(0, ("a", 0.4)), window(5, ("a", 0.49))], 0.5) == []


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
def test_segments_cover_every_window_once(names: list[str]) -> None:
    timeline = [window(5.0 * place, (name, 0.5)) for place, name in enumerate(names)]
    segments = merge(timeline, None)
    assert sum(segment["end"] - segment["start"] for segment in segments) == 5.0 * len(names)
    assert all(one["label"] != two["label"] for one, two in itertools.pairwise(segments))
