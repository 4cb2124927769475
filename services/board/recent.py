"""The newest runs of this machine; the journal of one that has not changed is not read again."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from workflows.local.runs import Run, engine_of, listed_run, run_folder, run_names

Mark = tuple[int, int]


class RecentRuns:
    """Runs below a home folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known: dict[str, tuple[Mark, Run]] = {}
        self._lock = threading.Lock()

    def newest(self, limit: int) -> list[Run]:
        """At most so many, the newest first."""
        with self._lock:
            names = sorted(run_names(self._home), key=self._submitted, reverse=True)[:limit]
            found = [run for run in (self._read(name) for name in names) if run is not None]
            self._known = {name: self._known[name] for name in names if name in self._known}
        return sorted(found, key=lambda run: run.created, reverse=True)

    def _submitted(self, name: str) -> float:
        try:
            return (self._home / "runs" / name / "workflow.json").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _read(self, name: str) -> Run | None:
        mark = self._mark(name)
        known = self._known.get(name)
        if known is None or known[0] != mark:
            run = listed_run(self._home, name)
            if run is not None:
                self._known[name] = (mark, run)
            return run
        run = known[1]
        return run if run.done else replace(run, engine=engine_of(run_folder(self._home, name)))

    def _mark(self, name: str) -> Mark:
        try:
            found = (self._home / "runs" / name / "journal.jsonl").stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_mtime_ns, found.st_size
