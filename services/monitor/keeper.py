"""Keeps the archive: takes segments from the spools, merges small files, removes what is too old."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from services.common.bearer import Unauthorized
from services.common.errors import IntegrityError, InvalidInput, RookeryError, TooLarge, Unavailable
from services.monitor.archive import Archive, input_name
from services.monitor.reference import parse_reference
from services.monitor.segment import MOST_BYTES, parse_segment
from services.monitor.settings import MonitorSettings

MOST_INPUT_BYTES = 64 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KINDS = (".reference", ".jsonl", ".input")
_log = logging.getLogger(__name__)


class Keeper:
    """One thread over one archive.

    Attributes:
        counts: what happened, for Prometheus.
        last: monotonic time of the last look at the spools that went well.
    """

    def __init__(self, archive: Archive, settings: MonitorSettings) -> None:
        self.archive = archive
        self.settings = settings
        self.counts = dict.fromkeys(
            ("records", "segments", "repeated", "broken", "refused", "away", "inputs"), 0
        )
        self.clock_skew = 0.0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End after what is being done."""
        self._ended.set()
        self._thread.join(30)

    def take_segment(self, data: bytes, environment: str = "") -> str:
        """Archive a segment; returns its name. A segment that came before is not archived twice.

        Args:
            environment: the one it must be of, such as "birds-canary"; empty: any.

        Raises:
            TooLarge, InvalidInput: as `parse_segment`.
            Unauthorized: it is of another environment.
        """
        segment = parse_segment(data)
        wrote = f"{segment.head.application}-{segment.head.environment}"
        if environment not in ("", wrote):
            raise Unauthorized(
                "this token is for the log of another environment", value=wrote, allowed=environment
            )
        fresh = self.archive.put(segment)
        with self._lock:
            self.counts["segments" if fresh else "repeated"] += 1
            if fresh:
                self.counts["records"] += len(segment.predictions.time) + len(segment.failures)
                self.counts["broken"] += segment.broken
                self.clock_skew = segment.head.opened / 1000 - time.time()
        return segment.head.segment

    def take_reference(self, data: bytes) -> str:
        """Keep what a bundle says its inputs look like; returns the bundle's digest."""
        reference = parse_reference(data)
        self.archive.references.add(reference)
        return reference.bundle_digest

    def take_input(self, digest: str, data: bytes) -> None:
        """Keep an input.

        Raises:
            InvalidInput, TooLarge, IntegrityError: no digest, too many bytes, or the digest of others.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput("this is no digest of an input", value=digest, allowed="64 hex digits")
        if len(data) > MOST_INPUT_BYTES:
            raise TooLarge("the input is too large", value=len(data), allowed=f"{MOST_INPUT_BYTES:,} bytes")
        if input_name(data) != digest:
            raise IntegrityError("the input has another digest", value=digest)
        self.archive.put_input(digest, data, today=_today())
        with self._lock:
            self.counts["inputs"] += 1

    def collect(self) -> int:
        """Take what is closed in the spools; returns how many files. What the store cannot take now stays.

        Raises:
            Unavailable: the store is away.
            Exception: a file could not be taken for a reason that nobody thought of; it stays, the others are taken.
        """
        taken = 0
        trouble: Exception | None = None
        for path in list(self._waiting()):
            try:
                self._take(path)
            except Unavailable:
                self.counts["away"] += 1
                raise
            except FileNotFoundError:
                continue
            except RookeryError as error:
                _log.warning("%s is refused and removed: %s", path.name, error)
                self.counts["refused"] += 1
            except Exception as error:
                # Else one file that cannot be read would hold up the logs of all applications.
                trouble = trouble or error
                continue
            path.unlink(missing_ok=True)
            taken += 1
        if trouble is not None:
            raise trouble
        return taken

    def tidy(self, today: date | None = None) -> tuple[int, int]:
        """Merge and remove; returns how many small files and how many old objects are gone."""
        day = today or _today()
        gone = self.archive.expire(
            keep_days=self.settings.keep_days, keep_input_days=self.settings.keep_input_days, today=day
        )
        return self.archive.merge(today=day), gone

    def _take(self, path: Path) -> None:
        if path.is_symlink() or path.stat().st_size > MOST_BYTES:
            raise InvalidInput("a spool has plain files of bounded size", value=path.name)
        data = path.read_bytes()
        if path.suffix == ".jsonl":
            self.take_segment(data)
        elif path.suffix == ".reference":
            self.take_reference(data)
        else:
            self.take_input(path.stem, data)

    def _waiting(self) -> Iterator[Path]:
        for root in self.settings.spools:
            folders = [root, *(path for path in sorted(_entries(root)) if path.is_dir())]
            for suffix in _KINDS:
                for folder in folders:
                    yield from sorted(path for path in _entries(folder) if path.suffix == suffix)

    def _run(self) -> None:
        tidied = time.monotonic()
        pause = self.settings.collect_seconds
        while not self._ended.wait(pause):
            fine = self._guard(self.collect)
            pause = self.settings.collect_seconds if fine else min(pause * 2, 60.0)
            if time.monotonic() - tidied >= self.settings.tidy_seconds:
                tidied = time.monotonic()
                self._guard(self.tidy)
        self._guard(self.collect)

    @staticmethod
    def _guard(function: Callable[[], object]) -> bool:
        try:
            function()
        except RookeryError as error:
            _log.warning("%s; will try again", error)
        except Exception:
            _log.exception("the keeper stumbled and goes on")
        else:
            return True
        return False


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _today() -> date:
    return datetime.now(UTC).date()
