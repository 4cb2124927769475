"""The report on a dataset: counts, splits, and every file that is not as it should be."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Any

from services.data.dataset import Dataset
from services.data.splits import SPLITS

_MOST_LISTED = 5000


def report(dataset: Dataset) -> dict[str, Any]:
    """JSON values only. At most 5000 problems are listed; the counts by reason are of all."""
    skipped = sum(problem.skipped for problem in dataset.problems)
    return {
        "source": dataset.source,
        "kind": dataset.kind,
        "task": dataset.task,
        "digest": dataset.digest,
        "items": len(dataset.items),
        "split_sizes": dataset.split_sizes(),
        "class_counts": {name: dataset.class_counts(name) for name in SPLITS},
        "seconds": round(sum(item.seconds for item in dataset.items), 3),
        "defaults": dataset.defaults,
        "skipped": skipped,
        "problem_counts": dict(sorted(Counter(problem.reason for problem in dataset.problems).items())),
        "problems": [problem.as_dict() for problem in dataset.problems[:_MOST_LISTED]],
        "problems_not_listed": max(0, len(dataset.problems) - _MOST_LISTED),
    }


def html_report(dataset: Dataset) -> str:
    """A page without scripts or links to elsewhere; names from the data are escaped."""
    facts = report(dataset)
    rows = [
        ("Source", dataset.source),
        ("Kind", f"{dataset.kind}, {dataset.task}"),
        ("Digest", dataset.digest),
        ("Items", f"{facts['items']} used, {facts['skipped']} skipped"),
    ]
    classes = [
        [label, *(str(facts["class_counts"][name][label]) for name in SPLITS)] for label in dataset.labels
    ]
    classes.append(["all items", *(str(facts["split_sizes"][name]) for name in SPLITS)])
    problems = [
        [one["path"], one["reason"], one["detail"], "skipped" if one["skipped"] else "used"]
        for one in facts["problems"]
    ]
    counts = [[reason, str(count)] for reason, count in facts["problem_counts"].items()]
    body = _table(["", ""], [list(row) for row in rows])
    body += "<h2>Classes</h2>" + _table(["class", *SPLITS], classes)
    if problems:
        body += "<h2>Files with problems</h2>" + _table(["reason", "files"], counts)
        body += _table(["file", "reason", "detail", ""], problems)
        if facts["problems_not_listed"]:
            body += f"<p>{facts['problems_not_listed']} more are not listed.</p>"
    else:
        body += "<p>No file had a problem.</p>"
    return _PAGE.format(title=escape(dataset.source), body=body)


def _table(head: list[str], rows: list[list[str]]) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head) if any(head) else ""
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{header}</tr>{lines}</table>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Dataset {title}</title><style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2733}}
table{{border-collapse:collapse;margin:.5rem 0 1.5rem}}td,th{{text-align:left;padding:.25rem .8rem;
border-bottom:1px solid #d5dde5;overflow-wrap:break-word}}h1{{font-size:1.5rem}}h2{{font-size:1.15rem}}
</style></head><body><h1>Dataset {title}</h1>{body}</body></html>
"""
