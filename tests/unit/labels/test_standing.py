"""Ten thousand tasks: how long the questions take that are asked again and again."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from services.labels.publishing import assemble
from services.labels.standing import standing
from services.labels.task import Annotation, Answer, Record, Task
from tests.support.labelling import APPLICATION, NOON, Log, digits, office, with_rules

COUNT = 10_000


def test_ten_thousand_tasks_are_counted_judged_and_assembled_in_seconds(tmp_path: Path) -> None:
    work = office(tmp_path, Log(tmp_path / "monitor"), with_rules(per_day=COUNT))
    book = work.place.book
    at = int(NOON.timestamp() * 1000)
    records = [
        Record(at + n, f"{n:064x}", "1", (str(n % 10), "x"), (0.6, 0.4), 0.1, f"site-{n % 50}")
        for n in range(COUNT)
    ]
    tasks = [
        Task(APPLICATION, record, "random" if n % 2 else "unsure", "png", 1 + (n % 5 == 0))
        for n, record in enumerate(records)
    ]
    draws = [(task.digest, 0.1, "1", task.record.labels[0]) for task in tasks if task.reason == "random"]
    book.add_window(APPLICATION, (at, at + 1), "2026-06-01", NOON.isoformat(), tasks, draws, COUNT)
    book.move(APPLICATION, [task.digest for task in tasks], "sent")
    answers = [
        Annotation(f"{name}-{n}", task.digest, name, NOON.isoformat(), Answer((str(n % 10),)))
        for n, task in enumerate(tasks)
        for name in ("ann", "bob")[: task.overlap]
    ]
    began = time.process_time()
    assert book.take(APPLICATION, answers, []) == len(answers)
    work._judge(APPLICATION, NOON)
    by_digest = {task.digest: task for task in book.tasks(APPLICATION)}
    found = assemble(book.annotations(APPLICATION), by_digest, digits(), {}, {}, work.rules.placing)
    queue = standing(work, APPLICATION, now=NOON + timedelta(hours=1))
    assert time.process_time() - began < 30
    assert queue["done"] == COUNT and queue["accuracy"]["count"] == COUNT // 2
    held_out = sum(reason == "its group is in the holdout" for reason in found.left_out.values())
    assert len(found.items) + held_out == COUNT
    groups: dict[str, str] = {}
    assert all(groups.setdefault(item["group"], item["split"]) == item["split"] for item in found.items)
