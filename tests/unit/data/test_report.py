from __future__ import annotations

import json

from services.data.dataset import Item, Problem, make_dataset

ITEMS = [
    Item("a/1.ogg", ("a",), "g", "training", "ogg", "00", b"", 2.5),
    Item("<b>/2.ogg", ("<b>", "a"), "h", "evaluation", "ogg", "11", b"", 1.5),
]
PROBLEMS = [
    Problem("a/<script>alert(1)</script>.ogg", "silent", "no sample reaches -80 dBFS"),
    Problem("<b>/2.ogg", "unknown-secondary-label", "no recordings of q & r", skipped=False),
]


def test_the_report_is_json_and_counts_everything() -> None:
    report = make_dataset("source", "audio", "multi-label", ITEMS, PROBLEMS).report()
    assert json.loads(json.dumps(report)) == report
    assert report["class_counts"]["evaluation"] == {"<b>": 1, "a": 1}
    assert report["split_sizes"] == {"training": 1, "validation": 0, "evaluation": 1}
    assert report["problem_counts"] == {"silent": 1, "unknown-secondary-label": 1}
    assert (report["items"], report["skipped"], report["seconds"]) == (2, 1, 4.0)
    assert {one["path"] for one in report["problems"]} == {problem.path for problem in PROBLEMS}


def test_a_long_list_is_cut_and_the_rest_counted() -> None:
    many = [Problem(f"a/{number}", "empty", "no bytes") for number in range(6000)]
    report = make_dataset("source", "audio", "multi-label", ITEMS, many).report()
    assert len(report["problems"]) == 5000
    assert report["problems_not_listed"] == 1000
    assert report["problem_counts"] == {"empty": 6000}


def test_the_page_names_the_files_and_escapes_them() -> None:
    page = make_dataset("/data?<i>", "audio", "multi-label", ITEMS, PROBLEMS).report_html()
    assert "a/&lt;script&gt;alert(1)&lt;/script&gt;.ogg" in page
    assert "no sample reaches -80 dBFS" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "q &amp; r" in page


def test_the_page_of_a_dataset_without_problems() -> None:
    assert "No file had a problem" in make_dataset("source", "audio", "multi-label", ITEMS).report_html()
