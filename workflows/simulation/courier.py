"""Carries the log of the serving processes to the monitor, at the times of the simulated year.

On the platform of a simulation the monitor looks at no spool. The servers log as always; this takes what they have
closed, moves it to the simulated time, and hands it over by the routes that servers on a cluster use. Inputs are put
beside the log with the monitor's own library, as that route files them under the day on which they come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import orjson

from services.common.errors import Unavailable
from services.common.trust import trust_for
from services.monitor.archive import Archive
from services.monitor.moved import moved
from services.monitor.objects import FolderObjects

_KINDS = (".reference", ".jsonl", ".input")
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.1
# A server brings what it has to the disk every half second.
_QUIET_SECONDS = 1.2


class Courier:
    """Brings files of the spools to the monitor at `url`, whose archive is the folder `store`."""

    def __init__(self, spool: Path, url: str, store: Path) -> None:
        self._spool = spool
        self._archive = Archive(FolderObjects(store))
        self._days: dict[str, date] = {}
        self._http = httpx.Client(base_url=url, timeout=30.0, trust_env=False, verify=trust_for(url))

    def carry(self, when: Callable[[int], int], until: tuple[str, int] | None = None) -> dict[str, int]:
        """Hand over what is closed; returns the predictions carried, by environment.

        Args:
            when: real times to simulated ones, as `services.monitor.moved` takes it.
            until: go on at least until so many predictions of an environment came. It ends when nothing more comes.

        Raises:
            Unavailable: the monitor does not take them, or they did not come in time.
        """
        carried: dict[str, int] = {}
        latest = time.monotonic()
        end = latest + _PATIENCE_SECONDS
        while True:
            for path in list(self._waiting()):
                environment = path.parent.name.rpartition("-")[2]
                count = self._hand_over(path, when)
                carried[environment] = carried.get(environment, 0) + count
                # A server writes an input after its record; one that no record has stays.
                latest = latest if path.exists() else time.monotonic()
            quiet = time.monotonic() - latest > _QUIET_SECONDS
            enough = until is None or carried.get(until[0], 0) >= until[1]
            if quiet and enough:
                return carried
            if until is not None and not enough and time.monotonic() > end:
                raise Unavailable(
                    f"the log of {until[0]} did not come within {_PATIENCE_SECONDS:g} s",
                    value=carried.get(until[0], 0),
                    allowed=str(until[1]),
                )
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _waiting(self) -> Iterator[Path]:
        """References first, by whose edges segments are counted; inputs last, whose days the segments have."""
        for suffix in _KINDS:
            yield from sorted(self._spool.glob(f"*/*{suffix}"))

    def _hand_over(self, path: Path, when: Callable[[int], int]) -> int:
        data = path.read_bytes()
        count = 0
        if path.suffix == ".reference":
            self._put(f"/references/{path.stem}", data)
        elif path.suffix == ".jsonl":
            for segment in moved(data, when):
                count += self._note(segment)
                self._put(f"/segments/{path.stem}", segment)
        elif path.stem in self._days:
            self._archive.put_input(path.stem, data, today=self._days[path.stem])
        else:
            return 0
        path.unlink()
        return count

    def _note(self, segment: bytes) -> int:
        """Remember the days of the inputs; how many predictions the segment has."""
        count = 0
        for line in segment.splitlines()[1:]:
            record = orjson.loads(line)
            if record[0] in ("p", "s"):
                count += 1
            # The server of a copy keeps no inputs, and answers it later, perhaps on another simulated day.
            if record[0] == "p":
                self._days[record[3]] = datetime.fromtimestamp(record[1] / 1000, UTC).date()
        return count

    def _put(self, place: str, data: bytes) -> None:
        try:
            self._http.put(place, content=data).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"the monitor does not take the log: {error}") from error
