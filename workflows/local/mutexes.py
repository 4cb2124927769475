"""Mutexes between the nodes of all runs under one home, as locks on files.

A lock is the engine's: after `kill -9` of the engine it is free until the run is resumed, also while an orphaned step
of that run still works. Whoever needs more than that keeps the run's engine alive or makes the step itself exclusive.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path


class Mutexes:
    """The mutexes that one run holds, by owner."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, list[int]] = {}

    def acquire(self, owner: str, names: Sequence[str]) -> bool:
        """Takes all of the mutexes or none; True when the owner has them."""
        if owner in self._held or not names:
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        taken: list[int] = []
        for name in sorted(set(names)):
            path = self._folder / f"{sha256(name.encode()).hexdigest()[:32]}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            taken.append(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                for other in taken:
                    os.close(other)
                return False
        self._held[owner] = taken
        return True

    def release(self, owner: str) -> None:
        """Gives back what the owner has."""
        for descriptor in self._held.pop(owner, []):
            os.close(descriptor)

    def release_all(self) -> None:
        """Gives back everything."""
        for owner in list(self._held):
            self.release(owner)
